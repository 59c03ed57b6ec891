"""FMix: blobs of noise whose spectrum falls as a power."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import HALF, draws, seed, within

THIRD = jm.constant(0.3)


@pytest.mark.parametrize("spatial", [(9,), (6, 5), (3, 4, 5)])
def test_fmix_is_noise_whose_spectrum_falls_as_a_power(spatial):
    key = seed(spatial)
    sampler = partial(jm.sample_fmix, decay=2.0, lam_law=THIRD, per="example")
    mix = jax.jit(sampler, static_argnums=1)(key, (2, *spatial))
    noise = jax.random.normal(jax.random.split(key)[1], (2, *spatial), jnp.float32)
    frequency = np.zeros(spatial)
    for place in np.ndindex(*spatial):
        cycles = [min(i, n - i) / n for i, n in zip(place, spatial, strict=True)]
        frequency[place] = np.sqrt(np.sum(np.square(cycles)))
    frequency[(0,) * len(spatial)] = np.inf
    count = round(0.3 * frequency.size)
    for row, mask, lam in zip(np.asarray(noise, np.float64), mix.mask, mix.lam, strict=True):
        field = np.fft.ifftn(np.fft.fftn(row) * frequency**-2.0).real
        expected = field >= np.sort(field.ravel())[-count]
        np.testing.assert_array_equal(mask, expected)
        assert lam == np.float32(count) / np.float32(frequency.size)


def test_the_blobs_of_fmix_are_alike_along_both_axes_and_as_large_as_its_decay_says():
    size = 32
    f = np.fft.fftfreq(size)
    square = f[:, None] ** 2 + f[None, :] ** 2
    square[0, 0] = np.inf
    for decay in (0.5, 1.5):
        mask = draws(partial(jm.sample_fmix, lam_law=HALF, decay=decay), (size, size), 200).mask
        down, across = (np.diff(np.asarray(mask, int), axis=axis) != 0 for axis in (1, 2))
        within(down.mean(axis=(1, 2)) - across.mean(axis=(1, 2)), 0.0)
        power = square**-decay
        correlation = (power * np.cos(2 * np.pi * f)).sum() / power.sum()
        assert abs(down.mean() / (np.arccos(correlation) / np.pi) - 1) < 0.05


def test_fmix_errors_and_ends():
    law = jm.constant(jnp.array([0.0, 1.0]))
    assert draws(partial(jm.sample_fmix, lam_law=law), (8,), 2).lam.tolist() == [0, 1]
    with pytest.raises(ValueError, match="decay=-1"):
        jm.sample_fmix(seed(1), (2, 8), decay=-1.0)
    with pytest.raises(ValueError, match="one to three"):
        jm.sample_fmix(seed(1), (2, 8, 8, 8, 8))
