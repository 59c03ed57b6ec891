"""Pairings that are known when a step is traced."""

import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.methods import PAIRINGS
from tests.library.statistics import KEYS


def index(pairing, n):
    return np.asarray(jm.partner_index(pairing, n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 9])
def test_static_pairings_by_hand(n):
    i = np.arange(n)
    np.testing.assert_array_equal(index(jm.reverse(), n), i[::-1])
    np.testing.assert_array_equal(index(jm.roll(), n), (i - 1) % n)
    if n != 3:
        np.testing.assert_array_equal(index(jm.roll(-3), n), (i + 3) % n)
    swapped = np.where(i ^ 1 < n, i ^ 1, i)
    np.testing.assert_array_equal(index(jm.neighbours(), n), swapped)
    if n == 8:
        np.testing.assert_array_equal(index(jm.reverse(groups=2), n), [3, 2, 1, 0, 7, 6, 5, 4])
        np.testing.assert_array_equal(index(jm.roll(groups=2), n), [3, 0, 1, 2, 7, 4, 5, 6])


@pytest.mark.parametrize("pairing", PAIRINGS.values(), ids=PAIRINGS)
def test_take_partner_is_the_index(pairing):
    x = {"a": jnp.arange(48.0).reshape(8, 2, 3), "b": jnp.arange(8, dtype=jnp.uint8)}
    mix = jm.sample_mixup(KEYS[0], (8,), pairing=pairing)
    moved = jm.take_partner(mix, x)
    for name, leaf in x.items():
        np.testing.assert_array_equal(moved[name], leaf[index(pairing, 8)])


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu", None])
def test_the_chosen_pairing_stays_within_its_shard_and_is_mutual_where_it_can(backend):
    for rows, shards in ((1, 1), (2, 1), (7, 1), (64, 8), (24, 8), (512, 1), (4096, 8)):
        pairing = jm.pairing_for(rows, shards=shards, backend=backend)
        index = np.asarray(jm.partner_index(pairing, rows))
        assert (np.sort(index) == np.arange(rows)).all()
        share = rows // shards
        assert (index // share == np.arange(rows) // share).all()
        if share > 1:
            assert (index != np.arange(rows)).sum() >= rows - shards
        assert pairing.rule == "roll" or (index[index] == np.arange(rows)).all()


def test_the_rules_of_the_choice():
    choose = jm.pairing_for
    assert choose(64, backend="cpu") == jm.neighbours()
    assert choose(63, backend="cpu") == jm.reverse()
    assert choose(512, shards=8, backend="cpu") == jm.neighbours()
    assert choose(512, shards=8, backend="tpu") == jm.reverse(groups=8)
    assert choose(8 * 256, shards=8, backend="tpu") == jm.roll(groups=8)
    assert choose(8 * 256, shards=8, backend="gpu") == jm.reverse(groups=8)
    assert choose(8, shards=8, backend="tpu") == jm.reverse()  # one row a shard: nobody at home
