"""SpecMix: bands from edge to edge."""

from functools import partial

import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import draws, seed


@pytest.mark.parametrize("bands", [1, 3])
def test_bands_go_through_from_edge_to_edge(bands):
    sampler = partial(jm.sample_specmix, bands=bands, lam_law=jm.constant(0.25))
    mask = np.asarray(draws(sampler, (40, 60)).mask)
    times, frequencies = np.any(mask, axis=2), np.any(mask, axis=1)
    np.testing.assert_array_equal(mask, times[:, :, None] & frequencies[:, None, :])
    for kept, size in ((times, 40), (frequencies, 60)):
        width = round(size * 0.5 / bands)
        missing = size - kept.sum(axis=1)
        assert missing.max() == bands * width and missing.min() >= width
        starts = (np.diff(np.pad(kept, ((0, 0), (1, 0)), constant_values=True)) & ~kept).sum(axis=1)
        assert starts.max() == bands and starts.min() >= 1
    with pytest.raises(ValueError, match="bands=0"):
        jm.sample_specmix(seed(1), (2, 4, 4), bands=0)
