"""The verb for objects on a map of ids: what is seen of both examples' objects after mixing."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows
from jax_mixup._entry import one_program, public
from jax_mixup.apply._lists import (
    BOX_FORMATS,
    checked_weights,
    from_axes,
    join,
    join_all,
    paired,
    scaled_by,
    smallest_boxes,
    visible_enough,
    without_own_partners,
)
from jax_mixup.mix import Mix


@public
def mix_objects(
    mix: Mix,
    ids: Shaped[ArrayLike, "b *spatial"],
    weights: Shaped[ArrayLike, "b ..."],
    *others: PyTree,
    other: tuple[PyTree, ...] | None = None,
    box_format: str = "yxyx",
    min_visible: float = 0.1,
) -> tuple[PyTree, ...]:
    """Join each example's objects, on a map of ids, with its partner's, as far as they are seen.

        out = ids where m, else idsₚ + N;  areaₖ = #{out = k};  visibleₖ = areaₖ / #{k before}
        weights = (w, wₚ) · (visible ≥ min_visible)

    A position has one id, so objects do not overlap; for masks that do, there is `mix_instances`.
    An object of the partner that was not pasted, and one that is hidden whole, has area 0, a box of
    zeros and weight 0. All shapes are static.

    Args:
      mix: a mix of B examples with a bool mask, such as those of `sample_copy_paste` and
        `sample_cutmix`.
      ids: i[B, *spatial], which object is seen at each position: 1 to N, where object k is entry
        k - 1 of the lists; 0 for the background. Ids below 0 stay as they are; those above N, such
        as 255, become -1, for they could be the partner's.
      weights: [B, N], the weight of each object's loss; 0 for padding, and for objects that do not
        count.
      *others: more values of each object, class ids for example: arrays [B, N, ...] or PyTrees of
        them.
      other: (ids, weights, *others) to join in place of the partners', for example those of a
        second batch.
      box_format: the format of the boxes that are returned. "yxyx" is (y0, x0, y1, x1): starts and
        then stops, in the order of the mask's d axes. "xyxy" is (x0, y0, x1, y1) and "xywh" is
        (x0, y0, width, height).
      min_visible: the least visible fraction of an object's positions; with 0 only those that are
        hidden whole drop out.

    Returns:
      (ids, instances, boxes, weights, areas, visible, *others), with 2N entries for each example,
      its own first. `ids` are i32[B, *spatial] with 1 to 2N, `instances` bool[B, 2N, *spatial],
      `boxes` f32[B, 2N, 2d], the smallest around what is seen. `areas`, i32[B, 2N], count the
      positions that are seen, and `visible`, f32[B, 2N], is their fraction. Weights are floating
      point: integers and bools become float32. Under jit, what is not used is not computed.

    Raises:
      TypeError: If `ids` are not integers, or the mask is not bool with positions.
      ValueError: If an array has another B, if ids have not the positions of the mask, if weights
        are not [B, N], if `box_format` is unknown, or if `other` does not fit.

    Example:
      Of the second example's objects 1 and 2, object 1 was pasted into the first example.

      >>> ids = jnp.array([[1, 1, 1, 1], [1, 1, 2, 2]])
      >>> mask = jnp.array([[False, False, True, True], [True, True, True, True]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.array([0.5, 1.0]))
      >>> ids, _, boxes, weights, areas, visible = jm.mix_objects(mix, ids, jnp.ones((2, 2)))
      >>> ids[0].tolist(), boxes[0].tolist()
      ([3, 3, 1, 1], [[2.0, 4.0], [0.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
      >>> weights[0].tolist(), areas[0].tolist(), visible[0].tolist()
      ([1.0, 0.0, 1.0, 0.0], [2, 0, 2, 0], [0.5, 0.0, 1.0, 0.0])

    Ghiasi et al. 2021, arXiv:2012.07177. In torchvision's reference objects drop out that are
    hidden whole, as with min_visible=0. MMDetection keeps an object of which more than 300
    positions are seen, `areas > 300`, or no side of whose box has moved by more than 10.
    """
    _checks.option("mix_objects", "box_format", box_format, BOX_FORMATS)
    pairs = paired("mix_objects", mix, (ids, weights, *others), other)
    maps = [_map(mix, name, x) for name, (x, _) in zip(("ids", "other"), pairs[:2], strict=True)]
    lists = [_list(x, w) for x, (_, w) in zip(maps, pairs[:2], strict=True)]
    mask = without_own_partners(mix, other).mask
    n, m = (w.shape[1] for w in lists)
    whole = jnp.concatenate([_areas(_lines(x, k, 0)) for x, k in zip(maps, (n, m), strict=True)], 1)
    own, theirs = (jnp.where(x > k, -1, x) for x, k in zip(maps, (n, m), strict=True))
    seen = jnp.where(mask, own, jnp.where(theirs > 0, theirs + n, theirs))
    lines = [_lines(seen, n + m, axis) for axis in range(seen.ndim - 1)]
    areas = _areas(lines[0])
    visible = areas.astype(jnp.float32) / jnp.maximum(whole, 1).astype(jnp.float32)
    enough = visible_enough(visible, min_visible)
    scaled = join(scaled_by(lists[0], enough[:, :n]), scaled_by(lists[1], enough[:, n:]))
    sides = jnp.stack([smallest_boxes(line > 0) for line in lines], axis=-1)  # [B, 2N, ends, d]
    boxes = from_axes(sides.reshape(*areas.shape, 2 * len(lines)), box_format)
    instances = seen[:, None] == _numbers(n + m, seen.ndim)
    return seen, instances, boxes, scaled, areas, visible, *join_all(pairs[2:])


def _map(mix: Mix, name: str, ids: ArrayLike) -> Int[Array, "b *spatial"]:
    """Ids as int32, checked against the mask."""
    ids = checked_rows("mix_objects", mix, name, ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"mix_objects got {name} of dtype {ids.dtype}; it needs integers, the number of the "
            "object at each position: for masks [B, N, *spatial] call mix_instances."
        )
    if mix.mask.dtype != jnp.bool_ or mix.mask.ndim == 1:
        raise TypeError(
            f"mix_objects got a mix with a {mix.mask.dtype} mask of shape {mix.mask.shape}; it "
            "needs a bool mask with positions, as sample_copy_paste draws: under any other call "
            "mix_instances or mix_boxes."
        )
    if ids.ndim != mix.mask.ndim:
        raise ValueError(
            f"mix_objects got {name} of shape {ids.shape} for a mask of shape {mix.mask.shape}; it "
            "needs (B, *spatial), with the positions of the mask."
        )
    _checks.mask_fits("mix_objects", mix.mask.shape, ids)
    return _checks.int32(ids)


def _list(ids: Int[Array, "b *spatial"], weights: ArrayLike) -> Shaped[Array, "b n"]:
    shape = jnp.shape(weights)
    size = shape[1] if len(shape) == 2 else 1
    return checked_weights("mix_objects", "weights", weights, (ids.shape[0], size))


def _areas(lines: Int[Array, "b n size"]) -> Int[Array, "b n"]:
    return lines.sum(axis=2, dtype=jnp.int32)


def _numbers(n: int, ndim: int) -> Int[Array, "1 n *ones"]:
    """1 to n, to be compared with the ids of all positions."""
    return jnp.arange(1, n + 1, dtype=jnp.int32).reshape(1, n, *[1] * (ndim - 1))


@one_program("n", "axis")
def _lines(ids: Int[Array, "b *spatial"], n: int, axis: int) -> Int[Array, "b n size"]:
    """How many positions each object has at each place along an axis."""
    # Adding at places reads the ids once, without n maps in memory. TPUs add one after another.
    compared, added = (partial(way, n=n, axis=axis) for way in (_compared, _added))
    return jax.lax.platform_dependent(ids, tpu=compared, default=added)


def _compared(ids: Int[Array, "b *spatial"], *, n: int, axis: int) -> Int[Array, "b n size"]:
    here = ids[:, None] == _numbers(n, ids.ndim)
    return here.sum([a for a in range(2, here.ndim) if a != axis + 2], dtype=jnp.int32)


def _added(ids: Int[Array, "b *spatial"], *, n: int, axis: int) -> Int[Array, "b n size"]:
    def one(ids: Array) -> Array:
        place = jax.lax.broadcasted_iota(jnp.int32, ids.shape, axis)
        found = jnp.zeros((n, ids.shape[axis]), jnp.int32)
        known = jnp.where(ids > 0, ids - 1, n)  # beyond the end nothing is added
        return found.at[known, place].add(1, mode="drop")

    return jax.vmap(one)(ids)
