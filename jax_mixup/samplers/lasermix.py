"""LaserMix: areas of a LiDAR scan, by inclination, from two scans in turn."""

import math

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._entry import one_program, public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._clouds import checked_cloud, mix_of, placed
from jax_mixup.samplers._options import Draw


@public
def sample_lasermix(
    key: PRNGKeyArray,
    points: Shaped[ArrayLike, "..."],
    valid: Shaped[ArrayLike, "..."],
    *,
    areas: tuple[int, ...] = (3, 4, 5, 6),
    pitch: tuple[float, float] = (-25.0, 3.0),
    sectors: int = 1,
    pairing: Pairing = reverse(),
) -> tuple[Mix, Int[Array, "b n"]]:
    """Draw a LaserMix: areas of inclination, one from the example, the next from its partner.

        a(x) = ⌊k (φ₁ - φ(x)) / (φ₁ - φ₀)⌋,  φ = atan2(z, √(x² + y²)),  k ~ U(areas)
        out = {xᵢ : a even} ∪ {xₚ : a odd};  λᵢ = the fraction of `out` that is the example's own

    The result has N slots, as the example has. Its own points of even areas stay in theirs, and the
    partner's come into slots that are free: padding, and own points of odd areas. If they are more
    than that, every k-th of them comes, so pad clouds to where that is rare.

    Args:
      key: a PRNG key.
      points: f[B, N, 3 or more], x, y and z first, with the sensor at the origin.
      valid: bool[B, N], False for padding, which is never pasted and never counts.
      areas: the numbers of areas of which one is drawn for each example.
      pitch: (φ₀, φ₁), the lowest and highest inclination in degrees. Points beyond them belong to
        the lowest and highest area. The default is that of SemanticKITTI's sensor; for nuScenes the
        authors have (-30, 10).
      sectors: how many areas there are all round, 1 or an even number: the two scans then alternate
        along both directions, as the squares of a chessboard.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`. For labelled with unlabelled scans, give both
        in one batch: `reverse()` pairs its halves.

    Returns:
      The mix, with a bool mask [B, N], True where the example's own point stays, and `source`,
      i32[B, N], which of the partner's points comes into a slot, or -1: for `place_partner`.

    Raises:
      TypeError: If `points` are not floating point.
      ValueError: If `points` are not [B, N, 3 or more], `valid` is not bool[B, N], `areas` is not a
        tuple of ints >= 1, `pitch` does not rise from -90 to 90, or `sectors` is neither 1 nor
        an even int >= 2.

    Example:
      >>> points = jnp.array([[[9.0, 0.0, -1.0], [9.0, 0.0, -3.0], [0.0, 0.0, 0.0]]] * 2)
      >>> points, valid = points.at[1].mul(2.0), jnp.array([[True, True, False]] * 2)
      >>> mix, source = jm.sample_lasermix(jax.random.key(0), points, valid, areas=(2,))
      >>> source.tolist(), mix.lam.tolist()
      ([[-1, 1, -1], [-1, 1, -1]], [0.5, 0.5])
      >>> cloud = {"points": points, "valid": valid}
      >>> cloud = jm.select(mix, cloud, other=jm.place_partner(mix, cloud, source))
      >>> cloud["points"][0].tolist(), cloud["valid"][0].tolist()
      ([[9.0, 0.0, -1.0], [18.0, 0.0, -6.0], [0.0, 0.0, 0.0]], [True, True, False])

    Kong et al. 2023, arXiv:2207.00026, who found areas all round (`sectors`) worse than areas of
    inclination. Their code, and MMDetection3D's, appends the partner's points: N varies.
    """
    name = "sample_lasermix"
    points, valid = checked_cloud(name, points, valid, 3)
    draw = Draw(name, points.shape[:2], "example", pairing)
    areas = _checks.sizes(name, "areas", areas, f"({areas},)")
    if not areas or not _checks.ints(areas) or min(areas) < 1:
        raise ValueError(f"{name} got areas={areas}; it needs a tuple of ints >= 1.")
    low, high = _checks.bounds(name, "pitch", pitch, "-90 <= low < high <= 90", -90.0, 90.0)
    if low == high:
        raise ValueError(f"{name} got pitch={pitch}; it needs a lower and a higher inclination.")
    sectors = _checks.whole(name, "sectors", sectors, 1)
    if sectors > 1 and sectors % 2:
        raise ValueError(f"{name} got sectors={sectors}; it needs 1, or an even number.")
    _, u = draw.law_and_uniforms(key, None, 1)
    ends = math.radians(low), math.radians(high)
    odd = _odd(points, _chosen(u, areas), ends, sectors)
    theirs = _odd(move_rows(draw.pairing, points), _chosen(u, areas), ends, sectors)
    keep = valid & ~odd
    source = placed(keep, move_rows(draw.pairing, valid) & theirs)
    return mix_of(draw, keep, source), source


@one_program("areas")
def _chosen(u: Float[Array, "b 1"], areas: tuple[int, ...]) -> Float[Array, "b 1"]:
    index = jnp.minimum(jnp.floor(u * len(areas)), len(areas) - 1).astype(jnp.int32)
    return jnp.asarray(areas, jnp.float32)[index]


@one_program("ends", "sectors")
def _odd(
    points: Float[Array, "b n d"],
    areas: Float[Array, "b 1"],
    ends: tuple[float, float],
    sectors: int,
) -> Bool[Array, "b n"]:
    """True in every other area."""
    x, y, z = (points[..., axis] for axis in range(3))
    low, high = ends
    place = (high - jnp.arctan2(z, jnp.hypot(x, y))) / (high - low)
    area = jnp.clip(jnp.floor(place * areas), 0.0, areas - 1)
    around = (jnp.arctan2(y, x) + jnp.pi) / (2 * jnp.pi)
    return (area + jnp.clip(jnp.floor(around * sectors), 0, sectors - 1)) % 2 == 1
