"""One call a method: sample, blend, blend_labels, nothing more.

For anything else that belongs to the batch (masks, losses on ids, metrics) draw the mix with
`sample_*` and apply it with the verbs.

Channels come last. Recipes whose masks have positions refuse images [B, 1 or 3 or 4, H, W] that
have channels first: `jnp.moveaxis(images, 1, -1)` moves them, `jnp.moveaxis(mixed, -1, 1)` back.
In a jitted step that adds no pass: the moves are part of the mixing, and of what follows. Series
with variables before time, [B, V, T], look like any other array: for them too write
`jnp.moveaxis(x, 1, -1)`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup import _checks
from jax_mixup._entry import calls_back
from jax_mixup.insets import fit_partner, sample_resizemix
from jax_mixup.labels import blend_labels
from jax_mixup.mix import Mixes, blend
from jax_mixup.policies import Sampler
from jax_mixup.samplers import sample_cutmix, sample_mixup, sample_mixup_or_cutmix


@calls_back
def mixup(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    *,
    alpha: ArrayLike = 1.0,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    dtype: DTypeLike | None = None,
    other: tuple[PyTree, PyTree] | None = None,
    **options: Any,
) -> tuple[PyTree, PyTree]:
    """Mix a batch and its labels by mixup.

        x̃ᵢ = λ xᵢ + (1 - λ) xₚ,  ỹᵢ = λ yᵢ + (1 - λ) yₚ,  λ ~ Beta(α, α)

    Args:
      key: a PRNG key.
      images: arrays [B, ...] or a PyTree of them: images, tables, sound, embeddings.
      labels: as in `blend_labels`.
      alpha: concentration of λ; may be traced; <= 0 is off.
      num_classes, smoothing: as in `blend_labels`.
      dtype: as in `blend`; integer images need it.
      other: (images, labels) of a second batch of the same shapes, whose row i is mixed into row i.
      **options: `lam_law`, `per`, `pairing` of `sample_mixup`.

    Returns:
      (images, labels), mixed.

    Raises:
      TypeError, ValueError: as the three functions do.

    Example:
      >>> x, y = jm.mixup(jax.random.key(0), jnp.ones((4, 9)), jnp.arange(4), num_classes=4)
      >>> x.shape, y.shape
      ((4, 9), (4, 4))

    Zhang et al. 2018, arXiv:1710.09412; see `sample_mixup`.
    """
    mix = sample_mixup(key, leaf_shape("mixup", images)[:1], alpha=alpha, **options)
    return apply(mix, images, labels, num_classes, smoothing, dtype, other)


@calls_back
def cutmix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    *,
    alpha: ArrayLike = 1.0,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    dtype: DTypeLike | None = None,
    other: tuple[PyTree, PyTree] | None = None,
    **options: Any,
) -> tuple[PyTree, PyTree]:
    """Mix a batch and its labels by CutMix.

        x̃ᵢ = xᵢ outside a box and xₚ inside,  ỹᵢ = λ yᵢ + (1 - λ) yₚ,  λ = the share outside

    Args:
      key: a PRNG key.
      images: arrays [B, *spatial, C], channels last, or a PyTree of arrays that start with the same
        B and spatial axes. Channels first: `jnp.moveaxis(images, 1, -1)`, and back after.
      labels: as in `blend_labels`.
      alpha: concentration of the drawn share; may be traced; <= 0 is off.
      num_classes, smoothing: as in `blend_labels`.
      dtype: as in `blend`; integer images need it.
      other: (images, labels) of a second batch of the same shapes, whose row i is mixed into row i.
      **options: `box`, `axes`, `lam_law`, `per`, `pairing` of `sample_cutmix`.

    Returns:
      (images, labels), mixed.

    Raises:
      TypeError, ValueError: as the three functions do.

    Example:
      >>> images = jnp.zeros((4, 8, 8, 3), jnp.uint8)
      >>> x, y = jm.cutmix(jax.random.key(0), images, jnp.eye(4), dtype=jnp.uint8, box="inside")
      >>> x.shape, x.dtype, y.shape
      ((4, 8, 8, 3), dtype('uint8'), (4, 4))

    Yun et al. 2019, arXiv:1905.04899; see `sample_cutmix`.
    """
    mix = sample_cutmix(key, positions("cutmix", images), alpha=alpha, **options)
    return apply(mix, images, labels, num_classes, smoothing, dtype, other)


@calls_back
def mixup_or_cutmix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    *,
    mixup_alpha: ArrayLike = 0.8,
    cutmix_alpha: ArrayLike = 1.0,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    dtype: DTypeLike | None = None,
    other: tuple[PyTree, PyTree] | None = None,
    **options: Any,
) -> tuple[PyTree, PyTree]:
    """Mix a batch and its labels by CutMix or by mixup, drawn anew each time.

        x̃ᵢ = m ⊙ xᵢ + (1 - m) ⊙ xₚ,  m = 1[outside a box] or λ

    Args:
      key: a PRNG key.
      images: as in `cutmix`.
      labels: as in `blend_labels`.
      mixup_alpha, cutmix_alpha: concentrations; may be traced; <= 0 is off.
      num_classes, smoothing: as in `blend_labels`.
      dtype: as in `blend`; integer images need it.
      other: (images, labels) of a second batch of the same shapes, whose row i is mixed into row i.
      **options: `switch_prob`, `prob`, `box`, `lam_law`, `per`, `pairing` of
        `sample_mixup_or_cutmix`.

    Returns:
      (images, labels), mixed.

    Raises:
      TypeError, ValueError: as the three functions do.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.mixup_or_cutmix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 10))

    See `sample_mixup_or_cutmix`.
    """
    mix = sample_mixup_or_cutmix(
        key,
        positions("mixup_or_cutmix", images),
        mixup_alpha=mixup_alpha,
        cutmix_alpha=cutmix_alpha,
        **options,
    )
    return apply(mix, images, labels, num_classes, smoothing, dtype, other)


@calls_back
def mix_batch(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    sampler: Sampler,
    *,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    dtype: DTypeLike | None = None,
    other: tuple[PyTree, PyTree] | None = None,
) -> tuple[PyTree, PyTree]:
    """Mix a batch and its labels by any sampler or policy.

        x̃ = blend(mix, x),  ỹ = blend_labels(mix, y),  mix = sampler(key, x.shape[:-1])

    Args:
      key: a PRNG key.
      images: arrays [B, *spatial, C], channels last, or a PyTree of arrays that start with the same
        B and spatial axes. Channels first: `jnp.moveaxis(images, 1, -1)`, and back after.
      labels: as in `blend_labels`.
      sampler: a function `(key, shape) -> Mix`, or one that gives a tuple of mixes: `sample_fmix`,
        `preset("deit")`, `partial(sample_gridmix, grid=(4, 4))`.
      num_classes, smoothing: as in `blend_labels`.
      dtype: as in `blend`; integer images need it.
      other: (images, labels) of a second batch of the same shapes, whose row i is mixed into row i.

    Returns:
      (images, labels), mixed.

    Raises:
      TypeError, ValueError: as the sampler and the two verbs do.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.mix_batch(jax.random.key(0), images, labels, jm.sample_ricap, num_classes=4)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 4))
    """
    mix = sampler(key, positions("mix_batch", images))
    return apply(mix, images, labels, num_classes, smoothing, dtype, other)


@calls_back
def resizemix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    *,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    dtype: DTypeLike | None = None,
    other: tuple[PyTree, PyTree] | None = None,
    **options: Any,
) -> tuple[PyTree, PyTree]:
    """Mix a batch and its labels by ResizeMix.

        x̃ᵢ = xᵢ outside a box and the whole of xₚ, resized, inside;  ỹᵢ = λ yᵢ + (1 - λ) yₚ

    Args:
      key: a PRNG key.
      images, labels, num_classes, smoothing, dtype, other: as in `cutmix`.
      **options: `scale`, `box`, `per`, `pairing` of `sample_resizemix`.

    Returns:
      (images, labels), mixed.

    Raises:
      TypeError, ValueError: as the functions do.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.resizemix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 10))

    Qin et al. 2020, arXiv:2012.11101; see `sample_resizemix`.
    """
    mix = sample_resizemix(key, positions("resizemix", images), **options)
    pictures, theirs = (None, None) if other is None else other
    fitted = fit_partner(mix, images, other=pictures)
    mixed = blend(mix, images, other=fitted, dtype=dtype)
    return mixed, blend_labels(
        mix, labels, other=theirs, num_classes=num_classes, smoothing=smoothing
    )


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


def apply(
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
