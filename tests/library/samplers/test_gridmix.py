"""GridMix's cells: how many, which, and where their lines are."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup import _geometry
from tests.library.statistics import HALF, draws, seed, within


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
    for grid in ((6, 3), (0, 1), (2,)):
        with pytest.raises(ValueError, match="number of cells"):
            jm.sample_gridmix(seed(1), (4, 5, 7), grid=grid)


def test_an_exact_number_of_cells_any_of_them():
    sampler = partial(jm.sample_gridmix, grid=(2, 3), exact=True, lam_law=jm.constant(0.3))
    mix = draws(sampler, (4, 6), 4000)
    cells = np.asarray(mix.mask)[:, ::2, ::2]
    assert (cells.sum(axis=(1, 2)) == 2).all() and (mix.lam == np.float32(1 / 3)).all()
    for cell in cells.reshape(4000, -1).T:
        within(cell, 1 / 3)
    within(cells[:, 0, 0] & cells[:, 1, 2], 1 / 15)  # one of 15 pairs


def test_the_lines_between_cells_may_move():
    moved = np.array([[-0.5, 0.2, 0.5], [0.1, 0.0, -0.3]], np.float32)  # one line, then two
    cells = np.random.default_rng(0).random((2, 2, 3)) < 0.5
    found = np.asarray(_geometry.enlarge(jnp.asarray(cells), (5, 7), jnp.asarray(moved)))
    for row in range(2):
        for r in range(5):
            for c in range(7):
                place = (
                    int(r + 0.5 >= (1 + moved[row, 0]) * 5 / 2),
                    sum(c + 0.5 >= (k + moved[row, k]) * 7 / 3 for k in (1, 2)),
                )
                assert found[row, r, c] == cells[row][place]
    mix = draws(partial(jm.sample_gridmix, grid=(2, 2), jitter=0.5, lam_law=HALF), (8, 4), 4000)
    mask = np.asarray(mix.mask)
    within(mask[:, 0, 0], 0.5)
    change = mask[:, :-1, 0] != mask[:, 1:, 0]
    line = change.argmax(axis=1)[change.any(axis=1)] + 1
    for place, share in {2: 1 / 8, 3: 1 / 4, 4: 1 / 4, 5: 1 / 4, 6: 1 / 8}.items():
        within(line == place, share)  # the line is uniform from 2 to 6
    with pytest.raises(ValueError, match="jitter=0"):
        jm.sample_gridmix(seed(1), (2, 4), jitter=0.6)
