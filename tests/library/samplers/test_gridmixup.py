"""GridMixup's lattice of holes."""

from functools import partial

import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import draws, seed, within


def first_of(holes):
    """Where holes of a cyclic line start."""
    return holes & ~np.roll(holes, 1, axis=1)


def test_a_lattice_of_holes():
    sampler = partial(jm.sample_gridmixup, holes=(3, 3), lam_law=jm.constant(0.75))
    mix = draws(sampler, (24, 12), 400)
    hole = np.logical_not(mix.mask)
    rows, columns = hole.any(axis=2), hole.any(axis=1)
    np.testing.assert_array_equal(hole, rows[:, :, None] & columns[:, None, :])
    for line, cell in ((rows, 8), (columns, 4)):
        assert (line == np.roll(line, cell, axis=1)).all()  # every cell is the same
        assert (line[:, :cell].sum(axis=1) == cell // 2).all()  # √(1 - 0.75) of it
        starts = first_of(line)
        assert (starts.sum(axis=1) == 3).all()
        for offset in range(cell):
            within(starts[:, offset], 1 / cell)
    within(first_of(rows)[:, 0] & first_of(columns)[:, 0], 1 / 32)  # each axis moves on its own
    assert (mix.lam == 0.75).all()


def test_holes_are_as_many_and_as_large_as_the_law_says():
    mix = draws(partial(jm.sample_gridmixup, lam_law=jm.constant(0.3)), (60,), 3000)
    hole = np.logical_not(mix.mask)
    number = first_of(hole).sum(axis=1)
    for n in range(2, 7):
        within(number == n, 1 / 5)
    for place in hole.T:
        within(place, 0.7)
    within(mix.lam, 0.3)
    for holes in ((0, 2), (3, 2)):
        with pytest.raises(ValueError, match="1 <= low <= high"):
            jm.sample_gridmixup(seed(1), (2, 8), holes=holes)
