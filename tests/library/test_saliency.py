"""Saliency by hand and by the papers' formulas."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import jax_mixup as jm
from tests.library.by_hand import MAPS


def test_gradient_saliency_is_the_norm_over_channels(rng):
    x = rng.normal(size=(3, 4, 5, 2)).astype(np.float32)
    slope = rng.normal(size=x.shape).astype(np.float32)
    rows = lambda x: (slope * jnp.sin(x)).sum((1, 2, 3))
    expected = np.sqrt(((slope * np.cos(x)) ** 2).sum(-1))
    np.testing.assert_allclose(jm.gradient_saliency(rows, x), expected, rtol=1e-5)
    mean = lambda x: rows(x.astype(jnp.float32)).mean()
    half = jm.gradient_saliency(mean, jnp.asarray(x, jnp.bfloat16))
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, expected / 3, atol=0.05)
    through = jax.jit(jax.grad(lambda x: jm.gradient_saliency(rows, x).sum()))
    assert (through(jnp.asarray(x)) == 0).all()
    with pytest.raises(TypeError, match="cast and normalise"):
        jm.gradient_saliency(rows, np.ones((2, 3, 1), np.uint8))
    with pytest.raises(ValueError, match="add a channel axis"):
        jm.gradient_saliency(rows, x[:, 0, 0])


def test_a_blur_is_gaussian_and_keeps_constants():
    loss = lambda x: (MAPS[..., None] * x).sum()
    found = jax.jit(lambda x: jm.gradient_saliency(loss, x, blur=1.5))(jnp.ones((6, 6, 9, 1)))
    for s, expected in zip(found, MAPS, strict=True):
        weight = lambda a: ndimage.gaussian_filter(a, 1.5, mode="constant", truncate=9)
        expected = weight(expected.astype(np.float64)) / weight(np.ones((6, 9)))
        # scipy brings its kernel to sum 1 over all whole numbers, which divides out.
        np.testing.assert_allclose(s, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="blur=-1"):
        jm.gradient_saliency(loss, jnp.ones((6, 6, 9, 1)), blur=-1.0)


@pytest.mark.parametrize("spatial", [(16,), (9, 12), (4, 6, 5)], ids=str)
def test_spectral_residual_is_the_papers(spatial, rng):
    x = rng.normal(size=(2, *spatial, 3)).astype(np.float32)
    found = jax.jit(partial(jm.spectral_residual, blur=0.0))(x)
    for s, image in zip(found, x.mean(-1), strict=True):
        spectrum = np.fft.fftn(image)
        log = np.log(np.abs(spectrum))
        residual = log - ndimage.uniform_filter(log, 3, mode="wrap")
        expected = np.abs(np.fft.ifftn(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
        np.testing.assert_allclose(s, expected, rtol=2e-3, atol=1e-5 * expected.max())


def test_spectral_residual_sees_what_stands_out():
    image = np.tile(np.array([0, 200], np.uint8), (2, 96, 24))[..., None]
    image[0, 61:69, 20:25] = 255  # of 96 x 48 positions, worked on in 32 x 16
    s = np.asarray(jax.jit(partial(jm.spectral_residual, size=32, blur=1.0))(image))
    row, column = np.unravel_index(s[0].argmax(), s[0].shape)
    assert s.shape == (2, 96, 48) and 58 <= row <= 71 and 17 <= column <= 27
    plain = np.stack([np.zeros((8, 8, 1)), np.ones((8, 8, 1))])
    zeros, constant = np.asarray(jax.jit(jm.spectral_residual)(plain))
    assert (zeros == 0).all() and constant.std() < 1e-4 * constant.mean() and (constant > 0).all()
    with pytest.raises(ValueError, match="one to three"):
        jm.spectral_residual(np.ones((1, 2, 2, 2, 2, 1)))
    with pytest.raises(ValueError, match="size=0"):
        jm.spectral_residual(np.ones((1, 2, 1)), size=0)
