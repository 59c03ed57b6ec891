"""VH-Mixup: concatenations that are averaged or checkered."""

from functools import partial

import jax
import numpy as np

import jax_mixup as jm
from tests.library.by_hand import given_law
from tests.library.statistics import draws, seed, within


def test_concatenations_averaged_or_checkered():
    @jax.jit
    def found():
        square = partial(jm.sample_vhmixup, seed(1), (2, 4, 6), lam_law=given_law(0.75, 0.5, 0.2))
        line = jm.sample_vhmixup(seed(1), (2, 4), lam_law=given_law(0.75))
        law = given_law(0.5, 0.5, 0.5, 0.2, 0.6)
        cube = jm.sample_vhmixup(seed(1), (2, 2, 2, 2), lam_law=law)
        return square(), square(checkered=True), line, cube

    square, checks, line, cube = found()
    averaged, checkered, cuboid = (np.asarray(mix.mask)[0] for mix in (square, checks, cube))
    for r in range(4):
        for c in range(6):
            above, left = r < 3, c < 3
            np.testing.assert_allclose(averaged[r, c], 0.2 * above + 0.8 * left, rtol=1e-6)
            assert checkered[r, c] == (above == left)
    np.testing.assert_allclose(square.lam[0], 0.2 * 0.75 + 0.8 * 0.5, rtol=1e-6)
    assert checks.lam[0] == 0.5 and checkered.dtype == bool
    np.testing.assert_array_equal(line.mask, [[1, 1, 1, 0]])
    for place in np.ndindex(2, 2, 2):
        first, second, third = (i == 0 for i in place)
        expected = 0.6 * (0.2 * first + 0.8 * second) + 0.4 * third
        np.testing.assert_allclose(cuboid[place], expected, atol=1e-6)


def test_the_label_of_concatenations():
    n = 4000
    lam = np.asarray(draws(jm.sample_vhmixup, (64, 64), n).lam, np.float64)
    within(lam, 0.5)
    within((lam - 0.5) ** 2, 1 / 18)  # w a + (1-w) b, all three uniform
    lam = np.asarray(draws(partial(jm.sample_vhmixup, checkered=True), (64, 64), n).lam, np.float64)
    within(lam, 0.5)
    within((lam - 0.5) ** 2, 1 / 36)  # a b + (1-a)(1-b)
