"""Assignments of the least cost, one to one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import jax_mixup as jm

assign = jax.jit(jm.assign, static_argnames="iterations")


def distances(n, m, batch=2):
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((batch, n, 3)), rng.standard_normal((batch, m, 3))
    return np.linalg.norm(a[:, :, None] - b[:, None], axis=-1).astype(np.float32)


def checked(cost, column, slack):
    """One to one, as many pairs as can be, of nearly the least cost."""
    column = np.asarray(column)
    assert column.dtype == np.int32 and column.shape == cost.shape[:1]
    rows = np.flatnonzero(column >= 0)
    assert len(rows) == len(set(column[rows])) == min(cost.shape)
    best = cost[linear_sum_assignment(cost)].sum()
    assert best - 1e-4 <= cost[rows, column[rows]].sum() <= slack * best


@pytest.mark.parametrize("n, m", [(40, 64), (64, 40), (256, 256)], ids=str)
def test_it_is_one_to_one_and_near_the_least_cost(n, m):
    cost = distances(n, m)
    for found, c in zip(assign(cost), cost, strict=True):
        checked(c, found, 1.04)


def test_more_rounds_of_smaller_steps_find_the_least_cost():
    cost = distances(9, 9, batch=20)
    found = jm.assign(cost, epsilon=1e-4, iterations=3000)
    for column, c in zip(np.asarray(found), cost, strict=True):
        np.testing.assert_array_equal(column, linear_sum_assignment(c)[1])
    # Units cancel, and so does what all pairs cost.
    moved = assign(7 * cost[:3] + 100, epsilon=1e-4, iterations=3000)
    np.testing.assert_array_equal(moved, found[:3])


def test_what_must_not_be_paired_is_not():
    """Padding of both sides, of any number: as many pairs as the shorter side has."""
    cost, rng = distances(12, 12, batch=6), np.random.default_rng(0)
    rows, columns = rng.random((2, 6, 12)) < 0.6
    columns[0], rows[1], rows[2], columns[3] = False, False, True, True
    cost = np.where(rows[:, :, None] & columns[:, None], cost, np.inf)
    cost[4, :3] = np.nan
    rows[4, :3] = False
    for c, column, r, s in zip(cost, np.asarray(assign(cost)), rows, columns, strict=True):
        assert (column >= 0).sum() == min(r.sum(), s.sum())
        assert not (column[~r] >= 0).any() and s[column[column >= 0]].all()
        inside = np.full(12, -1)
        inside[np.flatnonzero(s)] = np.arange(s.sum())
        if r.any() and s.any():
            checked(
                c[r][:, s], np.where(column[r] < 0, -1, inside[column[r]]).astype(np.int32), 1.1
            )


def test_too_few_rounds_and_ties_leave_it_one_to_one():
    for cost in (distances(20, 20), np.ones((2, 20, 20)), np.zeros((2, 20, 20), np.int32)):
        found = np.sort(assign(cost, iterations=1))
        np.testing.assert_array_equal(found, np.arange(20)[None].repeat(2, 0))
    assert jm.assign(jnp.ones((1, 1))).tolist() == [0]
    assert jax.eval_shape(jm.assign, jnp.ones((2, 5, 3, 4), jnp.bfloat16)).shape == (2, 5, 3)


def test_bad_assignments():
    with pytest.raises(ValueError, match="cost of shape"):
        jm.assign(jnp.ones(3))
    with pytest.raises(ValueError, match=r"epsilon=0\.0; it needs a number > 0"):
        jm.assign(jnp.ones((3, 3)), epsilon=0.0)
    with pytest.raises(ValueError, match="iterations=0"):
        jm.assign(jnp.ones((3, 3)), iterations=0)
