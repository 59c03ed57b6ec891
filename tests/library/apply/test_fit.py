"""The whole partner in a box."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.benchmarks.hlo import Program

KEY = jax.random.key(5)
HALF = jm.Mix(jm.reverse(), jnp.array([[True, True, False, False]]), jnp.full(2, 0.5))


def mix_of(start, stop, spatial, batch=2):
    mask = np.ones((1, *spatial), bool)
    mask[(0, *(slice(a, b) for a, b in zip(start, stop, strict=True)))] = False
    return jm.Mix(jm.reverse(), jnp.asarray(mask), jnp.full(batch, mask.mean(), jnp.float32))


def nearest_by_hand(row, start, stop, origin, end):
    out = row.copy()
    for t in np.ndindex(*[b - a for a, b in zip(start, stop, strict=True)]):
        place = [
            c + int((i + 0.5) * (d - c) / (b - a))
            for i, a, b, c, d in zip(t, start, stop, origin, end, strict=True)
        ]
        out[tuple(i + a for i, a in zip(t, start, strict=True))] = row[tuple(place)]
    return out


@pytest.mark.parametrize(
    "spatial, start, stop, origin, end",
    [
        ((9,), (2,), (6,), (0,), (9,)),
        ((6, 8), (1, 2), (4, 7), (0, 0), (6, 8)),
        ((6, 8), (0, 5), (6, 8), (2, 1), (4, 7)),
        ((4, 3, 5), (1, 0, 2), (3, 3, 5), (0, 0, 0), (4, 3, 5)),
    ],
)
def test_nearest_is_the_equation(spatial, start, stop, origin, end):
    x = np.random.default_rng(1).integers(0, 255, (2, *spatial, 2)).astype(np.uint8)
    mix = mix_of(start, stop, spatial)
    source = jnp.array([origin], jnp.int32), jnp.array([end], jnp.int32)
    other = jm.fit_partner(mix, x, source=source, method="nearest")
    assert other.dtype == jnp.uint8
    mixed = np.asarray(jm.select(mix, x, other=other))
    for i in range(2):
        by_hand = np.where(
            np.asarray(mix.mask)[0, ..., None],
            x[i],
            nearest_by_hand(x[1 - i], start, stop, origin, end),
        )
        np.testing.assert_array_equal(mixed[i], by_hand)


SHRUNK = jnp.array([[0, 0]]), jnp.array([[8, 12]])
ENLARGED = jnp.array([[1, 2]]), jnp.array([[3, 5]])


@pytest.mark.parametrize("source", [SHRUNK, ENLARGED], ids=["shrunk", "enlarged"])
@pytest.mark.parametrize("method", ["linear", "antialias"])
def test_interpolation_is_that_of_jax_image(method, source):
    x = np.random.default_rng(2).normal(size=(2, 8, 12, 3)).astype(np.float32)
    mix = mix_of((2, 3), (6, 9), (8, 12))
    fitted = jm.fit_partner(mix, x, source=source, method=method)
    (top, left), (bottom, right) = (end[0].tolist() for end in source)
    shown = x[::-1, top:bottom, left:right]
    antialias = method == "antialias"
    expected = jax.image.resize(shown, (2, 4, 6, 3), "linear", antialias=antialias)
    np.testing.assert_allclose(fitted[:, 2:6, 3:9], expected, atol=1e-5)


# Integers that are rounded from about a half may differ by one.
@pytest.mark.parametrize("dtype, atol", [("uint8", 1), ("float32", 1e-3), ("complex64", 1e-3)])
def test_on_tpus_linear_is_the_same_as_a_product_of_matrices(monkeypatch, dtype, atol):
    x = np.random.default_rng(2).integers(0, 255, (4, 8, 12, 3)).astype(dtype)
    mix = jm.sample_resizemix(KEY, (4, 8, 12), per="example")
    fitted = jm.fit_partner(mix, x)
    choose = lambda *args, tpu, default: tpu(*args)
    monkeypatch.setattr(jax.lax, "platform_dependent", choose)
    jax.clear_caches()
    on_tpu = jm.fit_partner(mix, x)
    jax.clear_caches()
    on_tpu, fitted = (np.asarray(x).astype(np.complex64) for x in (on_tpu, fitted))
    np.testing.assert_allclose(on_tpu, fitted, atol=atol)


@pytest.mark.parametrize("method", jm.apply.fit.METHODS)
def test_a_box_as_large_as_the_input_shows_the_partner_itself(method):
    x = np.random.default_rng(2).normal(size=(2, 8, 12, 3)).astype(np.float32)
    whole = jm.fit_partner(mix_of((0, 0), (8, 12), (8, 12)), x, method=method)
    np.testing.assert_allclose(whole, x[::-1], atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2], ids=["one box", "a box for each"])
def test_fitting_is_one_pass_and_keeps_no_copy(batch):
    """What is linear takes one gather for each corner, and no image-sized temporary."""
    images = jax.ShapeDtypeStruct((2, 64, 48, 3), jnp.uint8)
    mask = jax.ShapeDtypeStruct((batch, 64, 48), jnp.bool_)

    def step(mask, x):
        mix = jm.Mix(jm.reverse(), mask, jnp.full(2, 0.5))
        return jm.blend(mix, x, other=jm.fit_partner(mix, x), dtype=jnp.float32)

    program = jax.jit(step).lower(mask, images).compile()
    assert [i["opcode"] for i in Program(program).passes(2 * 64 * 48 * 3)] == ["fusion"]
    assert program.memory_analysis().temp_size_in_bytes < 64 * 48


def test_dtypes_rows_of_their_own_and_nothing_given_away():
    x = np.random.default_rng(3).integers(0, 255, (4, 6, 6, 1)).astype(np.uint8)
    mix = jm.sample_resizemix(KEY, (4, 6, 6), per="example")
    exact = np.asarray(jm.fit_partner(mix, x.astype(np.float32)))
    assert np.abs(np.asarray(jm.fit_partner(mix, x), np.float32) - exact).max() <= 0.5 + 1e-4
    assert jm.fit_partner(mix, jnp.asarray(x, jnp.bfloat16)).dtype == jnp.bfloat16
    for i in range(4):  # each row by its own box
        alone = jm.Mix(jm.reverse(), mix.mask[i : i + 1], mix.lam)
        np.testing.assert_allclose(
            exact[i], jm.fit_partner(alone, x.astype(np.float32))[i], rtol=1e-5
        )
    none = jm.Mix(jm.reverse(), jnp.ones((1, 6, 6), bool), jnp.ones(4))
    assert np.isfinite(np.asarray(jm.fit_partner(none, x.astype(np.float32)))).all()
    given = jm.fit_partner(mix, x, other=x[::-1])
    np.testing.assert_array_equal(given, jm.fit_partner(mix, x))  # reversed rows are the partners


def test_pool_given_by_hand():
    mix = mix_of((2, 0), (4, 2), (4, 4))
    h = np.random.default_rng(4).normal(size=(2, 2, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(jm.pool_given(mix, h), h[:, 1, 0], rtol=1e-6)


@pytest.mark.parametrize(
    "call, error, match",
    [
        (
            lambda m, x: jm.fit_partner(m, x, method="cubic"),
            ValueError,
            "'linear', 'antialias', 'nearest'",
        ),
        (lambda m, x: jm.fit_partner(jm.sample_mixup(KEY, (2,)), x), TypeError, "sample_resizemix"),
        (lambda m, x: jm.fit_partner(m, x[:, :2]), ValueError, "resize_mix"),
        (lambda m, x: jm.fit_partner(m, x, other=x[:, :2]), ValueError, "other of shape"),
    ],
)
def test_bad_fits(call, error, match):
    with pytest.raises(error, match=match):
        call(mix_of((1, 1), (3, 3), (4, 4)), jnp.ones((2, 4, 4, 1)))


@pytest.mark.parametrize("method", ["linear", "antialias"])
def test_a_missing_value_is_resized_into_its_own_place_only(method):
    x = jnp.array([[0.0, 0, 0, 0], [jnp.nan, 2, 3, 4]])
    fitted = jm.fit_partner(HALF, x, method=method)[0, 2:]
    assert jnp.isnan(fitted[0]) and jnp.isfinite(fitted[1])


@pytest.mark.parametrize("method", jm.apply.fit.METHODS)
def test_a_missing_value_stays_in_its_own_place(method):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x[1, 1, 2] = np.nan
    fitted = jm.fit_partner(mix_of((0, 0), (3, 4), (3, 4)), x[..., None], method=method)
    np.testing.assert_allclose(fitted[..., 0], x[::-1], rtol=1e-6)


def test_fit_partner_of_bools_and_complex_numbers():
    mix = jm.Mix(jm.reverse(), jnp.array([[True, True, False, False]]), jnp.full(2, 0.5))
    bools = jnp.array([[0, 0, 0, 0], [1, 1, 0, 0]], bool)
    fitted = jm.fit_partner(mix, bools, method="antialias")
    assert fitted.dtype == jnp.bool_
    np.testing.assert_array_equal(fitted[0, 2:], [True, False])  # by the mean: 6/7 and 1/7, not any
    numbers = jnp.array([[1.0, 2, 3, 4], [4, 3, 2, 1]])
    for method in jm.apply.fit.METHODS:
        turned = jm.fit_partner(mix, jax.lax.complex(numbers, 2 * numbers), method=method)
        assert turned.dtype == jnp.complex64
        fitted = np.asarray(jm.fit_partner(mix, numbers, method=method))
        np.testing.assert_allclose(turned, fitted + 2j * fitted, rtol=1e-6)
