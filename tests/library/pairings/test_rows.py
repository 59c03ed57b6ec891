"""Rows without a partner: alone in their batch, or with missing values."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.pairings import _rows
from tests.library.samplers.all_samplers import KEY
from tests.library.statistics import KEYS


@pytest.mark.parametrize(
    "pair",
    [
        lambda key, x: jm.permutation(key, x.shape[0]),
        lambda key, x: jm.derangement(key, x.shape[0]),
        lambda key, x: jm.within_class(key, x.astype(jnp.int32)),
        lambda key, x: jm.across_class(key, x.astype(jnp.int32)),
        lambda key, x: jm.class_balanced(key, x.astype(jnp.int32)),
        lambda key, x: jm.by_label_kernel(key, x, 1.0),
        lambda key, x: jm.nearest(key, x),
        lambda key, x: jm.by_weight(key, x[:, None]),
        lambda key, x: jm.by_weight(key, x[:, None], groups=1)[0],
    ],
)
def test_a_batch_of_one_is_its_own_partner(pair):
    assert pair(KEYS[0], jnp.array([5.0])).tolist() == [0]


VALUES = (np.nan, np.inf, -np.inf)
PAIRS = {
    "kernel": lambda key, x: jm.by_label_kernel(key, x, 1.0),
    "wide": lambda key, x: jm.by_label_kernel(key, x, jnp.inf),
    "nearest": jm.nearest,
    "nearest4": partial(jm.nearest, k=4),
    "nearest9": partial(jm.nearest, k=9),
    "transported": partial(jm.transported, k=2),
    "cycle": partial(jm.transported, k=1),
    "salient": lambda key, x: jm.salient_pairs(jnp.abs(x), blur=0.0),
}


@pytest.mark.parametrize("name", PAIRS)
def test_missing_rows_are_their_own_and_nobodys(name):
    missing, keys = np.array([2, 5]), jax.random.split(KEY, 32)
    pair = jax.jit(jax.vmap(PAIRS[name], (0, None)))
    for value in VALUES:
        x = np.array([[0.0, 1], [0, 2], [value, 0], [5, 5], [5, 6], [1, value], [0, 1]], np.float32)
        several = np.asarray(pair(keys, x))
        assert (several[:, missing] == missing).all()
        others = np.delete(several, missing, axis=1)
        assert not np.isin(others, missing).any()
        if name in ("transported", "cycle", "salient"):
            assert (np.sort(several, axis=1) == np.arange(7)).all()
        if name in ("nearest", "nearest4", "nearest9", "cycle", "salient"):
            assert (others != np.delete(np.arange(7), missing)).all()
        if name == "nearest9":  # all others, and no more
            assert set(several[:, 0]) == {1, 3, 4, 6}
        one = np.array(x)
        one[1:] = value
        for rows in (one, np.full_like(x, value)):
            assert (np.asarray(pair(keys, rows)) == np.arange(7)).all()


def test_around_is_exact_for_any_cycle():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 8, 9):
        for _ in range(8):
            cycle, missing = rng.permutation(n), rng.random(n) < 0.6
            expected = np.arange(n)
            for i in np.flatnonzero(~missing):
                j = cycle[i]
                while missing[j]:
                    j = cycle[j]
                expected[i] = j
            found = _rows.cut_from_cycles(jnp.asarray(cycle, jnp.int32), jnp.asarray(missing))
            np.testing.assert_array_equal(found, expected)
