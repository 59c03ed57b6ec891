"""The verbs for lists of boxes and points: a mixed input holds what both rows hold.

Lists are padded to N entries, with weight 0. A list is never averaged with another: it is joined.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup.mix import Mix, checked_rows, mix_where, take_partner
from jax_mixup.pairing import partner_index

HIGHEST = jax.lax.Precision.HIGHEST  # TPUs would otherwise multiply in bfloat16


def mix_boxes(
    mix: Mix,
    boxes: Shaped[ArrayLike, "b ..."],
    weights: Shaped[ArrayLike, "b ..."],
    *others: PyTree,
    min_visible: float = 0.1,
) -> tuple[PyTree, ...]:
    """Join each row's boxes with its partner's, each with the weight of what is seen of it.

        weights = (w · s(m), wₚ · s(1 - m))

    s is m itself for a mask without positions, as mixup's; the mean of m over the box for a soft
    mask; for a bool mask, as CutMix's, 1 where at least `min_visible` of the box is seen, else 0,
    and the box shrinks to what is seen.

    Args:
      mix: a mix of B rows.
      boxes: f[B, N, 2d], starts and then stops along the mask's d axes, in positions: for images
        (y0, x0, y1, x1) in pixels. What lies beyond the border does not count.
      weights: f[B, N], of each box's loss; 0 for padding, which stays 0.
      *others: more of each box, class ids for example: arrays [B, N, ...] or PyTrees of them.
      min_visible: the least share of a box under a bool mask; slivers below get weight 0. So do
        boxes of no area.

    Returns:
      (boxes, weights, *others), with 2N entries a row, its own first.

    Raises:
      ValueError: for another B, boxes that are not [B, N, 2d] for the mask's d axes, or weights of
        another shape.

    Example:
      The right half of each image comes from the other.

      >>> mask = jnp.broadcast_to(jnp.arange(8) < 4, (1, 8, 8))
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> boxes = jnp.array([[[1.0, 1.0, 3.0, 6.0]], [[5.0, 0.0, 8.0, 3.0]]])
      >>> boxes, weights, ids = jm.mix_boxes(mix, boxes, jnp.ones((2, 1)), jnp.array([[7], [9]]))
      >>> boxes[0].tolist(), weights[0].tolist(), ids[0].tolist()
      ([[1.0, 1.0, 3.0, 4.0], [5.0, 0.0, 8.0, 3.0]], [1.0, 0.0], [7, 9])

    For mixup as in Zhang et al. 2019, arXiv:1902.04103, who weigh boxes by λ and 1-λ.
    """
    boxes = checked_rows("mix_boxes", mix, "boxes", boxes)
    rank = mix.mask.ndim - 1
    if boxes.ndim != 3 or boxes.shape[-1] % 2 or rank not in (0, boxes.shape[-1] // 2):
        raise ValueError(
            f"mix_boxes got boxes of shape {boxes.shape} for a mask of shape {mix.mask.shape}; it "
            f"needs (B, N, {2 * rank or 4}), starts and stops along the mask's axes: write "
            "boxes[None] for one row's list."
        )
    weights = _checks.shaped("mix_boxes", "weights", weights, boxes.shape[:2])
    mix = _not_alone(mix, boxes.shape[0])
    seen, share = _visible(mix, boxes, own=True)
    other_boxes, other_weights = take_partner(mix, (boxes, weights))
    other_seen, other_share = _visible(mix, other_boxes, own=False)
    if rank and mix.mask.dtype == jnp.bool_:
        seen_enough = lambda share: ((share > 0) & (share >= min_visible)).astype(jnp.float32)
        share, other_share = seen_enough(share), seen_enough(other_share)
    shares = jnp.concatenate([weights * share, other_weights * other_share], 1)
    boxes = jnp.concatenate([seen, other_seen], 1)
    return boxes, shares.astype(weights.dtype), *_joined(mix, others)


def mix_points(
    mix: Mix,
    points: Shaped[ArrayLike, "b ..."],
    visible: Shaped[ArrayLike, "b ..."],
    *others: PyTree,
) -> tuple[PyTree, ...]:
    """Join each row's points with its partner's, each as visible as the mask is where it lies.

        visible = (v · m(point), vₚ · (1 - m)(point))

    Args:
      mix: a mix of B rows.
      points: f[B, N, d] along the mask's axes, in positions: (y, x) in pixels. Under a mask with
        positions, points beyond the border are not visible.
      visible: f[B, N], 0 for padding and for what is hidden.
      *others: as in `mix_boxes`.

    Returns:
      (points, visible, *others), with 2N entries a row, its own first.

    Raises:
      ValueError: as `mix_boxes`.

    Example:
      >>> mask = jnp.broadcast_to(jnp.arange(8) < 4, (1, 8, 8))
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> points = jnp.array([[[2.0, 1.0]], [[2.0, 6.5]]])
      >>> points, visible = jm.mix_points(mix, points, jnp.ones((2, 1)))
      >>> visible.tolist()
      [[1.0, 1.0], [0.0, 0.0]]
    """
    points = checked_rows("mix_points", mix, "points", points)
    rank = mix.mask.ndim - 1
    if points.ndim != 3 or rank not in (0, points.shape[-1]):
        raise ValueError(
            f"mix_points got points of shape {points.shape} for a mask of shape {mix.mask.shape}; "
            f"it needs (B, N, {rank or 2}), coordinates along the mask's axes."
        )
    visible = _checks.shaped("mix_points", "visible", visible, points.shape[:2])
    mix = _not_alone(mix, points.shape[0])
    other_points, other_visible = take_partner(mix, (points, visible))
    shares = [
        visible * _at(mix, points, own=True),
        other_visible * _at(mix, other_points, own=False),
    ]
    both = jnp.concatenate([points, other_points], 1)
    return both, jnp.concatenate(shares, 1).astype(visible.dtype), *_joined(mix, others)


def _not_alone(mix: Mix, n: int) -> Mix:
    """The mix, without rows that are their own partner: what is in them must not count twice."""
    return mix_where(partner_index(mix.partner, n) != jnp.arange(n), mix)


def _joined(mix: Mix, others: tuple[PyTree, ...]) -> list[PyTree]:
    join = lambda own, other: jnp.concatenate([jnp.asarray(own), other], axis=1)
    return [jax.tree.map(join, own, take_partner(mix, own)) for own in others]


def _share(mix: Mix, own: bool) -> Float[Array, "b *spatial"]:
    mask = mix.mask.astype(jnp.float32)
    return mask if own else 1 - mask


def _visible(
    mix: Mix, boxes: Float[Array, "b n _"], own: bool
) -> tuple[Float[Array, "b n _"], Float[Array, "b n"]]:
    """Each box as far as it is seen, and the seen share of it."""
    mask, spatial = _share(mix, own), mix.mask.shape[1:]
    if not spatial:
        return boxes, jnp.broadcast_to(mask[:, None], boxes.shape[:2])
    start, stop = jnp.split(boxes.astype(jnp.float32), 2, axis=-1)
    place = [jnp.arange(size, dtype=jnp.float32) for size in spatial]
    first = [jnp.maximum(start[..., a, None], p[None, None]) for a, p in enumerate(place)]
    last = [jnp.minimum(stop[..., a, None], p[None, None] + 1) for a, p in enumerate(place)]
    # How much of each position along an axis the box covers, from 0 to 1.
    cover = [jnp.maximum(b - a, 0.0) for a, b in zip(first, last, strict=True)]
    seen = _contract(mask, cover, keep=None)
    area = jnp.stack([c.sum(-1) for c in cover]).prod(0)
    share = seen / jnp.where(area > 0, area, 1.0)
    if mix.mask.dtype != jnp.bool_:
        return boxes, share
    corners = []
    for axis, (low, high) in enumerate(zip(first, last, strict=True)):
        some = _contract(mask, cover, keep=axis) > 0
        corners.append((jnp.where(some, low, jnp.inf).min(-1), jnp.where(some, high, 0.0).max(-1)))
    tight = jnp.stack([low for low, _ in corners] + [high for _, high in corners], axis=-1)
    return jnp.where((seen > 0)[..., None], tight, boxes).astype(boxes.dtype), share


def _contract(
    mask: Float[Array, "b *spatial"], cover: list[Float[Array, "b n _"]], keep: int | None
) -> Float[Array, "b n *kept"]:
    """Sum the mask over each box, along all axes but `keep`."""
    mask = jnp.broadcast_to(mask, (cover[0].shape[0], *mask.shape[1:]))
    letters = "hwdefg"[: len(cover)]
    terms = ",".join(f"bn{letter}" for letter in letters)
    out = "bn" if keep is None else f"bn{letters[keep]}"
    return jnp.einsum(f"b{letters},{terms}->{out}", mask, *cover, precision=HIGHEST)


def _at(mix: Mix, points: Float[Array, "b n d"], own: bool) -> Float[Array, "b n"]:
    """The mask's value where each point lies; 0 beyond the border."""
    mask, spatial = _share(mix, own), mix.mask.shape[1:]
    if not spatial:
        return jnp.broadcast_to(mask[:, None], points.shape[:2])
    sizes = jnp.asarray(spatial)[None, None]
    place = jnp.floor(points).astype(jnp.int32)
    inside = ((place >= 0) & (place < sizes)).all(-1)
    place = jnp.clip(place, 0, sizes - 1)
    rows = jnp.arange(points.shape[0])[:, None] % mask.shape[0]  # one mask may serve all rows
    value = mask[(rows, *jnp.moveaxis(place, -1, 0))]
    return jnp.where(inside, value, 0.0)
