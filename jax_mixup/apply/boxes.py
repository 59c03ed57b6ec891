"""The verbs for lists of boxes, points and objects: a mixed input has those of both examples.

Lists are padded to N entries, with weight 0. Two lists are never averaged: they are joined.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows
from jax_mixup._entry import public
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

HIGHEST = jax.lax.Precision.HIGHEST  # TPUs would otherwise multiply in bfloat16
POINT_FORMATS = ("yx", "xy")


@public
def mix_boxes(
    mix: Mix,
    boxes: Shaped[ArrayLike, "b ..."],
    weights: Shaped[ArrayLike, "b ..."],
    *others: PyTree,
    other: tuple[PyTree, ...] | None = None,
    box_format: str = "yxyx",
    min_visible: float = 0.1,
) -> tuple[PyTree, ...]:
    """Join each example's boxes with its partner's, each with the weight of its visible part.

        weights = (w · s(m), wₚ · s(1 - m))

    For a mask without positions, such as that of mixup, s is m itself. For a soft mask, s is the
    mean of m over the box. For a bool mask, such as that of CutMix, s is 1 if at least
    `min_visible` of the box is visible, else 0, and the box shrinks to its visible part.

    Args:
      mix: a mix of B examples.
      boxes: [B, N, 2d] in positions, which for images are pixels; see `box_format`. What lies
        beyond the border does not count.
      weights: [B, N], the weight of each box's loss. It is 0 for padding, and stays 0 there,
        whatever the box is.
      *others: more values of each box, class ids for example: arrays [B, N, ...] or PyTrees of
        them.
      other: (boxes, weights, *others) to join in place of the partners', for example those of a
        second batch.
      box_format: "yxyx" is (y0, x0, y1, x1): starts and then stops, in the order of the mask's d
        axes. "xyxy" is (x0, y0, x1, y1), as in torchvision and most detectors, and "xywh" is
        (x0, y0, width, height), as in the files of COCO; both begin with the mask's last axis.
      min_visible: the least visible fraction of a box under a bool mask; boxes with less of it get
        weight 0. So do boxes of no area.

    Returns:
      (boxes, weights, *others), with 2N entries for each example, its own first. Weights are
      floating point: integers and bools become float32.

    Raises:
      ValueError: If an array has another B, if boxes are not [B, N, 2d] for the mask's d axes, if
        weights have another shape, if `box_format` is unknown, or if `other` does not fit.

    Example:
      The right half of each image comes from the other.

      >>> mask = jnp.broadcast_to(jnp.arange(8) < 4, (1, 8, 8))
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> boxes = jnp.array([[[1.0, 1.0, 3.0, 6.0]], [[5.0, 0.0, 8.0, 3.0]]])
      >>> boxes, weights, ids = jm.mix_boxes(mix, boxes, jnp.ones((2, 1)), jnp.array([[7], [9]]))
      >>> boxes[0].tolist(), weights[0].tolist(), ids[0].tolist()
      ([[1.0, 1.0, 3.0, 4.0], [5.0, 0.0, 8.0, 3.0]], [1.0, 0.0], [7, 9])

    For mixup, this follows Zhang et al. 2019, arXiv:1902.04103, who weigh boxes by λ and 1-λ.
    """
    _checks.option("mix_boxes", "box_format", box_format, BOX_FORMATS)
    pairs = paired("mix_boxes", mix, (boxes, weights, *others), other)
    mix, rank = without_own_partners(mix, other), mix.mask.ndim - 1
    joined = []
    for own, (boxes, weights) in zip((True, False), pairs[:2], strict=True):
        boxes = checked_rows("mix_boxes", mix, "boxes", boxes)
        if boxes.ndim != 3 or boxes.shape[-1] % 2 or rank not in (0, boxes.shape[-1] // 2):
            raise ValueError(
                f"mix_boxes got boxes of shape {boxes.shape} for a mask of shape {mix.mask.shape}; "
                f"it needs (B, N, {2 * rank or 4}), starts and stops along the mask's axes: write "
                "boxes[None] for the list of one example."
            )
        weights = checked_weights("mix_boxes", "weights", weights, boxes.shape[:2])
        visible, share = _visible_boxes(mix, _to_axes(boxes, box_format), own)
        if rank and mix.mask.dtype == jnp.bool_:
            share = visible_enough(share, min_visible)
        joined.append((from_axes(visible, box_format), scaled_by(weights, share)))
    return tuple(jax.tree.map(join, *joined)) + join_all(pairs[2:])


@public
def mix_points(
    mix: Mix,
    points: Shaped[ArrayLike, "b ..."],
    visible: Shaped[ArrayLike, "b ..."],
    *others: PyTree,
    other: tuple[PyTree, ...] | None = None,
    point_format: str = "yx",
) -> tuple[PyTree, ...]:
    """Join each example's points with its partner's, each as visible as the mask says at its place.

        visible = (v · m(point), vₚ · (1 - m)(point))

    Args:
      mix: a mix of B examples.
      points: [B, N, d] in positions; see `point_format`. Under a mask with positions, points beyond
        the border are not visible.
      visible: [B, N], 0 for padding and for hidden points. COCO's values 0, 1 and 2 stay the same
        where the mask shows a point fully.
      *others: more values of each point, class ids for example: arrays [B, N, ...] or PyTrees of
        them.
      other: (points, visible, *others) to join in place of the partners', for example those of a
        second batch.
      point_format: "yx" has the order of the mask's axes; "xy", as in COCO, begins with the last
        axis.

    Returns:
      (points, visible, *others), with 2N entries for each example, its own first. `visible` is
      floating point: integers and bools become float32.

    Raises:
      ValueError: If an array has another B, if points are not [B, N, d] for the mask's d axes, if
        `visible` has another shape, if `point_format` is unknown, or if `other` does not fit.

    Example:
      >>> mask = jnp.broadcast_to(jnp.arange(8) < 4, (1, 8, 8))
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> points = jnp.array([[[2.0, 1.0]], [[2.0, 6.5]]])
      >>> points, visible = jm.mix_points(mix, points, jnp.ones((2, 1)))
      >>> visible.tolist()
      [[1.0, 1.0], [0.0, 0.0]]
    """
    _checks.option("mix_points", "point_format", point_format, POINT_FORMATS)
    pairs = paired("mix_points", mix, (points, visible, *others), other)
    mix, rank = without_own_partners(mix, other), mix.mask.ndim - 1
    joined = []
    for own, (points, visible) in zip((True, False), pairs[:2], strict=True):
        points = checked_rows("mix_points", mix, "points", points)
        if points.ndim != 3 or rank not in (0, points.shape[-1]):
            raise ValueError(
                f"mix_points got points of shape {points.shape} for a mask of shape "
                f"{mix.mask.shape}; it needs (B, N, {rank or 2}), coordinates along the mask's "
                "axes."
            )
        visible = checked_weights("mix_points", "visible", visible, points.shape[:2])
        place = points if point_format == "yx" else points[..., ::-1]
        joined.append((points, scaled_by(visible, _mask_at(mix, place, own))))
    return tuple(jax.tree.map(join, *joined)) + join_all(pairs[2:])


@public
def mix_instances(
    mix: Mix,
    instances: Shaped[ArrayLike, "b ..."],
    weights: Shaped[ArrayLike, "b ..."],
    *others: PyTree,
    other: tuple[PyTree, ...] | None = None,
    box_format: str = "yxyx",
    min_visible: float = 0.1,
) -> tuple[PyTree, ...]:
    """Join each example's objects, as dense masks, with its partner's, as far as they are visible.

        instances = (a ∧ m, aₚ ∧ ¬m) under a bool mask m;  boxes = the smallest around what is left

    Under a bool mask, such as that of CutMix, an object is cut where the other example is visible,
    and its weight is 0 if less than `min_visible` of its positions are left. Under a soft mask,
    such as that of mixup, objects stay whole, and weights are multiplied by the mean of m over each
    object.

    Args:
      mix: a mix of B examples.
      instances: [B, N, *spatial], bool, or numbers that are 0 outside of the object.
      weights: [B, N], the weight of each object's loss; 0 for padding.
      *others: more values of each object, class ids for example: arrays [B, N, ...] or PyTrees of
        them.
      other: (instances, weights, *others) to join in place of the partners', for example those of a
        second batch.
      box_format: the format of the boxes that are returned. "yxyx" is (y0, x0, y1, x1): starts and
        then stops, in the order of the mask's d axes. "xyxy" is (x0, y0, x1, y1) and "xywh" is
        (x0, y0, width, height).
      min_visible: the least visible fraction of an object's positions under a bool mask.

    Returns:
      (instances, boxes, weights, *others), with 2N entries for each example, its own first. `boxes`
      are float32, around the visible part of each object, and zeros where nothing is visible.
      Weights are floating point: integers and bools become float32.

    Raises:
      ValueError: If an array has another B, if instances have no positions or not those of the
        mask, if weights have another shape, if `box_format` is unknown, or if `other` does not fit.

    Example:
      The right half of each image comes from the other.

      >>> mask = jnp.array([[True, True, False, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> objects = jnp.array([[[0, 1, 1, 0]], [[1, 0, 0, 1]]], bool)
      >>> seen, boxes, weights = jm.mix_instances(mix, objects, jnp.ones((2, 1)))
      >>> seen[0].astype(int).tolist(), boxes[0].tolist(), weights[0].tolist()
      ([[0, 1, 0, 0], [0, 0, 0, 1]], [[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    """
    _checks.option("mix_instances", "box_format", box_format, BOX_FORMATS)
    pairs = paired("mix_instances", mix, (instances, weights, *others), other)
    mix = without_own_partners(mix, other)
    joined = []
    for own, (objects, weights) in zip((True, False), pairs[:2], strict=True):
        objects = checked_rows("mix_instances", mix, "instances", objects)
        if objects.ndim < 3 or mix.mask.ndim not in (1, objects.ndim - 1):
            raise ValueError(
                f"mix_instances got instances of shape {objects.shape} for a mask of shape "
                f"{mix.mask.shape}; it needs (B, N, *spatial), with the positions of the mask."
            )
        weights = checked_weights("mix_instances", "weights", weights, objects.shape[:2])
        visible, share = _visible_objects(mix, objects, own, min_visible)
        boxes = from_axes(smallest_boxes(visible.astype(bool)), box_format)
        joined.append((visible, boxes, scaled_by(weights, share)))
    return tuple(jax.tree.map(join, *joined)) + join_all(pairs[2:])


def _to_axes(boxes: Shaped[Array, "b n _"], box_format: str) -> Shaped[Array, "b n _"]:
    """Boxes as starts and stops, in the order of the mask's axes."""
    if box_format == "yxyx":
        return boxes
    start, stop = jnp.split(boxes, 2, axis=-1)
    stop = start + stop if box_format == "xywh" else stop
    return jnp.concatenate([start[..., ::-1], stop[..., ::-1]], axis=-1)


def _visible_objects(
    mix: Mix, objects: Shaped[Array, "b n *spatial"], own: bool, min_visible: float
) -> tuple[Shaped[Array, "b n *spatial"], Float[Array, "b n"]]:
    """The visible part of each object, and its weight."""
    mask, axes = mix.mask, tuple(range(2, objects.ndim))
    if mask.ndim == 1:
        return objects, jnp.broadcast_to(_share(mix, own)[:, None], objects.shape[:2])
    one = jax.ShapeDtypeStruct((objects.shape[0], *objects.shape[2:]), objects.dtype)
    _checks.mask_fits("mix_instances", mask.shape, one)
    weight = jnp.expand_dims(_share(mix, own), 1)
    inside = objects.astype(bool)
    area = inside.sum(axes, dtype=jnp.int32).astype(jnp.float32)
    share = jnp.where(inside, weight, 0.0).sum(axes) / jnp.maximum(area, 1.0)
    if mask.dtype != jnp.bool_:
        return objects, share
    visible = jnp.where(weight > 0, objects, jnp.zeros((), objects.dtype))
    return visible, visible_enough(share, min_visible)


def _share(mix: Mix, own: bool) -> Float[Array, "b *spatial"]:
    mask = mix.mask.astype(jnp.float32)
    return mask if own else 1 - mask


def _visible_boxes(
    mix: Mix, boxes: Float[Array, "b n _"], own: bool
) -> tuple[Float[Array, "b n _"], Float[Array, "b n"]]:
    """The visible part of each box, and the fraction of it that is visible."""
    mask, spatial = _share(mix, own), mix.mask.shape[1:]
    if not spatial:
        return boxes, jnp.broadcast_to(mask[:, None], boxes.shape[:2])
    start, stop = jnp.split(boxes.astype(jnp.float32), 2, axis=-1)
    place = [jnp.arange(size, dtype=jnp.float32) for size in spatial]
    first = [jnp.maximum(start[..., a, None], p[None, None]) for a, p in enumerate(place)]
    last = [jnp.minimum(stop[..., a, None], p[None, None] + 1) for a, p in enumerate(place)]
    # How much of each position along an axis the box covers, from 0 to 1.
    cover = [jnp.maximum(b - a, 0.0) for a, b in zip(first, last, strict=True)]
    amount = _contract(mask, cover, keep=None)
    area = jnp.stack([c.sum(-1) for c in cover]).prod(0)
    share = amount / jnp.where(area > 0, area, 1.0)
    if mix.mask.dtype != jnp.bool_:
        return boxes, share
    corners = []
    for axis, (low, high) in enumerate(zip(first, last, strict=True)):
        some = _contract(mask, cover, keep=axis) > 0
        corners.append((jnp.where(some, low, jnp.inf).min(-1), jnp.where(some, high, 0.0).max(-1)))
    tight = jnp.stack([low for low, _ in corners] + [high for _, high in corners], axis=-1)
    whole = boxes.astype(jnp.float32)
    return jnp.where((amount > 0)[..., None], tight, whole).astype(boxes.dtype), share


def _contract(
    mask: Float[Array, "b *spatial"], cover: list[Float[Array, "b n _"]], keep: int | None
) -> Float[Array, "b n *kept"]:
    """Sum the mask over each box, along all axes but `keep`."""
    mask = jnp.broadcast_to(mask, (cover[0].shape[0], *mask.shape[1:]))
    letters = "hwdefg"[: len(cover)]
    terms = ",".join(f"bn{letter}" for letter in letters)
    out = "bn" if keep is None else f"bn{letters[keep]}"
    return jnp.einsum(f"b{letters},{terms}->{out}", mask, *cover, precision=HIGHEST)


def _mask_at(mix: Mix, points: Float[Array, "b n d"], own: bool) -> Float[Array, "b n"]:
    """The mask's value at each point; 0 beyond the border."""
    mask, spatial = _share(mix, own), mix.mask.shape[1:]
    if not spatial:
        return jnp.broadcast_to(mask[:, None], points.shape[:2])
    sizes = jnp.asarray(spatial, jnp.int32)[None, None]
    place = jnp.floor(points.astype(jnp.float32))
    place = jnp.where(jnp.isfinite(place), place, -1.0).astype(jnp.int32)
    inside = ((place >= 0) & (place < sizes)).all(-1)
    place = jnp.clip(place, 0, sizes - 1)
    # There may be one mask for all examples.
    rows = jnp.arange(points.shape[0], dtype=jnp.int32)[:, None] % mask.shape[0]
    value = mask[(rows, *jnp.moveaxis(place, -1, 0))]
    return jnp.where(inside, value, 0.0)
