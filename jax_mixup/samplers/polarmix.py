"""PolarMix: a sector of another LiDAR scan, and its objects, turned and pasted."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._draws import below
from jax_mixup._entry import one_program, public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._clouds import checked_cloud, mix_of, placed, point_mask
from jax_mixup.samplers._options import Draw, check_shares


@public
def sample_polarmix(
    key: PRNGKeyArray,
    points: Shaped[ArrayLike, "..."],
    valid: Shaped[ArrayLike, "..."],
    *,
    instances: Shaped[ArrayLike, "..."] | None = None,
    swap_prob: ArrayLike = 0.5,
    paste_prob: ArrayLike = 1.0,
    copies: int = 3,
    pairing: Pairing = reverse(),
) -> tuple[Mix, Int[Array, "b n"], Float[Array, "b n"]]:
    """Draw a PolarMix: half of the scan from the partner, and the partner's objects, turned.

        S = {x : a < -atan2(y, x) < a + π},  a ~ U(-π, 0), with probability `swap_prob`, else ∅
        out = {xᵢ ∉ S} ∪ {xₚ ∈ S} ∪ {R(ωⱼ) xₚ : xₚ of an object, j < copies}
        ω₀ = 0,  ωⱼ ~ U(j - 1, j) · 2π / copies;  λᵢ = the fraction of `out` that is the example's

    The result has N slots, as the example has. Its own points stay in theirs, and the partner's
    come into slots that are free: padding, and own points in S. If they are more than that, every
    k-th of them comes, so pad clouds to where that is rare: pasting adds points.

    Args:
      key: a PRNG key.
      points: f[B, N, 3 or more], x, y and z first, with the sensor at the origin, and z up.
      valid: bool[B, N], False for padding, which is never pasted and never counts.
      instances: bool[B, N], True for points of the objects that are pasted, such as
        `jnp.isin(ids, classes)`; None pastes none.
      swap_prob: the probability that a sector is swapped. It may be traced.
      paste_prob: the probability that objects are pasted. It may be traced.
      copies: how many copies of the objects are pasted: the first where they are, the others
        turned.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      The mix, with a bool mask [B, N], True where the example's own point stays; `source`,
      i32[B, N], which of the partner's points comes into a slot, or -1, for `place_partner`; and
      `angle`, f32[B, N], by which it is turned, for `rotate_points`.

    Raises:
      TypeError: If `points` are not floating point.
      ValueError: If `points` are not [B, N, 3 or more], if `valid` or `instances` is not
        bool[B, N], if a probability is not in [0, 1], or if `copies` is not an int >= 1.

    Example:
      >>> points = jnp.array([[[5.0, 1.0, 0.0], [-5.0, 1.0, 0.0], [0.0, 0.0, 0.0]]] * 2)
      >>> cloud = {"points": points, "valid": jnp.array([[True, True, False]] * 2)}
      >>> objects = jnp.array([[True, False, False]] * 2)
      >>> key = jax.random.key(0)
      >>> mix, source, angle = jm.sample_polarmix(
      ...     key, **cloud, instances=objects, swap_prob=0.0, copies=1
      ... )
      >>> source.tolist(), [round(float(lam), 2) for lam in mix.lam]
      ([[-1, -1, 0], [-1, -1, 0]], [0.67, 0.67])
      >>> other = jm.place_partner(mix, cloud, source)
      >>> other["points"] = jm.rotate_points(other["points"], angle)
      >>> jm.select(mix, cloud, other=other)["points"][0].tolist()
      [[5.0, 1.0, 0.0], [-5.0, 1.0, 0.0], [5.0, 1.0, 0.0]]

    Xiao et al. 2022, arXiv:2208.00223. Angles are drawn for each example, as in MMDetection3D; the
    authors' code draws them once, when the program starts. A point of an object that comes with the
    sector is not pasted again at the same place. As in both, S always holds the x axis.
    """
    name = "sample_polarmix"
    points, valid = checked_cloud(name, points, valid, 3)
    draw = Draw(name, points.shape[:2], "example", pairing)
    check_shares(name, draw, swap_prob=swap_prob, paste_prob=paste_prob)
    copies = _checks.whole(name, "copies", copies, 1)
    objects = jnp.zeros_like(valid)
    if instances is not None:
        objects = valid & point_mask(name, "instances", instances, points)
    _, u = draw.law_and_uniforms(key, None, 2 + copies)
    swap, paste = (below(u[:, k], p)[:, None] for k, p in ((0, swap_prob), (1, paste_prob)))
    own, theirs = (_sector(x, u[:, 2:3]) for x in (points, move_rows(draw.pairing, points)))
    keep = valid & ~(swap & own)
    come = move_rows(draw.pairing, valid) & swap & theirs
    pasted = move_rows(draw.pairing, objects) & paste
    take = jnp.concatenate([come | pasted, *([pasted] * (copies - 1))], axis=1)
    source, angle = _turned(placed(keep, take), u[:, 3:], valid.shape[1])
    return mix_of(draw, keep, source), source, angle


@one_program()
def _sector(points: Float[Array, "b n d"], u: Float[Array, "b 1"]) -> Bool[Array, "b n"]:
    yaw, start = -jnp.arctan2(points[..., 1], points[..., 0]), (u - 1) * jnp.pi
    return (yaw > start) & (yaw < start + jnp.pi)


@one_program("n")
def _turned(
    place: Int[Array, "b n"], u: Float[Array, "b others"], n: int
) -> tuple[Int[Array, "b n"], Float[Array, "b n"]]:
    """Of a place in all copies: the point, and the angle of the copy."""
    copies = 1 + u.shape[1]
    steps = jnp.arange(copies - 1, dtype=jnp.float32)[None] + u
    angles = jnp.pad(steps * (2 * jnp.pi / copies), ((0, 0), (1, 0)))
    there = place >= 0
    copy, point = jnp.divmod(jnp.maximum(place, 0), n)
    angle = jnp.take_along_axis(angles, copy, axis=1)
    return jnp.where(there, point, -1), jnp.where(there, angle, 0.0)
