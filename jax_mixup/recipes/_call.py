"""What the one-call recipes share: the shape of images, and the mix applied to both."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PyTree

from jax_mixup import _checks
from jax_mixup.apply.inputs import blend
from jax_mixup.apply.labels import blend_labels
from jax_mixup.mix import Mixes


def leaf_shape(function: str, images: PyTree) -> tuple[int, ...]:
    leaves = jax.tree.leaves(images)
    if not leaves:
        raise ValueError(
            f"{function} got images={images!r}; it needs an array or a PyTree of them."
        )
    return jnp.shape(leaves[0])


def positions(function: str, images: PyTree) -> tuple[int, ...]:
    """The shape (B, *spatial) of images whose channels come last."""
    shape = leaf_shape(function, images)
    _checks.channels_last(function, shape)
    return shape[:-1]


def applied(
    mix: Mixes,
    images: PyTree,
    labels: PyTree,
    num_classes: int | None,
    smoothing: ArrayLike,
    dtype: DTypeLike | None,
    other: tuple[PyTree, PyTree] | None,
) -> tuple[PyTree, PyTree]:
    pictures, theirs = (None, None) if other is None else other
    return (
        blend(mix, images, other=pictures, dtype=dtype),
        blend_labels(mix, labels, other=theirs, num_classes=num_classes, smoothing=smoothing),
    )
