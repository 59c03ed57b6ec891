"""Plans of optimal transport."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import jax_mixup as jm
from tests.library.by_hand import reference

plan_of = jax.jit(jm.sinkhorn, static_argnames="iterations")


def costs(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def test_the_plan_is_the_entropic_one():
    cost = costs(2, 4, 6)
    plan = plan_of(cost, epsilon=0.1, iterations=300)
    for found, c in zip(plan, cost, strict=True):
        np.testing.assert_allclose(found, reference(c, 0.1), atol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=-1), 1 / 4, rtol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=-2), 1 / 6, rtol=1e-5)
    # What a row or a column costs as a whole moves nothing, and units cancel.
    moved = 10 * (cost + costs(2, 4, 1) + costs(2, 1, 6))
    np.testing.assert_allclose(plan_of(moved, epsilon=1.0, iterations=300), plan, atol=1e-5)


def test_no_epsilon_is_too_small_and_the_plan_becomes_the_assignment():
    cost = costs(2, 5, 5)
    sharp = jax.jit(lambda cost, epsilon: jm.sinkhorn(cost, epsilon=epsilon, iterations=300))
    for epsilon in (1e6, 1e-3, 1e-10, 1e-38, 1e-45):  # traced
        plan = sharp(cost, epsilon)
        assert jnp.isfinite(plan).all() and (plan >= 0).all()
        np.testing.assert_allclose(plan.sum(axis=-1), 1 / 5, rtol=1e-6)
    np.testing.assert_allclose(sharp(cost, 1e6), 1 / 25, rtol=1e-4)
    np.testing.assert_allclose(sharp(0 * cost, 1e-45), 1 / 25, rtol=1e-6)
    for plan, c in zip(np.asarray(sharp(cost, 1e-3)), cost, strict=True):
        np.testing.assert_array_equal(plan.argmax(axis=1), linear_sum_assignment(c)[1])
    total = jax.jit(jax.grad(lambda c: (jm.sinkhorn(c, epsilon=1e-3, iterations=9) * c).sum()))
    assert jnp.isfinite(total(cost)).all() and (total(cost) != 0).any()
    for dtype in (jnp.bfloat16, jnp.int32):
        assert jax.eval_shape(jm.sinkhorn, jnp.ones((2, 3), dtype)).dtype == jnp.float32


def test_bad_transport():
    with pytest.raises(ValueError, match="cost of shape"):
        jm.sinkhorn(jnp.ones(3))
    with pytest.raises(ValueError, match=r"epsilon=0\.0; it needs a number > 0"):
        jm.sinkhorn(jnp.ones((3, 3)), epsilon=0.0)
    with pytest.raises(ValueError, match="iterations=0"):
        jm.sinkhorn(jnp.ones((3, 3)), iterations=0)
