"""What the samplers for point clouds share: checks, and which slots the partner's points get."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Shaped

from jax_mixup._entry import one_program
from jax_mixup.mix import Mix
from jax_mixup.samplers._options import Draw


def checked_cloud(
    function: str, points: Shaped[ArrayLike, "..."], valid: Shaped[ArrayLike, "..."], axes: int
) -> tuple[Float[Array, "b n d"], Bool[Array, "b n"]]:
    """The points in float32, and which count: a point that is NaN or infinite does not."""
    points, valid = jnp.asarray(points), jnp.asarray(valid)
    if points.ndim != 3 or points.shape[-1] < axes or 0 in points.shape:
        raise ValueError(
            f"{function} got points of shape {points.shape}; it needs (B, N, {axes}), none of them "
            f"0, padded to N points each{', x, y and z first' if axes == 3 else ''}: write "
            "points[None] for one cloud."
        )
    if not jnp.issubdtype(points.dtype, jnp.floating):
        raise TypeError(
            f"{function} got points of dtype {points.dtype}; it needs floats: write "
            "points.astype(jnp.float32)."
        )
    return _finite(points, point_mask(function, "valid", valid, points))


def point_mask(
    function: str, name: str, mask: Shaped[ArrayLike, "..."], points: Shaped[Array, "b n d"]
) -> Bool[Array, "b n"]:
    mask = jnp.asarray(mask)
    if mask.dtype != jnp.bool_ or mask.shape != points.shape[:2]:
        raise ValueError(
            f"{function} got {name} of shape {mask.shape} and dtype {mask.dtype}; it needs "
            f"bool{list(points.shape[:2])}, one for each point: write jnp.arange(N) < "
            "lengths[:, None] for clouds that are padded at the end."
        )
    return mask


@one_program()
def _finite(
    points: Float[Array, "b n d"], valid: Bool[Array, "b n"]
) -> tuple[Float[Array, "b n d"], Bool[Array, "b n"]]:
    points = points.astype(jnp.float32)
    finite = jnp.isfinite(points).all(axis=-1)
    return jnp.where(finite[..., None], points, 0.0), valid & finite


@one_program()
def placed(keep: Bool[Array, "b n"], take: Bool[Array, "b m"]) -> Int[Array, "b n"]:
    """Which of the partner's points comes into each slot that is free; -1 where none does.

    They come in their order. Of more than there are free slots, every k-th comes, k >= 1 a
    fraction, so that what is left out is spread over the scan.
    """
    free = ~keep
    number, room = (x.sum(axis=1, dtype=jnp.int32)[:, None] for x in (take, free))
    order = jnp.argsort(~take, axis=1, stable=True).astype(jnp.int32)
    rank = jnp.cumsum(free, axis=1, dtype=jnp.int32) - 1
    every = jnp.maximum(number.astype(jnp.float32) / jnp.maximum(room, 1).astype(jnp.float32), 1.0)
    which = jnp.floor(rank.astype(jnp.float32) * every).astype(jnp.int32)
    source = jnp.take_along_axis(order, jnp.clip(which, 0, take.shape[1] - 1), axis=1)
    return jnp.where(free & (rank < number), source, -1)


def mix_of(draw: Draw, keep: Bool[Array, "b n"], source: Int[Array, "b n"]) -> Mix:
    """The mix of these points, whose λ is the fraction that is the example's own."""
    return draw.mix(keep, _share(keep, source))


@one_program()
def _share(keep: Bool[Array, "b n"], source: Int[Array, "b n"]) -> Float[Array, "b"]:
    kept, new = (x.sum(axis=1, dtype=jnp.int32) for x in (keep, ~keep & (source >= 0)))
    whole = (kept + new).astype(jnp.float32)
    return jnp.where(whole > 0, kept.astype(jnp.float32) / jnp.maximum(whole, 1.0), 1.0)
