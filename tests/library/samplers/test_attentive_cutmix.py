"""Attentive CutMix: the partner's top cells."""

from functools import partial

import jax
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import LAMBDAS, MAPS, given
from tests.library.statistics import seed


def test_attentive_cutmix_gives_the_partners_top_cells(rng):
    draw = jax.jit(
        lambda s, law: jm.sample_attentive_cutmix(
            seed(3), s, grid=(3, 4), k=5, lam_law=given if law else None
        ),
        static_argnums=1,
    )
    rows, columns = np.arange(6) * 3 // 6, np.arange(12) * 4 // 12
    maps = rng.random((6, 6, 12)).astype(np.float32)
    for law in (False, True):
        mix = draw(maps, law)
        for i in range(6):
            means = maps[5 - i].reshape(3, 2, 4, 3).mean((1, 3))
            count = int(np.round((1 - LAMBDAS[i]) * 12)) if law else 5
            cells = np.ones(12, bool)
            cells[np.argsort(-means.ravel())[:count]] = False
            np.testing.assert_array_equal(mix.mask[i], cells.reshape(3, 4)[rows][:, columns])
            assert mix.lam[i] == np.float32((12 - count) * 6) / np.float32(72)
    cells = partial(jm.sample_attentive_cutmix, seed(3), grid=(4, 2), k=3)
    uneven = jax.jit(cells)(MAPS)  # of 1 or 2 by 4 or 5 positions
    np.testing.assert_allclose(uneven.lam, np.asarray(uneven.mask).mean((1, 2)), rtol=1e-6)
    with pytest.raises(ValueError, match="k=13; it needs an int from 0 to 12"):
        jm.sample_attentive_cutmix(seed(3), maps, grid=(3, 4), k=13)
    with pytest.raises(ValueError, match="number of cells"):
        jm.sample_attentive_cutmix(seed(3), MAPS)
