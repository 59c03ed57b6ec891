"""Which row meets which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.methods import PAIRINGS

KEYS = jax.random.split(jax.random.key(3), 20_000)


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


def frequencies(pair, n):
    """P(p(i) = j) over many keys."""
    drawn = np.asarray(jax.jit(jax.vmap(pair))(KEYS))
    assert drawn.shape == (len(KEYS), n) and drawn.dtype == np.int32
    return np.stack([(drawn == j).mean(axis=0) for j in range(n)], axis=1)


def close(found, expected):
    expected = np.broadcast_to(expected, found.shape)
    error = np.sqrt(expected * (1 - expected) / len(KEYS))
    np.testing.assert_array_less(np.abs(found - expected), 5 * error + 1e-9)


def test_permutation_is_uniform():
    close(frequencies(lambda key: jm.permutation(key, 5), 5), 1 / 5)
    assert sorted(jm.permutation(KEYS[0], 7).tolist()) == list(range(7))


def test_derangement_never_keeps_a_row():
    close(frequencies(lambda key: jm.derangement(key, 5), 5), (1 - np.eye(5)) / 4)
    for n in (2, 3, 8):
        drawn = np.asarray(jm.derangement(KEYS[n], n))
        assert sorted(drawn) == list(range(n)) and (drawn != np.arange(n)).all()


LABELS = jnp.array([4, 0, 4, 2, 0, 4, -1])
SAME = np.asarray(LABELS)[:, None] == np.asarray(LABELS)[None, :]
COUNTS = SAME.sum(axis=1)


def test_within_class():
    others = SAME & ~np.eye(7, dtype=bool)
    expected = np.where(COUNTS[:, None] > 1, others / np.maximum(COUNTS - 1, 1)[:, None], np.eye(7))
    close(frequencies(lambda key: jm.within_class(key, LABELS), 7), expected)
    assert sorted(jm.within_class(KEYS[0], LABELS).tolist()) == list(range(7))


def test_across_class():
    expected = ~SAME / (~SAME).sum(axis=1, keepdims=True)
    close(frequencies(lambda key: jm.across_class(key, LABELS), 7), expected)
    assert jm.across_class(KEYS[0], jnp.zeros(3, jnp.int32)).tolist() == [0, 1, 2]


def test_class_balanced():
    expected = 1 / COUNTS / len(set(LABELS.tolist()))
    close(frequencies(lambda key: jm.class_balanced(key, LABELS), 7), expected[None, :])


def test_by_label_kernel():
    y = np.array([[0.0, 0], [1, 0], [1, 1], [3, 0]], np.float32)
    d2 = ((y[:, None] - y[None, :]) ** 2).sum(axis=-1)
    kernel = np.exp(-d2 / (2 * 0.8**2))
    expected = kernel / kernel.sum(axis=1, keepdims=True)
    close(frequencies(lambda key: jm.by_label_kernel(key, jnp.asarray(y), 0.8), 4), expected)
    near = jnp.array([10_000.0, 10_000.5, 20_000.0])  # no cancellation far from zero
    assert jm.by_label_kernel(KEYS[0], near, 1e-3).tolist() == [0, 1, 2]


def test_nearest():
    x = jnp.array([0.0, 1.0, 1.5, 9.0])
    assert jm.nearest(KEYS[0], x).tolist() == [1, 2, 1, 2]
    two = np.array([[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0]]) / 2
    close(frequencies(lambda key: jm.nearest(key, x, k=2), 4), two)
    all_others = (1 - np.eye(4)) / 3
    close(frequencies(lambda key: jm.nearest(key, x, k=99), 4), all_others)


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
    ],
)
def test_a_batch_of_one_is_its_own_partner(pair):
    assert pair(KEYS[0], jnp.array([5.0])).tolist() == [0]


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
