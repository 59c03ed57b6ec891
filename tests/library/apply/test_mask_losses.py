"""Losses of masks that are learned, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm


def test_losses_by_hand():
    real, mixed = np.array([2.0, -1.0, 0.5]), np.array([1.0, -3.0])
    sigma = lambda z: 1 / (1 + np.exp(-z))
    expected = -(np.log(sigma(real)).sum() + np.log(1 - sigma(mixed)).sum()) / 5
    np.testing.assert_allclose(jm.intrusion_loss(real, mixed), expected, rtol=1e-5)
    bool_mask = jm.Mix(jm.reverse(), jnp.array([[True, True, True, False]]), jnp.array([0.5, 1.0]))
    np.testing.assert_allclose(jm.mask_loss(bool_mask), 0.15, rtol=1e-5)
    np.testing.assert_allclose(jm.mask_loss(bool_mask, margin=0.0), 0.25, rtol=1e-5)
    mixes = tuple(jm.Mix(jm.roll(k), jnp.full(3, 0.5), jnp.full(3, 0.5)) for k in (1, 2))
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    cosine = lambda a, b: (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    alike = [
        0.25 * cosine(a[i], b[i]) + 0.25 * cosine(a[i], b[i - 1]) + 0.5 * cosine(a[i], b[i - 2])
        for i in range(3)
    ]
    losses = jnp.array([1.0, 2.0, 6.0])
    b = jnp.asarray(b)
    value = jax.jit(jax.value_and_grad(lambda a: jm.adautomix_loss(mixes, losses, a, b, beta=0.3)))
    np.testing.assert_allclose(value(a)[0], -0.3 * 3 + 0.7 * np.mean(alike), rtol=1e-4)
    assert bool(jnp.isfinite(value(jnp.zeros((3, 4)))[1]).all())
