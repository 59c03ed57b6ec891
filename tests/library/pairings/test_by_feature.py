"""Pairings by features: nearest examples, groups that are matched, maps far apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import jax_mixup as jm
from jax_mixup.pairings import by_feature
from tests.library.by_hand import MAPS, total
from tests.library.statistics import KEYS, close, frequencies, seed, within

partners = jax.jit(
    lambda keys, x, k: jax.vmap(lambda key: jm.transported(key, x, k=k))(keys), static_argnums=2
)


def test_nearest():
    x = jnp.array([0.0, 1.0, 1.5, 9.0])
    assert jm.nearest(KEYS[0], x).tolist() == [1, 2, 1, 2]
    two = np.array([[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0]]) / 2
    close(frequencies(lambda key: jm.nearest(key, x, k=2), 4), two)
    all_others = (1 - np.eye(4)) / 3
    close(frequencies(lambda key: jm.nearest(key, x, k=99), 4), all_others)


def test_assignments_are_nearly_the_cheapest():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(2, 60, 16, 2)).astype(np.float32)
    cost = ((points[0][:, :, None] - points[1][:, None]) ** 2).sum(axis=-1)
    found = np.asarray(jax.jit(jax.vmap(by_feature._assignment))(cost))
    gaps = []
    for c, column in zip(cost, found, strict=True):
        assert sorted(column) == list(range(16))
        gaps.append(c[np.arange(16), column].sum() / c[linear_sum_assignment(c)].sum() - 1)
    assert min(gaps) > -1e-5
    assert np.mean(gaps) < 0.003 and max(gaps) < 0.06


def test_two_pairs_of_four_points():
    # Apart in groups {0, 1} and {10, 11}, the cheaper match is 0-10 and 1-11, by 200 to 202; in
    # the two other cuts near ones meet. Each cut is as likely. Far from zero it is the same.
    x = 1e4 + jnp.array([0.0, 1.0, 10.0, 11.0])
    found = np.asarray(partners(jax.random.split(seed(2), 2000), x, 2))
    far, near = (found == [2, 3, 0, 1]).all(axis=1), (found == [1, 0, 3, 2]).all(axis=1)
    assert (far | near).all()
    within(far, 1 / 3)


def test_groups_of_one_are_a_cycle():
    found = np.asarray(partners(jax.random.split(seed(3), 3000), jnp.zeros((4, 1)), 1))
    assert (found != np.arange(4)).all()
    cycles, counts = np.unique(found, axis=0, return_counts=True)
    assert len(cycles) == 6  # the cycles of length 4, as of `derangement`
    assert abs(counts - 500).max() < 5 * np.sqrt(500 * 5 / 6)


def test_whom_a_row_meets():
    # Rows that are all alike: no match is better, so all others are as likely. 2 + 2 + 1 rows.
    found = np.asarray(partners(jax.random.split(seed(4), 2000), jnp.zeros((5, 1)), 2))
    assert (np.sort(found, axis=1) == np.arange(5)).all()  # each row is a partner once
    for i in range(5):
        for j in range(5):
            within(found[:, i] == j, 0.0 if i == j else 1 / 4)


def test_larger_groups_meet_nearer_rows():
    x = np.random.default_rng(2).normal(size=(16, 1, 3)).astype(np.float32)
    keys = jax.random.split(seed(5), 50)
    met = []
    for k in (1, 99):  # 99: 8, as many as there are without overlap
        found = np.asarray(partners(keys, x, k))
        assert (np.sort(found, axis=1) == np.arange(16)).all() and (found != np.arange(16)).all()
        met.append(((x[found] - x[None]) ** 2).sum(axis=(-1, -2)).mean())
    assert met[0] > 2 * met[1]
    one = partners(keys[:1], jnp.ones((1, 2), jnp.uint8), 4)[0]
    assert one.tolist() == [0] and one.dtype == jnp.int32
    with pytest.raises(ValueError, match="k=0; it needs an int >= 1"):
        jm.transported(seed(1), jnp.ones((3, 3)), k=0)


def test_pairs_are_one_greedy_cycle_of_distant_maps():
    s = total(MAPS.astype(np.float64)).reshape(6, -1)
    distance = np.linalg.norm(s[:, None] - s[None], axis=-1)
    np.fill_diagonal(distance, -1)
    row, column = np.unravel_index(distance.argmax(), (6, 6))
    order = [row, column]
    while len(order) < 6:
        left = [j for j in range(6) if j not in order]
        order.append(left[int(distance[order[-1], left].argmax())])
    expected = np.zeros(6, int)
    expected[order] = np.roll(order, -1)
    pair = jax.jit(jm.salient_pairs, static_argnames="blur")
    np.testing.assert_array_equal(pair(MAPS, blur=0.0), expected)
    blurred = np.asarray(pair(MAPS))
    row, seen = 0, []
    for _ in range(6):
        row = blurred[row]
        seen.append(row)
    assert sorted(seen) == list(range(6))
    assert pair(MAPS[:1]).tolist() == [0]
    assert pair(np.zeros((2, 3), np.float32)).tolist() == [1, 0]


def test_salient_pairs_within_groups():
    maps = np.concatenate([MAPS, MAPS[::-1]])
    grouped = jm.salient_pairs(maps, blur=0.0, groups=2)
    each = [jm.salient_pairs(part, blur=0.0) for part in (MAPS, MAPS[::-1])]
    np.testing.assert_array_equal(grouped, np.stack(each))
    maps[0, 0] = np.nan
    assert jm.salient_pairs(maps, groups=2)[0, 0] == 0  # left out of its cycle
    with pytest.raises(ValueError, match="groups=5"):
        jm.salient_pairs(maps, groups=5)
