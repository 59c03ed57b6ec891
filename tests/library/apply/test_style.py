"""Blends of distributions and of amplitudes."""

from inspect import unwrap

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.x64 import enable_x64

KEY = jax.random.key(0)
quantiles, amplitude = (
    unwrap(jm.blend_quantiles),
    unwrap(jm.blend_amplitude),
)  # with jm's own checks


def mixed(mask, b=4, pairing=jm.reverse()):  # noqa: B008 (it is frozen)
    return jm.Mix(pairing, jnp.asarray(mask, jnp.float32), jnp.ones(b))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ranked(own, values):
    """Sorted values, each at the place where `own` has the value of its rank."""
    out = np.zeros_like(own)
    out[np.argsort(own, kind="stable")] = values
    return out


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_quantiles_by_hand(dtype):
    h = jnp.asarray(np.maximum(normal(5, 3, 4, 2), 0), dtype)  # half of the values are equal
    m, wide = np.float32([0.0, 0.25, 1.0, 0.5, 0.9]), np.asarray(h, np.float32)
    expected = np.zeros_like(wide)
    for i in range(5):
        for c in range(2):
            own, other = (np.sort(wide[j, :, :, c].ravel()) for j in (i, i - 1))
            values = m[i] * own + (1 - m[i]) * other
            expected[i, :, :, c] = ranked(wide[i, :, :, c].ravel(), values).reshape(3, 4)
    mix = mixed(m, 5, jm.roll())
    for axes in ((1, 2), (2, -3)):  # ties are by place, in whatever order axes are named
        found = jm.blend_quantiles(mix, h, axes=axes)
        assert found.dtype == dtype
        tolerance = 1e-6 if dtype == jnp.float32 else 4e-3
        np.testing.assert_allclose(np.asarray(found, np.float32), expected, rtol=tolerance)
    np.testing.assert_array_equal(found[2], h[2])
    swapped = np.sort(np.asarray(found, np.float32)[0].reshape(-1, 2), axis=0)
    np.testing.assert_array_equal(swapped, np.sort(wide[4].reshape(-1, 2), axis=0))


def test_quantiles_of_positions_tuples_and_other_features():
    h, before = normal(4, 3, 6), normal(4, 3, 6, seed=1)
    m, m2 = np.random.default_rng(2).random((2, 4, 3), np.float32)
    several = (mixed(m), mixed(m2[:, 0], pairing=jm.roll()))
    found = jax.jit(lambda h: jm.blend_quantiles(several, h, axes=(-1,)))(h)
    given = jax.jit(lambda h: jm.blend_quantiles(several[0], h, axes=(2,), other=before))(h)
    for i in range(4):
        for t in range(3):
            own, other, third, new = (
                np.sort(x) for x in (h[i, t], h[3 - i, t], h[i - 1, t], before[i, t])
            )
            first = m[i, t] * own + (1 - m[i, t]) * other
            values = m2[i, 0] * first + (1 - m2[i, 0]) * third
            np.testing.assert_allclose(found[i, t], ranked(h[i, t], values), rtol=1e-5, atol=1e-6)
            values = m[i, t] * own + (1 - m[i, t]) * new
            np.testing.assert_allclose(given[i, t], ranked(h[i, t], values), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_quantiles():
    """Of own values that of h, of the partner's 1 - m, at the place of its rank."""
    h, weights, m = normal(4, 6, 1), normal(4, 6, 1, seed=1), np.float32([0.3, 0.0, 1.0, 0.8])
    total = lambda h: (jm.blend_quantiles(mixed(m), h, axes=(1,)) * weights).sum()
    expected = weights.copy()
    for i in range(4):
        by_rank = (1 - m[i]) * weights[i, np.argsort(h[i, :, 0]), 0]
        expected[3 - i, np.argsort(h[3 - i, :, 0]), 0] += by_rank
    np.testing.assert_allclose(jax.jit(jax.grad(total))(h), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shape, axes",
    [((4, 6, 9, 2), None), ((4, 7, 2), None), ((4, 3, 4, 5, 2), None), ((4, 3, 6, 8, 2), (-3, 3)),
     ((4, 5, 6), (2,))],
)  # fmt: skip
@pytest.mark.parametrize("low", [None, 0.0, 0.25])
def test_amplitudes_by_hand(shape, axes, low):
    x = 100 * normal(*shape)
    taken = tuple(range(1, len(shape) - 1)) if axes is None else tuple(a % len(shape) for a in axes)
    m = np.float32([0.0, 0.3, 1.0, 0.75])
    weight = m.reshape((-1,) + (1,) * (len(shape) - 1))
    spectrum = np.fft.fftn(x, axes=taken)
    size = np.abs(spectrum)
    new = weight * size + (1 - weight) * size[::-1]
    if low is not None:
        reach = int(low * min(shape[a] for a in taken))
        for a in taken:
            k = np.abs(np.fft.fftfreq(shape[a], 1 / shape[a]))
            inside = np.expand_dims(k <= reach, [i for i in range(len(shape)) if i != a])
            new = np.where(inside, new, size)
    expected = np.fft.ifftn(new * np.exp(1j * np.angle(spectrum)), axes=taken)
    assert np.abs(expected.imag).max() < 1e-3
    blend = jax.jit(lambda x: jm.blend_amplitude(mixed(m), x, axes=axes, low=low))
    np.testing.assert_allclose(blend(x), expected.real, atol=2e-3)
    np.testing.assert_array_equal(blend(x)[2], x[2])


def test_amplitudes_of_bytes_and_halves():
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    exact = np.asarray(jm.blend_amplitude(mixed([0.5]), images.astype(np.float32)))
    for dtype in (jnp.float32, jnp.bfloat16):
        found = jm.blend_amplitude(mixed([0.5]), images, dtype=dtype)
        assert found.dtype == dtype
        eps = float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(np.asarray(found, np.float32), exact, rtol=eps, atol=1e-3)
    halves = jnp.asarray(images / 255, jnp.float16)
    assert jm.blend_amplitude(mixed([0.5]), halves).dtype == jnp.float16
    means = jm.blend_amplitude(mixed([0.0]), images, low=0.0, dtype=jnp.float32).mean((1, 2))
    np.testing.assert_allclose(means, images.mean((1, 2))[::-1], rtol=1e-5)


@pytest.mark.parametrize("n, low, reach", [(100, 0.29, 29), (37, 3 / 37, 3), (37, 3.0, 18)])
def test_a_traced_reach_is_the_known_one(n, low, reach):
    x, mix = normal(2, n, 1), mixed([0.0], 2)
    blend = jax.jit(lambda low: jm.blend_amplitude(mix, x, low=low))
    found = blend(low)
    np.testing.assert_array_equal(found, jax.jit(lambda: jm.blend_amplitude(mix, x, low=low))())
    changed = np.abs(np.fft.rfft(np.asarray(found - x)[:, :, 0])) > 1e-3
    assert changed[:, : reach + 1].all() and not changed[:, reach + 1 :].any()
    for off in (-1.0, jnp.nan):
        np.testing.assert_array_equal(blend(off), x)


def test_nothing_is_mixed_in_a_batch_of_one():
    x = jnp.asarray(normal(1, 5, 6, 3))
    mix = mixed([0.4], 1)
    np.testing.assert_array_equal(jm.blend_amplitude(mix, x), x)
    np.testing.assert_array_equal(jm.blend_quantiles(mix, x, axes=(1, 2)), x)


def test_what_has_no_waves_gets_those_of_phase_zero():
    x = normal(2, 5, 6, 1)
    x[0] = 0
    found = jm.blend_amplitude(mixed([0.0], 2), x)[0, :, :, 0]
    expected = np.fft.ifft2(np.abs(np.fft.fft2(x[1, :, :, 0]))).real
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gradients_are_finite_where_amplitudes_are_zero():
    for x in (jnp.zeros((4, 6, 6, 1)), jnp.ones((4, 5, 6, 1)), jnp.asarray(normal(4, 6, 5, 1))):
        total = lambda x: jnp.square(jm.blend_amplitude(mixed([0.4]), x, low=0.2)).sum()
        chex.assert_tree_all_finite(jax.jit(jax.grad(total))(x))


def test_shards_transform_their_own_images():
    """As the docstring advises: XLA gathers the batch for an FFT under a plain jit."""
    x = normal(16, 6, 6, 2)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = PartitionSpec("data")
    blend = lambda x: jm.blend_amplitude(mixed([0.3], 2), x, low=0.2)
    mapped = jax.jit(jax.shard_map(blend, mesh=mesh, in_specs=spec, out_specs=spec))
    x = jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))
    program = mapped.lower(x).compile()
    assert set(Program(program).collectives()) == set()
    whole = jm.blend_amplitude(mixed([0.3], 16, jm.reverse(groups=8)), np.asarray(x), low=0.2)
    np.testing.assert_allclose(program(x), whole, atol=1e-5)


def test_mistakes():
    x, half = jnp.ones((4, 3, 3, 2)), mixed([0.5])
    for verb in (quantiles, amplitude):
        for axes in ((), (0,), (1, 1), (1, -3), (4,), (-5,)):
            with pytest.raises(ValueError, match="different axes after the batch"):
                verb(half, x, axes=axes)
        with pytest.raises(ValueError, match="without positions on those axes"):
            verb(jm.sample_cutmix(KEY, (4, 3, 3)), x, axes=(1, 2))
        with pytest.raises(ValueError, match=r"other of shape \(4, 3, 2, 2\)"):
            verb(half, x, axes=(1, 2), other=x[:, :, 1:])
        with pytest.raises(ValueError, match="one mix"):
            verb((half, half), x, axes=(1, 2), other=x)
        with pytest.raises(ValueError, match="a mix of 4 examples"):
            verb(half, x[:3], axes=(1, 2))
    with pytest.raises(TypeError, match="int32; it needs floats"):
        jm.blend_quantiles(half, jnp.ones((4, 3), jnp.int32), axes=(1,))
    for given, dtype in ((jnp.uint8, None), (jnp.float32, jnp.int8), (jnp.complex64, jnp.float32)):
        with pytest.raises(TypeError, match="a float dtype, such as"):
            amplitude(half, x.astype(given), dtype=dtype)
    with pytest.raises(ValueError, match="different axes after the batch"):
        amplitude(half, jnp.ones((4, 3)))  # no axis between the batch and the channels
    with pytest.raises(ValueError, match="one to three axes"):
        amplitude(half, jnp.ones((4, 2, 2, 2, 2, 2)))
    for low in (-0.1, np.nan):
        with pytest.raises(ValueError, match="low="):
            amplitude(half, x, low=low)
    with pytest.raises(ValueError, match=r"low of shape \(4,\)"):
        amplitude(half, x, low=jnp.ones(4))


def test_infinite_values_have_their_rank_and_spoil_nothing():
    h = jnp.array([[1.0, -jnp.inf, 3.0], [4.0, 5.0, 6.0]])[..., None]
    whole, half = (jm.Mix(jm.reverse(), jnp.array([m]), jnp.full(2, m)) for m in (1.0, 0.5))
    np.testing.assert_array_equal(jm.blend_quantiles(whole, h, axes=(1,)), h)
    found = jm.blend_quantiles(half, h, axes=(1,))
    np.testing.assert_array_equal(found[0, :, 0], [3.0, -np.inf, 4.5])


def test_float64_keeps_its_digits():
    rng = np.random.default_rng(9)
    with enable_x64(True):
        x = jnp.asarray(rng.random((2, 4, 5, 1)) * 1e9)
        whole = jm.Mix(jm.reverse(), jnp.ones(1), jnp.ones(2))
        for verb in (jm.blend_quantiles, jm.blend_moments):
            np.testing.assert_array_equal(verb(whole, x, axes=(1, 2)), x)
        np.testing.assert_allclose(jm.blend_amplitude(whole, x), x, rtol=1e-12)
