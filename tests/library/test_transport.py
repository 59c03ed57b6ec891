"""Optimal transport: plans, groups of rows that are matched, features that are aligned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from scipy.optimize import linear_sum_assignment

import jax_mixup as jm
from jax_mixup.pairings import by_feature
from tests.library.test_distributions import seed, within

plan_of = jax.jit(jm.sinkhorn, static_argnames="iterations")
partners = jax.jit(
    lambda keys, x, k: jax.vmap(lambda key: jm.transported(key, x, k=k))(keys), static_argnums=2
)
align = jax.jit(jm.align_partner, static_argnames="iterations")


def costs(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def reference(cost, epsilon, iterations=2000):
    """The plan by scaling rows and columns of the kernel, in float64."""
    n, m = cost.shape
    kernel = np.exp(-np.asarray(cost, np.float64) / epsilon)
    u, v = np.ones(n), np.ones(m)
    for _ in range(iterations):
        v = (1 / m) / (kernel.T @ u)
        u = (1 / n) / (kernel @ v)
    return u[:, None] * kernel * v[None, :]


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
    with pytest.raises(ValueError, match="k=0; it needs an int >= 1"):
        jm.transported(seed(1), jnp.ones((3, 3)), k=0)
    mix = jm.sample_mixup(seed(1), (2,))
    with pytest.raises(TypeError, match="it needs floats"):
        jm.align_partner(mix, jnp.ones((2, 3, 3), jnp.int32))
    with pytest.raises(ValueError, match="needs positions and channels"):
        jm.align_partner(mix, jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="mix of 2 examples"):
        jm.align_partner(mix, jnp.ones((3, 3, 3)))


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


def rows(n=3, positions=4, channels=2):
    return np.random.default_rng(3).normal(size=(n, positions, channels)).astype(np.float32)


def halves(n, lam=0.5):
    return jm.sample_mixup(seed(6), (n,), lam_law=jm.constant(lam))


def test_features_go_where_alike_ones_are():
    h = rows()
    other = align(halves(3), h, epsilon=2.0, iterations=300)
    for i in (0, 2):
        own, partner = h[i], h[2 - i]
        cost = [[((a - b) ** 2).sum() for b in partner] for a in own]
        expected = 4 * reference(np.array(cost), 2.0) @ partner
        np.testing.assert_allclose(other[i], expected, atol=1e-4)
    np.testing.assert_array_equal(other[1], h[1])  # its own partner
    # The partner is the row in another order: it is put back in place.
    twins = np.stack([h[0], h[0][[2, 0, 3, 1]]])
    np.testing.assert_allclose(
        align(halves(2), twins, epsilon=0.01, iterations=300), twins, atol=1e-3
    )
    grid = h.reshape(3, 2, 1, 2, 2)  # 3-D
    again = align(halves(3), grid, epsilon=2.0, iterations=300)
    np.testing.assert_allclose(again.reshape(h.shape), other, atol=1e-5)


def test_the_other_direction_is_the_partners_row_at_the_rest_of_lambda():
    h, lam = rows(4), 0.3
    rest = align(halves(4, 1 - lam), h, epsilon=2.0, iterations=300)
    mixed = jm.blend(halves(4, 1 - lam), h, other=rest)
    for i in range(4):  # the row moved onto its partner, as the authors' code does by a coin
        own, partner = h[i], h[3 - i]
        cost = ((own[:, None] - partner[None]) ** 2).sum(axis=-1)
        moved = 4 * reference(cost, 2.0).T @ own
        np.testing.assert_allclose(lam * moved + (1 - lam) * partner, mixed[3 - i], atol=1e-4)


def test_the_plan_is_no_part_of_the_gradient():
    h = jnp.asarray(rows(2))

    def first(h):
        return align(halves(2), h, epsilon=2.0, iterations=300)[0].sum()

    gradient = jax.grad(first)(h)
    np.testing.assert_array_equal(gradient[0], 0)  # the row says only where features go
    np.testing.assert_allclose(gradient[1].sum(axis=0), 4, rtol=1e-4)  # all of the partner is used
    half = align(halves(2), h.astype(jnp.bfloat16), epsilon=2.0, iterations=300)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half, align(halves(2), h, epsilon=2.0, iterations=300), atol=0.05)
    np.testing.assert_array_equal(align(halves(1), h[:1]), h[:1])


def test_each_shard_is_transported_by_itself():
    h = np.random.default_rng(4).normal(size=(32, 2, 3)).astype(np.float32)

    def shard(h):
        other = jm.align_partner(halves(4), h, epsilon=2.0, iterations=300)
        return other, jm.transported(seed(7), h, k=2)

    mesh = jax.make_mesh((8,), ("data",))
    rows = PartitionSpec("data")
    split = jax.jit(jax.shard_map(shard, mesh=mesh, in_specs=rows, out_specs=rows))
    other, partner = split(jax.device_put(h, NamedSharding(mesh, rows)))
    groups = jm.sample_mixup(seed(6), (32,), pairing=jm.reverse(groups=8))
    np.testing.assert_allclose(other, align(groups, h, epsilon=2.0, iterations=300), atol=1e-5)
    assert (np.sort(partner.reshape(8, 4), axis=1) == np.arange(4)).all()
