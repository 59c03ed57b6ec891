"""What the verbs for lists of boxes, points and objects share."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import mix_where
from jax_mixup.apply.inputs import take_partner
from jax_mixup.mix import Mix
from jax_mixup.pairings.static import partner_index

BOX_FORMATS = ("yxyx", "xyxy", "xywh")


def paired(
    function: str, mix: Mix, own: tuple[PyTree, ...], other: tuple[PyTree, ...] | None
) -> list[Any]:
    """Pair the own lists with the partners': first (what, weights), then each further list."""
    partners: Any = take_partner(mix, own) if other is None else other
    if not isinstance(partners, tuple) or len(partners) != len(own):
        got = len(partners) if isinstance(partners, tuple) else type(partners).__name__
        raise ValueError(
            f"{function} got other of {got} for {len(own)} lists; it needs a tuple of as many "
            "lists, in the same order."
        )
    return [own[:2], partners[:2], *zip(own[2:], partners[2:], strict=True)]


def without_own_partners(mix: Mix, other: object) -> Mix:
    """The mix, but whole where an example is its own partner: nothing must count twice."""
    if other is not None:
        return mix
    n = mix.lam.shape[0]
    return mix_where(partner_index(mix.partner, n) != jnp.arange(n, dtype=jnp.int32), mix)


def checked_weights(
    function: str, name: str, weights: ArrayLike, shape: tuple[int, ...]
) -> Float[Array, "b n"]:
    weights = _checks.shaped(function, name, weights, shape)
    return weights if jnp.issubdtype(weights.dtype, jnp.inexact) else weights.astype(jnp.float32)


def scaled_by(weights: Float[Array, "b n"], share: Float[Array, "b n"]) -> Float[Array, "b n"]:
    """The weights times what is visible; padding stays 0, whatever its box is, even NaN."""
    product = jnp.where(weights != 0, weights.astype(jnp.float32) * share, 0.0)
    return product.astype(weights.dtype)


def visible_enough(share: Float[Array, "b n"], least: float) -> Float[Array, "b n"]:
    return ((share > 0) & (share >= least)).astype(jnp.float32)


def join(own: ArrayLike, other: ArrayLike) -> Array:
    return jnp.concatenate([jnp.asarray(own), jnp.asarray(other)], axis=1)


def join_all(pairs: list[Any]) -> tuple[PyTree, ...]:
    return tuple(jax.tree.map(join, own, other) for own, other in pairs)


def from_axes(boxes: Shaped[Array, "b n _"], box_format: str) -> Shaped[Array, "b n _"]:
    if box_format == "yxyx":
        return boxes
    start, stop = (end[..., ::-1] for end in jnp.split(boxes, 2, axis=-1))
    return jnp.concatenate([start, stop - start if box_format == "xywh" else stop], axis=-1)


def smallest_boxes(visible: Bool[Array, "b n *spatial"]) -> Float[Array, "b n _"]:
    """The smallest box around all True positions; zeros where there are none."""
    first, last = [], []
    for axis in range(2, visible.ndim):
        line = visible.any(axis=tuple(a for a in range(2, visible.ndim) if a != axis))
        some, size = line.any(axis=-1), line.shape[-1]
        start = jnp.argmax(line, axis=-1).astype(jnp.float32)
        stop = size - jnp.argmax(line[..., ::-1], axis=-1).astype(jnp.float32)
        first.append(jnp.where(some, start, 0.0))
        last.append(jnp.where(some, stop, 0.0))
    return jnp.stack(first + last, axis=-1)
