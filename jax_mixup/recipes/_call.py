"""What the recipes share: they read the shape of images, and apply a mix to images and labels."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PyTree

from jax_mixup import _checks
from jax_mixup.apply.inputs import blend
from jax_mixup.apply.labels import blend_labels
from jax_mixup.mix import Mixes


def leaf_shape(function: str, images: PyTree) -> tuple[int, ...]:
    """Return the shape of the first array."""
    leaves = jax.tree.leaves(images)
    if not leaves:
        raise ValueError(
            f"{function} got images={images!r}; it needs an array, or a PyTree of arrays."
        )
    return jnp.shape(leaves[0])


def positions(function: str, images: PyTree) -> tuple[int, ...]:
    """Return the shape (B, *spatial) of images whose channels come last."""
    shape = leaf_shape(function, images)
    _checks.channels_last(function, shape)
    return shape[:-1]


def apply_mix(
    mix: Mixes,
    images: PyTree,
    labels: PyTree,
    num_classes: int | None,
    smoothing: ArrayLike,
    dtype: DTypeLike | None,
    other: tuple[PyTree, PyTree] | None,
) -> tuple[PyTree, PyTree]:
    """Blend the images and their labels with those of the partners, or of a second batch."""
    other_images, other_labels = (None, None) if other is None else other
    return (
        blend(mix, images, other=other_images, dtype=dtype),
        blend_labels(mix, labels, other=other_labels, num_classes=num_classes, smoothing=smoothing),
    )
