"""Blends along the arc."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jax_mixup as jm
from tests.library.by_hand import mixed

KEY = jax.random.key(0)
PARTNER = np.array([1, 2, 2, 0, 4])  # 2 and 4 are their own
LAM = np.array([0.3, 0.5, 0.2, 0.95, 0.7], np.float32)


def lengths(z):
    return np.linalg.norm(np.asarray(z, np.float64), axis=-1, keepdims=True)


def by_hand(m, z, other):
    """One pair of vectors after another, by the formula, in float64."""
    out = np.zeros(z.shape)
    for place in np.ndindex(z.shape[:-1]):
        a, b = (x[place].astype(np.float64) for x in (z, other))
        cosine = (a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
        angle = np.arccos(np.clip(cosine, -1, 1))
        w = np.broadcast_to(m, z.shape[:-1])[place]
        if angle < 1e-6:
            out[place] = w * a + (1 - w) * b
        else:
            out[place] = (np.sin(w * angle) * a + np.sin((1 - w) * angle) * b) / np.sin(angle)
    return out


def test_the_formula_by_hand():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(5, 4)).astype(np.float32)  # of any length
    mix = jm.Mix(jnp.asarray(PARTNER), jnp.asarray(LAM), jnp.asarray(LAM))
    found = jax.jit(jm.blend_sphere)(mix, z)
    np.testing.assert_allclose(found, by_hand(LAM, z, z[PARTNER]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[2], z[2], rtol=1e-6)
    other = rng.normal(size=(5, 4)).astype(np.float32)
    pair = jm.blend_sphere(mix, {"z": z}, other={"z": other})["z"]
    np.testing.assert_allclose(pair, by_hand(LAM, z, other), rtol=1e-5, atol=1e-6)


def test_unit_vectors_stay_so_and_the_angle_is_shared_by_lambda():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(64, 16))
    z = jnp.asarray(z / lengths(z), jnp.float32)
    mix = jm.sample_mixup(KEY, (64,), per="example")
    found = jm.blend_sphere(mix, z)
    np.testing.assert_allclose(lengths(found), 1, atol=1e-6)
    angle = lambda a, b: np.arccos((np.asarray(a, np.float64) * np.asarray(b)).sum(1))
    whole = angle(z, jm.take_partner(mix, z))
    np.testing.assert_allclose(angle(found, z), (1 - mix.lam) * whole, atol=1e-3)
    assert (lengths(jm.blend(mix, z)) < 0.95).any()  # on the straight line they get shorter


@pytest.mark.parametrize("angle", [0, 1e-30, 1e-12, 1e-7, 1e-4, 1e-2, 3.0, 3.13, 3.1415])
def test_near_equal_and_near_opposite(angle):
    u, v = np.array([1.0, 0.0], np.float32), np.array([np.cos(angle), np.sin(angle)], np.float32)
    lam = np.linspace(0, 1, 9).astype(np.float32)
    mix = mixed(lam)
    blend = lambda u, v: jm.blend_sphere(mix, jnp.tile(u, (9, 1)), other=jnp.tile(v, (9, 1)))
    turn = (1 - lam) * angle
    found, slopes = jax.jit(lambda u, v: (blend(u, v), jax.jacobian(blend, argnums=(0, 1))(u, v)))(
        u, v
    )
    np.testing.assert_allclose(found, np.stack([np.cos(turn), np.sin(turn)], 1), atol=3e-3)
    np.testing.assert_allclose(lengths(found), 1, atol=3e-3)
    assert all(np.isfinite(slope).all() for slope in slopes)
    if angle < 1e-2:  # as on the straight line
        for slope, weight in zip(slopes, (lam, 1 - lam), strict=True):
            wanted = weight[:, None, None] * np.eye(2)
            np.testing.assert_allclose(slope[:, 1], wanted[:, 1], atol=1e-3)  # along the arc
            np.testing.assert_allclose(slope[:, 0], wanted[:, 0], atol=1e-2)


def test_opposite_vectors_and_zeros():
    z = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    for lam in (0.0, 0.25, 0.5, 0.8, 1.0):
        found = jm.blend_sphere(mixed([lam, lam]), z)
        through = np.sin((lam - 0.5) * np.pi)
        np.testing.assert_allclose(found[:, 0], through * z[:, 0], atol=1e-7)
    zeros = jnp.zeros((2, 3))
    value, slope = jax.value_and_grad(lambda z: jm.blend_sphere(mixed([0.3, 0.3]), z).sum())(zeros)
    assert value == 0 and np.isfinite(slope).all()
    one = jm.blend_sphere(mixed([0.3, 0.3]), jnp.array([[0.0, 0.0], [3.0, 4.0]]))
    assert np.isfinite(one).all()


def test_gradients_are_right():
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    lam = jnp.array([0.2, 0.9, 0.4, 0.6])
    weights = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)

    def total(z, lam):
        z, lam = jnp.asarray(z), jnp.asarray(lam)
        return (weights * jm.blend_sphere(jm.Mix(jm.roll(), lam, lam), z)).sum()

    check_grads(total, (z, lam), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


def test_what_has_weight_0_has_no_influence():
    z = jnp.array([[0.6, 0.8], [jnp.nan, 1.0], [3.0, 4.0]])
    mix = jm.Mix(jnp.array([1, 0, 1]), jnp.array([1.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 1.0]))
    found, slope = jax.value_and_grad(lambda z: jm.blend_sphere(mix, z)[jnp.array([0, 1])].sum())(z)
    np.testing.assert_allclose(found, 2 * 1.4, rtol=1e-6)
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(jm.blend_sphere(mix, z)[2], z[2])


def test_masks_with_positions_and_a_batch_of_one():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 6, 3)).astype(np.float32)
    mask = rng.uniform(size=(4, 6)).astype(np.float32)
    mix = jm.Mix(jm.neighbours(), jnp.asarray(mask), jnp.full(4, 0.5))
    np.testing.assert_allclose(
        jm.blend_sphere(mix, z), by_hand(mask, z, z[[1, 0, 3, 2]]), rtol=1e-5, atol=2e-6
    )
    hard = jm.sample_cutmix(KEY, (4, 6))
    np.testing.assert_array_equal(jm.blend_sphere(hard, z), jm.select(hard, jnp.asarray(z)))
    one = jm.sample_mixup(KEY, (1,))
    np.testing.assert_array_equal(jm.blend_sphere(one, z[:1]), z[:1])


@pytest.mark.parametrize("dtype, eps", [("bfloat16", 1e-2), ("float16", 2e-3), ("float32", 1e-6)])
def test_dtypes(dtype, eps):
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(5, 8)), dtype)
    mix = jm.Mix(jnp.asarray(PARTNER), jnp.asarray(LAM), jnp.asarray(LAM))
    found = jm.blend_sphere(mix, z)
    assert found.dtype == dtype
    wide = np.asarray(z, np.float32)
    np.testing.assert_allclose(
        np.asarray(found, np.float32), by_hand(LAM, wide, wide[PARTNER]), rtol=eps, atol=2 * eps
    )


def test_mistakes():
    mix = mixed([0.3, 0.3])
    with pytest.raises(TypeError, match=r"int32.*blend_labels"):
        jm.blend_sphere(mix, jnp.ones((2, 3), int))
    with pytest.raises(ValueError, match=r"last axis"):
        jm.blend_sphere(mix, jnp.ones(2))
    with pytest.raises(ValueError, match=r"mask of shape \(1, 3\).*call blend"):
        jm.blend_sphere(jm.sample_cutmix(KEY, (2, 3)), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="2 examples"):
        jm.blend_sphere(mix, jnp.ones((3, 4)))
    with pytest.raises(ValueError, match="other of shape"):
        jm.blend_sphere(mix, jnp.ones((2, 4)), other=jnp.ones((2, 5)))
    with pytest.raises(TypeError, match="one mix"):
        jm.blend_sphere((mix, mix), jnp.ones((2, 4)))


@pytest.mark.parametrize("length", [1e-30, 1e-22, 1e25])
def test_any_length_has_a_direction(length):
    mix = jm.Mix(jm.reverse(), jnp.array([0.3]), jnp.full(2, 0.3))
    z = jnp.eye(2)
    found = jm.blend_sphere(mix, z * length)
    np.testing.assert_allclose(found, jm.blend_sphere(mix, z) * length, rtol=1e-5)
