"""Features of the partner moved to where alike ones are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jax_mixup as jm
from tests.library.by_hand import reference
from tests.library.statistics import seed

align = jax.jit(jm.align_partner, static_argnames="iterations")


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
    mix = jm.sample_mixup(seed(1), (2,))
    with pytest.raises(TypeError, match="it needs floats"):
        jm.align_partner(mix, jnp.ones((2, 3, 3), jnp.int32))
    with pytest.raises(ValueError, match="needs positions and channels"):
        jm.align_partner(mix, jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="mix of 2 examples"):
        jm.align_partner(mix, jnp.ones((3, 3, 3)))


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
