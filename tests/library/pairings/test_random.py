"""Permutations and derangements."""

import numpy as np

import jax_mixup as jm
from tests.library.statistics import KEYS, close, frequencies


def test_permutation_is_uniform():
    close(frequencies(lambda key: jm.permutation(key, 5), 5), 1 / 5)
    assert sorted(jm.permutation(KEYS[0], 7).tolist()) == list(range(7))


def test_derangement_never_keeps_a_row():
    close(frequencies(lambda key: jm.derangement(key, 5), 5), (1 - np.eye(5)) / 4)
    for n in (2, 3, 8):
        drawn = np.asarray(jm.derangement(KEYS[n], n))
        assert sorted(drawn) == list(range(n)) and (drawn != np.arange(n)).all()
