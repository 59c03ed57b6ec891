"""PointCutMix: points of a shape, replaced by the partner's that match them."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._draws import Law
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import fusion_barrier, mark_largest
from jax_mixup.mix import Mix
from jax_mixup.optimal_transport import assign
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._clouds import checked_cloud
from jax_mixup.samplers._options import Draw

REGIONS = ("nearest", "random")


@public
def sample_pointcutmix(
    key: PRNGKeyArray,
    points: Shaped[ArrayLike, "..."],
    valid: Shaped[ArrayLike, "..."],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    region: str = "nearest",
    pairing: Pairing = reverse(),
) -> tuple[Mix, Int[Array, "b n"]]:
    """Draw a PointCutMix: some points are replaced by those of the partner that match them.

        σ = argmin Σ ‖xᵢ[t] - xₚ[σ(t)]‖, one to one, by `assign`;  k = round((1 - λ) nᵢ)
        out[t] = xₚ[σ(t)] for t ∈ K, else xᵢ[t];  λᵢ = 1 - k / nᵢ

    K are the k points nearest to a random one of the example's n points, or k random ones. No two
    of them get the same point of the partner.

    Args:
      key: a PRNG key.
      points: f[B, N, d], the coordinates that distances are of, such as x, y and z.
      valid: bool[B, N], False for padding, which is never pasted and never counts. A point that has
        no match, because the partner has fewer points, is not replaced.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ is drawn for each example, from one alpha or from one for
        each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      region: "nearest" replaces the points around a random one (PointCutMix-K), "random" any
        (PointCutMix-R).
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      The mix, with a bool mask [B, N], True where the example's own point stays, and `source`,
      i32[B, N], the partner's point that matches it, or -1: for `place_partner`. It is there for
      all points, also for those that stay.

    Raises:
      TypeError: If `points` are not floating point.
      ValueError: If `points` are not [B, N, d], `valid` is not bool[B, N], a static `alpha` is
        negative, or `region` is unknown.

    Example:
      >>> points = jnp.array([[[0.0], [1.0], [5.0]], [[5.5], [1.5], [0.5]]])
      >>> cloud = {"points": points, "valid": jnp.ones((2, 3), bool)}
      >>> third = jm.constant(2 / 3)
      >>> mix, source = jm.sample_pointcutmix(jax.random.key(3), **cloud, lam_law=third)
      >>> mix.mask[0].tolist(), source[0].tolist(), round(float(mix.lam[0]), 2)
      ([False, True, True], [2, 1, 0], 0.67)
      >>> jm.select(mix, points, other=jm.place_partner(mix, points, source))[0].tolist()
      [[0.5], [1.0], [5.0]]

    Zhang et al. 2022, arXiv:2101.01461. In their code λ, and in PointCutMix-R the places, are drawn
    once for a batch, k is rounded down and at least 1, λ names the partner's part, and the
    assignment need not be one to one.
    """
    name = "sample_pointcutmix"
    points, valid = checked_cloud(name, points, valid, 1)
    _checks.option(name, "region", region, REGIONS)
    batch, n = valid.shape
    draw = Draw(name, (batch, n), "example", pairing, alpha=alpha)
    lam, u = draw.numbers(key, alpha, lam_law, 1 if region == "nearest" else n)
    there = move_rows(draw.pairing, valid)
    source = assign(_distances(points, valid, move_rows(draw.pairing, points), there))
    score = _nearness(points, valid, u[:, 0]) if region == "nearest" else u
    mask, lam = _replaced(score, lam, valid, source)
    return draw.mix(mask, lam), source


@one_program()
def _distances(
    own: Float[Array, "b n d"],
    valid: Bool[Array, "b n"],
    other: Float[Array, "b n d"],
    there: Bool[Array, "b n"],
) -> Float[Array, "b n n"]:
    """Between all pairs of points; infinite where one does not count."""
    square = jnp.square(own[:, :, None] - other[:, None]).sum(axis=-1)
    return jnp.where(valid[:, :, None] & there[:, None], jnp.sqrt(square), jnp.inf)


@one_program()
def _nearness(
    points: Float[Array, "b n d"], valid: Bool[Array, "b n"], u: Float[Array, "b"]
) -> Float[Array, "b n"]:
    """Minus the distance from a random point of those that count."""
    number = valid.sum(axis=1, dtype=jnp.int32)
    pick = jnp.floor(u * number.astype(jnp.float32)).astype(jnp.int32)
    pick = jnp.minimum(pick, number - 1)
    rank = jnp.cumsum(valid, axis=1, dtype=jnp.int32) - 1
    here = valid & (rank == pick[:, None])
    centre = jnp.where(here[..., None], points, 0.0).sum(axis=1, keepdims=True)
    return -jnp.square(points - centre).sum(axis=-1)


@one_program()
def _replaced(
    score: Float[Array, "b n"],
    lam: Float[Array, "b"],
    valid: Bool[Array, "b n"],
    source: Int[Array, "b n"],
) -> tuple[Bool[Array, "b n"], Float[Array, "b"]]:
    """True at the points that stay, and the fraction of them: those of the highest scores go."""
    whole = valid.sum(axis=1, dtype=jnp.int32).astype(jnp.float32)
    matched = source >= 0
    most = matched.sum(axis=1, dtype=jnp.int32).astype(jnp.float32)
    k = jnp.minimum(jnp.round((1 - lam) * whole), most)
    score = fusion_barrier(jnp.where(matched, score, -jnp.inf))
    mask = ~mark_largest(score, k / valid.shape[1])
    return mask, jnp.where(whole > 0, (whole - k) / jnp.maximum(whole, 1.0), 1.0)
