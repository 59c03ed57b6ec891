"""Mixing of hidden features: at a drawn layer, with noise, by moments."""

from functools import partial

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from tests.library.statistics import seed, within

KEY = jax.random.key(0)


@pytest.fixture
def plain_promotion():
    """Flax promotes; the library's own strictness is on in the other tests."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def mixed(mask, b=4):
    mask = jnp.asarray(mask, jnp.float32)
    return jm.Mix(jm.reverse(), mask, jnp.full(b, 0.75))


def normal(*shape, dtype=jnp.float32):
    return jax.random.normal(KEY, shape, jnp.float32).astype(dtype)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(5, 5, rngs=rngs) for _ in range(3)])

    def __call__(self, x, tap):
        for i, layer in enumerate(self.layers):
            x = nnx.relu(layer(tap(i, x)))
        return x


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x, tap):
        for i in range(3):
            x = nn.relu(nn.Dense(5)(tap(i, x)))
        return x


@pytest.mark.usefixtures("plain_promotion")
@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_one_compile_mixes_at_any_layer(kind):
    mix, x = mixed([0.25]), normal(4, 5)
    if kind == "nnx":
        graph, params = nnx.split(Nnx(nnx.Rngs(0)))
        apply = lambda params, x, tap: nnx.merge(graph, params)(x, tap)
    else:
        apply = Linen().apply
        params = Linen().init(KEY, x, lambda i, h: h)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def drawn(params, x, layer):
        return apply(params, x, lambda i, h: jm.blend_at(mix, h, layer=layer, at=i))

    results = [drawn(params, x, layer) for layer in range(4)]
    for layer, result in enumerate(results):
        fixed = apply(params, x, lambda i, h: jm.blend(mix, h) if i == layer else h)  # noqa: B023
        np.testing.assert_allclose(result, fixed, rtol=1e-5, atol=1e-6)
    assert len({np.asarray(result).tobytes() for result in results}) == 4
    np.testing.assert_allclose(results[3], apply(params, x, lambda i, h: h), rtol=1e-5, atol=1e-6)


def test_a_mask_with_positions_must_be_brought_to_the_features():
    mix = jm.sample_cutmix(KEY, (4, 8, 8), lam_law=jm.constant(0.5))
    h = normal(4, 4, 4, 3, dtype=jnp.bfloat16)
    with pytest.raises(ValueError, match="resize_mix"):
        jm.blend_at(mix, h, layer=0, at=0)
    small = jm.resize_mix(mix, h.shape[1:-1])
    tuple_at = jax.jit(lambda h, at: jm.blend_at((small, mixed([0.5])), h, layer=at, at=2))
    own, other, m = (np.asarray(a, np.float32) for a in (h, h[::-1], small.mask[..., None]))
    expected = 0.5 * (m * own + (1 - m) * other) + 0.5 * other
    got = tuple_at({"h": h}, 2)["h"]
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.astype(jnp.float32), expected, rtol=4e-3, atol=1e-6)
    np.testing.assert_array_equal(tuple_at({"h": h}, 1)["h"], h)
    with pytest.raises(TypeError, match="dtype"):
        jm.blend_at(mixed([0.5]), jnp.ones((4, 3), jnp.int32), layer=0, at=0)


def test_noise_has_the_laws_of_the_paper():
    x = jnp.full((400,), 2.0)
    keys = jax.random.split(seed("noise"), 800)
    draw = jax.jit(
        jax.vmap(lambda key, a, m: jm.add_noise(key, x, additive=a, multiplicative=m), (0, None, 0))
    )
    scaled = np.asarray(draw(keys, 0.0, jnp.full(800, 0.5))) / 2 - 1  # 0.5 b v
    assert np.abs(scaled).max() <= 0.5
    within(scaled.mean(axis=1), 0.0)
    # E b² = var + mean² = (2·5)/(49·8) + (2/7)² = 3/28 for Beta(2, 5), and E v² = 1/3
    within((scaled**2).mean(axis=1), 0.25 * 3 / 28 / 3)
    strength = np.abs(scaled).max(axis=1) / 0.5  # b, but for 1 in 400: one for all numbers
    within(strength, 2 / 7 * 400 / 401)
    added = np.asarray(draw(keys, 0.3, jnp.zeros(800))) - 2  # 0.3 b ξ
    within(added.mean(axis=1), 0.0)
    within((added**2).mean(axis=1), 0.09 * 3 / 28)
    fourth = (added**4).mean() / (added**2).mean() ** 2
    # E ξ⁴ = 3 and E b⁴ = (2·3·4·5)/(7·8·9·10) = 1/42, in (E b²)² = (3/28)²
    assert fourth == pytest.approx(3 / 42 / (3 / 28) ** 2, rel=0.2)


def test_noise_off_and_bad_noise():
    x = normal(3, 4, dtype=jnp.bfloat16)
    off = jax.jit(partial(jm.add_noise, KEY, additive=0, multiplicative=0.0))(x)
    np.testing.assert_array_equal(off, x)
    assert off.dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=r"additive=-1\.0; it needs a level"):
        jm.add_noise(KEY, x, additive=-1)
    with pytest.raises(TypeError, match="needs floats"):
        jm.add_noise(KEY, jnp.ones(3, jnp.int32))


def test_mixstyle_is_their_formula():
    h, lam = np.asarray(normal(3, 4, 5, 2)), np.array([0.9, 0.2, 0.6], np.float32)
    expected = np.zeros_like(h)
    for i in range(3):
        for c in range(2):
            own, other = h[i, :, :, c], h[2 - i, :, :, c]
            deviations = [np.sqrt(part.var(ddof=1) + 1e-6) for part in (own, other)]
            mean = lam[i] * own.mean() + (1 - lam[i]) * other.mean()
            deviation = lam[i] * deviations[0] + (1 - lam[i]) * deviations[1]
            expected[i, :, :, c] = (own - own.mean()) / deviations[0] * deviation + mean
    mix = jm.Mix(jm.reverse(), jnp.asarray(lam), jnp.ones(3))
    got = jm.blend_moments(mix, h, axes=(1, 2), detach=True)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    # Constants to the gradient: it is σ̃/σ, and nothing comes from the partner.

    @partial(jax.jit, static_argnums=1)
    @jax.grad
    def gradient(h, detach):
        return jm.blend_moments(mix, h, axes=(1, 2), detach=detach)[0].sum()

    constant = np.asarray(gradient(h, True))
    assert np.ptp(constant[0, :, :, 0]) < 1e-6 and not constant[1:].any()
    assert gradient(h, False)[2].any()


def test_moment_exchange_is_their_formula():
    h = np.asarray(normal(4, 3, 6))  # 1-D positions, six channels
    swap = jm.Mix(jm.roll(), mask=jnp.zeros(1), lam=jnp.full(4, 0.9))
    expected = np.zeros_like(h)
    for i in range(4):
        for t in range(3):
            own, other = h[i, t], h[i - 1, t]
            scale = np.sqrt(other.var(ddof=1) + 1e-5) / np.sqrt(own.var(ddof=1) + 1e-5)
            expected[i, t] = own * scale + other.mean() - own.mean() * scale
    got = jm.blend_moments(swap, h, axes=(-1,), epsilon=1e-5)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    part = jm.Mix(jm.roll(), jnp.array([[True, False, True]]), jnp.full(4, 0.9))  # one position
    got = np.asarray(jm.blend_moments(part, h, axes=(-1,), epsilon=1e-5))
    np.testing.assert_array_equal(got[:, ::2], h[:, ::2])
    np.testing.assert_allclose(got[:, 1], expected[:, 1], rtol=1e-4, atol=1e-5)


def test_moments_that_are_not_mixed_and_bad_ones():
    h = 100 + normal(4, 3, 3, 2, dtype=jnp.bfloat16)
    off = jax.jit(lambda h: jm.blend_moments(mixed([1.0]), h, axes=(1, 2)))
    np.testing.assert_array_equal(off(h), h)
    flat = jnp.ones((4, 3, 3, 2))  # no deviation at all, and one position
    total = jax.value_and_grad(lambda x: jm.blend_moments(mixed([0.0]), x, axes=(1, 2)).sum())
    for x in (flat, flat[:, :1, :1]):
        value, gradient = jax.jit(total)(x)
        assert bool(jnp.isfinite(gradient).all()) and float(value) == x.size
    for axes in ((), (0,), (1, 1), (1, -3), (4,), (-5,)):
        with pytest.raises(ValueError, match="different axes after the batch"):
            jm.blend_moments(mixed([0.5]), flat, axes=axes)
    box = jm.sample_cutmix(KEY, (4, 3, 3))
    with pytest.raises(ValueError, match="without positions on those axes"):
        jm.blend_moments(box, flat, axes=(1, 2))
    with pytest.raises(TypeError, match="needs floats"):
        jm.blend_moments(mixed([0.5]), jnp.ones((4, 3), jnp.int32), axes=(-1,))
