"""The verbs for point clouds: the partner's points in the slots where they come, and turned."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, partner_rows
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix


@public
def place_partner(
    mix: Mix, x: PyTree, source: Shaped[ArrayLike, "..."], *, other: PyTree | None = None
) -> PyTree:
    """Put the partner's points into the slots where they come, as the `other` of `select`.

        out[i, t] = x[p, source[i, t]],  0 where source[i, t] < 0

    Give it all that belongs to a point: coordinates, class ids, features, and which points are
    valid, so that a slot where no point comes is not.

    Args:
      mix: a mix of B examples.
      x: arrays [B, N, ...] of any dtype, or a PyTree of them.
      source: i[B, N], as `sample_lasermix`, `sample_polarmix`, `sample_pointcutmix` and
        `sample_span` give it. Where it is not an index of 0 to N - 1, the result is 0, or False.
      other: what to take in place of the partners' points, for example those of a second batch; of
        the same structure, shapes and dtypes as x.

    Returns:
      Arrays of the shapes and dtypes of x.

    Raises:
      TypeError: If `source` is not of integers.
      ValueError: If x has another B, if it has not N entries for each example, or if `other` has
        another shape.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([[True, False, False]]), jnp.full(2, 0.5))
      >>> ids = jnp.array([[1, 2, 3], [7, 8, 9]])
      >>> other = jm.place_partner(mix, ids, jnp.array([[-1, 2, -1], [0, 0, 0]]))
      >>> jm.select(mix, ids, other=other).tolist()
      [[1, 9, 0], [7, 1, 1]]
    """
    source = checked_rows("place_partner", mix, "source", source)
    if not jnp.issubdtype(source.dtype, jnp.integer):
        raise TypeError(
            f"place_partner got source of dtype {source.dtype}; it needs integers, the index of "
            "the partner's point for each slot, as sample_lasermix gives it."
        )
    source = _checks.int32(source)

    def leaf(x: ArrayLike, other: ArrayLike | None = None) -> Array:
        x = checked_rows("place_partner", mix, "x", x)
        if x.ndim < 2 or x.shape[:2] != source.shape:
            raise ValueError(
                f"place_partner got an array of shape {x.shape} for source of shape "
                f"{source.shape}; it needs (B, N, ...), an entry for each point."
            )
        return _placed(partner_rows("place_partner", mix, "x", x, other), source)

    return jax.tree.map(leaf, x) if other is None else jax.tree.map(leaf, x, other)


@one_program()
def _placed(x: Shaped[Array, "b n ..."], source: Int[Array, "b n"]) -> Shaped[Array, "b n ..."]:
    there = padded((source >= 0) & (source < x.shape[1]), x.ndim)
    index = padded(jnp.clip(source, 0, x.shape[1] - 1), x.ndim)
    return jnp.where(there, jnp.take_along_axis(x, index, axis=1), jnp.zeros((), x.dtype))


@public
def rotate_points(
    points: Shaped[ArrayLike, "..."], angle: Shaped[ArrayLike, "..."]
) -> Float[Array, "b n d"]:
    """Turn points about the z axis, from x towards y.

        (x, y, …) → (x cos ω - y sin ω, x sin ω + y cos ω, …)

    Args:
      points: f[B, N, d], x and y first; what comes after them, such as z, stays as it is.
      angle: ω in radians: f[B, N], such as `sample_polarmix` gives it, or f[B], one for each cloud.

    Returns:
      An array of the shape and dtype of `points`. With ω = 0 points stay exactly as they are.

    Raises:
      TypeError: If `points` are not floating point.
      ValueError: If `points` are not [B, N, d] with d >= 2, or if `angle` has another shape than
        [B, N] and [B].

    Example:
      >>> points = jnp.array([[[1.0, 0.0, 5.0], [2.0, 0.0, 5.0]]])
      >>> jm.rotate_points(points, jnp.array([[0.0, jnp.pi / 2]])).round(4).tolist()
      [[[1.0, 0.0, 5.0], [-0.0, 2.0, 5.0]]]
    """
    points, angle = jnp.asarray(points), jnp.asarray(angle)
    if not jnp.issubdtype(points.dtype, jnp.floating):
        raise TypeError(
            f"rotate_points got points of dtype {points.dtype}; it needs floats: write "
            "points.astype(jnp.float32)."
        )
    if points.ndim != 3 or points.shape[-1] < 2:
        raise ValueError(
            f"rotate_points got points of shape {points.shape}; it needs (B, N, 3): write "
            "points[None] for one cloud."
        )
    if angle.shape not in (points.shape[:2], points.shape[:1]):
        raise ValueError(
            f"rotate_points got angle of shape {angle.shape} for points of shape {points.shape}; "
            "it needs one for each point, (B, N), or one for each cloud, (B,)."
        )
    return _rotated(points, padded(angle, 2))


@one_program()
def _rotated(points: Float[Array, "b n d"], angle: Shaped[Array, "b ..."]) -> Float[Array, "b n d"]:
    wide = points.dtype if points.dtype == jnp.float64 else jnp.float32
    angle = angle.astype(wide)
    x, y = (points[..., axis].astype(wide) for axis in range(2))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turned = jnp.stack([x * cos - y * sin, x * sin + y * cos], axis=-1).astype(points.dtype)
    turned = jnp.where(angle[..., None] == 0, points[..., :2], turned)  # infinite ones, too
    return jnp.concatenate([turned, points[..., 2:]], axis=-1)
