"""The partner's points in the slots where they come, and turned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

MIX = jm.Mix(jnp.array([1, 2, 0]), jnp.ones((1, 4), bool), jnp.ones(3))
SOURCE = np.array([[3, 0, -1, 4], [0, 0, 1, -5], [2, -1, 3, 1]], np.int32)


def test_points_come_where_the_source_says_and_zeros_elsewhere(rng):
    x = {"points": rng.random((3, 4, 3), np.float32), "ids": np.arange(12).reshape(3, 4)}
    x |= {"valid": np.ones((3, 4), bool), "half": np.ones((3, 4), jnp.bfloat16)}
    for other in (None, jax.tree.map(lambda a: a[::-1], x)):
        found = jax.jit(jm.place_partner)(MIX, x, SOURCE, other=other)
        for name, array in x.items():
            theirs = np.roll(array, -1, axis=0) if other is None else other[name]
            expected = np.zeros_like(array)
            for i, t in np.ndindex(3, 4):
                if 0 <= SOURCE[i, t] < 4:
                    expected[i, t] = theirs[i, SOURCE[i, t]]
            np.testing.assert_array_equal(found[name], expected)
            assert found[name].dtype == jnp.asarray(array).dtype
    assert not found["valid"][0, 2] and not found["valid"][0, 3] and found["valid"][2, 0]


def test_a_span_of_words_moves_by_it_too():
    words, lengths = jnp.arange(40).reshape(4, 10), jnp.array([10, 7, 4, 9])
    mix, source = jm.sample_span(jax.random.key(1), lengths, 10, lam_law=jm.constant(0.5))
    other = jnp.take_along_axis(jm.take_partner(mix, words), source, axis=1)
    placed = jm.place_partner(mix, words, source)
    np.testing.assert_array_equal(
        jm.select(mix, words, other=placed), jm.select(mix, words, other=other)
    )


@pytest.mark.parametrize("shape", [(5, 6), (5,)], ids=["each point", "each cloud"])
def test_points_turn_about_the_z_axis(rng, shape):
    points = rng.standard_normal((5, 6, 4)).astype(np.float32)
    angle = rng.uniform(-4, 4, shape).astype(np.float32)
    turned = np.asarray(jm.rotate_points(points, angle))
    flat = points[..., 0] + 1j * points[..., 1]
    expected = flat * np.exp(1j * angle.reshape(5, -1))
    np.testing.assert_allclose(turned[..., 0] + 1j * turned[..., 1], expected, atol=1e-5)
    np.testing.assert_array_equal(turned[..., 2:], points[..., 2:])
    np.testing.assert_array_equal(jm.rotate_points(points, np.zeros(shape)), points)
    half = jm.rotate_points(points.astype(jnp.bfloat16), angle)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(np.float32), turned, atol=0.03)


def test_points_that_are_not_turned_stay_even_infinite_ones():
    points = jnp.array([[[jnp.inf, 1.0, 2.0], [3.0, jnp.nan, 4.0]]])
    np.testing.assert_array_equal(jm.rotate_points(points, jnp.zeros(1)), points)


def test_bad_points():
    with pytest.raises(TypeError, match="source of dtype float32; it needs integers"):
        jm.place_partner(MIX, jnp.ones((3, 4)), jnp.ones((3, 4)))
    with pytest.raises(ValueError, match=r"array of shape \(3, 5\) for source of shape \(3, 4\)"):
        jm.place_partner(MIX, jnp.ones((3, 5)), SOURCE)
    with pytest.raises(ValueError, match="batch first"):
        jm.place_partner(MIX, jnp.ones((2, 4)), SOURCE)
    with pytest.raises(ValueError, match="other of shape"):
        jm.place_partner(MIX, jnp.ones((3, 4)), SOURCE, other=jnp.ones((3, 4, 1)))
    with pytest.raises(TypeError, match="points of dtype int32; it needs floats"):
        jm.rotate_points(jnp.ones((3, 4, 3), int), jnp.ones(3))
    with pytest.raises(ValueError, match="one for each point"):
        jm.rotate_points(jnp.ones((3, 4, 3)), jnp.ones(4))
    with pytest.raises(ValueError, match="points of shape"):
        jm.rotate_points(jnp.ones((3, 4)), jnp.ones(3))
