"""Masks of cells, blobs, fades and bands: their geometry by hand, their laws by many draws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import jax_mixup as jm
from jax_mixup import masks
from tests.test_distributions import seed, within

HALF = jm.constant(0.5)


def draws(sampler, shape, n=400):
    return jax.jit(lambda key: sampler(key, (n, *shape), per="example"))(seed(shape))


def test_a_box_spans_the_axes_that_it_does_not_cut():
    shape = (64, 4, 5, 6)
    for axes, others in (((2, 3), (1,)), ((1,), (2, 3)), ((3,), (1, 2))):
        mix = jm.sample_cutmix(seed(axes), shape, axes=axes, per="example")
        mask = np.asarray(mix.mask)
        assert (mask == mask.min(axis=others, keepdims=True)).all()
        cut = mask.max(axis=others)
        alone = jm.sample_cutmix(seed(axes), (64, *cut.shape[1:]), per="example")
        np.testing.assert_array_equal(cut, alone.mask)  # the box of those axes alone
        np.testing.assert_array_equal(mix.lam, alone.lam)
    whole = jm.sample_cutmix(seed(1), shape, axes=(3, 1, 2))
    np.testing.assert_array_equal(whole.mask, jm.sample_cutmix(seed(1), shape).mask)
    for axes in ((0,), (4,), (1, 1), ()):
        with pytest.raises(ValueError, match="different axes of shape"):
            jm.sample_cutmix(seed(1), shape, axes=axes)


def test_cells_are_kept_with_probability_lambda():
    mix = draws(partial(jm.sample_gridmix, grid=(2, 3), lam_law=jm.constant(0.3)), (5, 7), 4000)
    mask = np.asarray(mix.mask)
    rows, columns = np.arange(5) * 2 // 5, np.arange(7) * 3 // 7
    cells = mask[:, [0, 3]][:, :, [0, 3, 5]]
    np.testing.assert_array_equal(mask, cells[:, rows][:, :, columns])
    for cell in cells.reshape(4000, -1).T:
        within(cell, 0.3)
    together = cells[:, 0, 0] & cells[:, 0, 1]
    within(together, 0.09)  # independent
    columns = jm.sample_gridmix(seed(2), (3, 11))
    assert columns.mask.shape == (1, 11)
    for grid in ((6, 3), (0, 1), (2,)):
        with pytest.raises(ValueError, match="number of cells"):
            jm.sample_gridmix(seed(1), (4, 5, 7), grid=grid)


def test_the_blur_is_gaussian():
    noise = np.random.default_rng(0).normal(size=(2, 24, 31)).astype(np.float32)
    sigma = np.array([1.5, 3.0], np.float32)
    for x, s, found in zip(
        noise, sigma, masks.blur(jnp.asarray(noise), jnp.asarray(sigma)), strict=True
    ):
        expected = ndimage.gaussian_filter(x, s, mode="wrap", truncate=8)
        np.testing.assert_allclose(found, expected, atol=2e-3 * expected.std())


def test_blobs_have_the_share_and_the_size_asked_for():
    shares = draws(partial(jm.sample_cowmix, lam_law=jm.constant(0.3)), (10, 21), 40)
    assert (shares.lam == np.float32(63 / 210)).all()
    edges = {}
    for sigma in (1.0, 2.0, 4.0):
        mask = draws(partial(jm.sample_cowmix, lam_law=HALF, sigma=(sigma, sigma)), (64, 64), 40)
        edges[sigma] = np.diff(np.asarray(mask.mask, int), axis=2).__abs__().mean()
    # Neighbours of a blurred Gaussian field correlate by exp(-1 / 4σ²), and signs differ with
    # probability arccos(r) / π.
    for sigma, found in edges.items():
        assert abs(found / (np.arccos(np.exp(-1 / (4 * sigma**2))) / np.pi) - 1) < 0.08
    ends = [jm.sample_cowmix(seed(3), (2, 8, 8), lam_law=jm.constant(v)).lam[0] for v in (0.0, 1.0)]
    assert ends == [0, 1]
    for sigma in ((0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="0 < low <= high"):
            jm.sample_cowmix(seed(1), (2, 8), sigma=sigma)
    with pytest.raises(ValueError, match="one to three"):
        jm.sample_cowmix(seed(1), (2, 8, 8, 8, 8))


def test_a_fade_is_linear_and_its_mean_is_lambda():
    mix = draws(jm.sample_fademix, (9, 4, 4), 4000)
    mask, lam = np.asarray(mix.mask, np.float64), np.asarray(mix.lam)
    assert mask.shape == (4000, 9)
    np.testing.assert_allclose(np.diff(mask, n=2), 0, atol=1e-6)
    np.testing.assert_allclose(mask.mean(axis=1), lam, atol=1e-6)
    g = np.minimum(lam, 1 - lam)
    slope = (mask[:, -1] - lam)[g > 1e-3] / g[g > 1e-3]
    assert np.abs(slope).max() <= 1 + 1e-3
    within(slope, 0.0)
    within(slope**2, 1 / 3)  # γ / g ~ U(-1, 1)
    other = jm.sample_fademix(seed(1), (2, 5, 6), axis=2, lam_law=HALF)
    assert other.mask.shape == (1, 5, 6) and (other.mask == other.mask[:, :1]).all()
    one = jm.sample_fademix(seed(1), (2, 1, 8), lam_law=HALF)
    np.testing.assert_array_equal(one.mask, [[0.5]])
    with pytest.raises(ValueError, match="from 1 to 2"):
        jm.sample_fademix(seed(1), (2, 5, 6), axis=0)


@pytest.mark.parametrize("bands", [1, 3])
def test_bands_go_through_from_edge_to_edge(bands):
    sampler = partial(jm.sample_specmix, bands=bands, lam_law=jm.constant(0.25))
    mask = np.asarray(draws(sampler, (40, 60)).mask)
    times, frequencies = mask.any(axis=2), mask.any(axis=1)
    np.testing.assert_array_equal(mask, times[:, :, None] & frequencies[:, None, :])
    for kept, size in ((times, 40), (frequencies, 60)):
        width = round(size * 0.5 / bands)
        missing = size - kept.sum(axis=1)
        assert missing.max() == bands * width and missing.min() >= width
        starts = (np.diff(np.pad(kept, ((0, 0), (1, 0)), constant_values=True)) & ~kept).sum(axis=1)
        assert starts.max() == bands and starts.min() >= 1
    with pytest.raises(ValueError, match="bands=0"):
        jm.sample_specmix(seed(1), (2, 4, 4), bands=0)


def test_a_folded_beta_is_the_larger_side():
    lam = np.asarray(jm.folded_beta(0.75)(seed(4), (100_000,)), np.float64)
    both = np.asarray(jm.symmetric_beta(seed(4), 0.75, (100_000,)), np.float64)
    np.testing.assert_allclose(lam, np.maximum(both, 1 - both), atol=1e-7)
    assert (jm.folded_beta(0.0)(seed(4), (3,)) == 1).all()
    with pytest.raises(ValueError, match="folded_beta got alpha"):
        jm.folded_beta(-1.0)
