"""Blobs of noise and Gaussian spots: their geometry by hand, their laws by many draws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import jax_mixup as jm
from jax_mixup import _geometry
from tests.library.test_distributions import seed, within
from tests.library.test_patterns import HALF, draws

THIRD = jm.constant(0.3)


def test_the_largest_are_the_largest_and_of_equal_ones_the_first():
    x = np.random.default_rng(0).normal(size=(9, 4, 5)).round(1).astype(np.float32)
    x[1], x[2] = 0.0, -1.5
    lam = np.array([0, 0.11, 0.25, 0.31, 0.5, 0.66, 0.75, 0.97, 1], np.float32)
    found = jax.jit(_geometry.mark_largest)(jnp.asarray(x), jnp.asarray(lam))
    for values, share, mask in zip(x.reshape(9, -1), lam, np.asarray(found), strict=True):
        order = sorted(range(20), key=lambda i, v=values: (-v[i], i))
        kept = set(order[: round(20 * float(share))])
        assert mask.ravel().tolist() == [i in kept for i in range(20)]


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


def test_the_blur_is_gaussian():
    noise = np.random.default_rng(0).normal(size=(2, 24, 31)).astype(np.float32)
    sigma = np.array([1.5, 3.0], np.float32)
    for x, s, found in zip(
        noise, sigma, _geometry.blur(jnp.asarray(noise), jnp.asarray(sigma)), strict=True
    ):
        expected = ndimage.gaussian_filter(x, s, mode="wrap", truncate=8)
        np.testing.assert_allclose(found, expected, atol=2e-3 * expected.std())


def test_blobs_have_the_share_and_the_size_asked_for():
    law = jm.constant(jnp.array([0.3, 0.0, 1.0]))
    shares = draws(partial(jm.sample_cowmix, lam_law=law), (10, 21), 3)
    assert shares.lam.tolist() == [np.float32(0.3), 0, 1]
    edges = {}
    for sigma in (1.0, 4.0):
        mask = draws(partial(jm.sample_cowmix, lam_law=HALF, sigma=(sigma, sigma)), (64, 64), 40)
        edges[sigma] = np.diff(np.asarray(mask.mask, int), axis=2).__abs__().mean()
    # Neighbours of a blurred Gaussian field correlate by exp(-1 / 4σ²), and signs differ with
    # probability arccos(r) / π.
    for sigma, found in edges.items():
        assert abs(found / (np.arccos(np.exp(-1 / (4 * sigma**2))) / np.pi) - 1) < 0.08
    # σ is uniform in its logarithm: not one of the bounds, and not uniform itself.
    mask = np.asarray(
        draws(partial(jm.sample_cowmix, lam_law=HALF, sigma=(1.0, 16.0)), (64, 64), 300).mask
    )
    found = (np.diff(mask.astype(int), axis=2) != 0).mean((1, 2))
    sigma = np.exp(np.linspace(0, np.log(16), 1001))
    within(found, (np.arccos(np.exp(-1 / (4 * sigma**2))) / np.pi).mean())
    for sigma in ((0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="0 < low <= high"):
            jm.sample_cowmix(seed(1), (2, 8), sigma=sigma)
    with pytest.raises(ValueError, match="one to three"):
        jm.sample_cowmix(seed(1), (2, 8, 8, 8, 8))


def test_a_wide_blur_keeps_its_digits():
    """Only the lowest frequency is left, some 1e-9 of the noise: half of a circle, anywhere on it.

    Next to the noise's mean it would be below float32's rounding.
    """
    mix = draws(partial(jm.sample_cowmix, lam_law=HALF, sigma=(16.0, 16.0)), (16,), 64)
    mask = np.asarray(mix.mask).astype(int)
    assert (mask.sum(axis=1) == 8).all()
    assert (np.abs(mask - np.roll(mask, 1, axis=1)).sum(axis=1) == 2).all()
    assert len({row.tobytes() for row in mask}) > 10


def gaussian(spatial, centre, width):
    """exp(-π Σ (x - c)² / w²), with everything in shares of each axis, position by position."""
    spot = np.zeros(spatial)
    for place in np.ndindex(*spatial):
        offsets = [(p - c) / n for p, c, n in zip(place, centre, spatial, strict=True)]
        spot[place] = np.exp(-np.pi * sum(o * o for o in offsets) / width**2)
    return spot


@pytest.mark.parametrize("spatial", [(9,), (4, 6), (3, 4, 5)])
def test_gmix_is_the_formula_around_some_position(spatial):
    mix = jax.jit(
        lambda key: {
            lam: jm.sample_gmix(key, (3, *spatial), lam_law=jm.constant(lam), per="example")
            for lam in (0.0, 0.3, 0.8, 1.0)
        }
    )(seed(spatial))
    for lam, found in mix.items():
        for mask, share in zip(np.asarray(found.mask), found.lam, strict=True):
            low = lam < 0.5
            centre = np.unravel_index((mask if low else -mask).argmax(), spatial)
            smaller = min(lam, 1 - lam)
            spot = gaussian(spatial, centre, smaller ** (1 / len(spatial))) if smaller else 0 * mask
            expected = spot if low else 1 - spot
            np.testing.assert_allclose(mask, expected, atol=1e-6)
            np.testing.assert_allclose(share, expected.mean(), rtol=1e-5)


def test_a_spot_far_from_the_border_holds_its_share():
    lam = jnp.array([0.02, 0.1])
    bump = jax.jit(_geometry.bump, static_argnums=2)
    _, mean = bump(jnp.full((2, 2), 0.5), jnp.sqrt(lam), (101, 51))
    np.testing.assert_allclose(mean, lam, rtol=1e-3)


def test_smoothmix_is_a_spot_anywhere_of_uniform_width():
    spatial = (4, 6)
    mix = draws(jm.sample_smoothmix, spatial, 4000)
    mask = np.asarray(mix.mask, np.float64)
    flat = mask.reshape(4000, -1)
    centre = flat.argmin(axis=1)
    assert (flat.min(axis=1) == 0).all()
    for place in range(24):
        within(centre == place, 1 / 24)
    # The neighbour along the second axis, whichever side it lies, is 1/6 of the axis away.
    row, column = np.divmod(centre, 6)
    neighbour = mask[np.arange(4000), row, np.where(column > 0, column - 1, 1)]
    sigma = np.sqrt(-0.5 / 36 / np.log(1 - neighbour))
    assert sigma.min() > 0.2499 and sigma.max() < 0.5001
    within(sigma, 0.375)
    within((sigma - 0.375) ** 2, 0.25**2 / 12)
    for i in range(5):
        spot = gaussian(spatial, (row[i], column[i]), sigma[i] * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(mask[i], 1 - spot, atol=1e-5)
        np.testing.assert_allclose(mix.lam[i], 1 - spot.mean(), rtol=1e-5)
    for sigma in ((0.0, 0.5), (0.5, 0.25)):
        with pytest.raises(ValueError, match="0 < low <= high"):
            jm.sample_smoothmix(seed(1), (2, 8), sigma=sigma)


def test_noise_is_added_to_the_weight_of_a_mixup():
    sampler = partial(jm.sample_noisymixup, noise=0.05, lam_law=THIRD)
    mix = draws(sampler, (5, 7), 400)
    mask = np.asarray(mix.mask, np.float64)
    within(mask, 0.3)
    within((mask - 0.3) ** 2, 0.05**2)
    within((mask[:, 0, 0] - 0.3) * (mask[:, 0, 1] - 0.3), 0.0)  # each position its own
    np.testing.assert_allclose(mix.lam, mask.mean(axis=(1, 2)), rtol=1e-6)
    wide = draws(partial(jm.sample_noisymixup, noise=1.0, lam_law=HALF), (99,), 2).mask
    assert wide.min() == 0 and wide.max() == 1  # clipped
    off = draws(partial(jm.sample_noisymixup, alpha=0.0), (9,), 2)
    assert (off.mask == 1).all() and (off.lam == 1).all()
    with pytest.raises(ValueError, match="noise=-1"):
        jm.sample_noisymixup(seed(1), (2, 9), noise=-1.0)


def test_alpha_may_be_traced_and_of_any_float():
    @jax.jit
    def lams(alpha):
        samplers = (jm.sample_fmix, jm.sample_gmix, jm.sample_hmix)
        return [f(seed(5), (3, 7), alpha=alpha, per="example").lam for f in samplers]

    for lam in lams(jnp.bfloat16(0.5)):
        assert lam.dtype == jnp.float32 and bool(((lam >= 0) & (lam <= 1)).all())
