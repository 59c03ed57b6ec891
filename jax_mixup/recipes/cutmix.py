"""CutMix in one call."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.recipes._call import apply_mix, positions
from jax_mixup.samplers.cutmix import sample_cutmix


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

        x̃ᵢ = xᵢ outside a box and xₚ inside,  ỹᵢ = λ yᵢ + (1 - λ) yₚ,  λ = the fraction outside

    Args:
      key: a PRNG key.
      images: arrays [B, *spatial, C] with channels last, or a PyTree of arrays that start with the
        same B and spatial axes. If channels come first, move them, `jnp.moveaxis(images, 1, -1)`,
        and back afterwards. Grey images [B, H, W] need a channel axis: `images[..., None]`.
      labels: class ids i[B], which need `num_classes`, or floats [B, ...]: soft labels, multi-hot
        labels or regression targets; or a PyTree of them.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off.
      num_classes: K, the number of classes, for class ids. An id outside [0, K) becomes zeros.
      smoothing: ε in [0, 1] of label smoothing, applied before mixing; it may be traced.
      dtype: dtype of the mixed images, by default their own. Integer images need one: a float
        dtype, or their own, in which values are rounded.
      other: (images, labels) of a second batch of the same shapes: example i is mixed with its
        example i in place of the partner.
      **options: other options of `sample_cutmix`: `lam_law`, `box`, `axes`, `per`, `pairing`.

    Returns:
      The mixed images and the mixed labels: f32[B, K] for class ids, else of the shape of `labels`.

    Raises:
      TypeError: If images are integer or bool and `dtype` is not given, or labels are bool.
      ValueError: If class ids come without `num_classes`, images seem to have channels first, the
        shapes of `other` differ, or an option is out of range.

    Example:
      >>> images = jnp.zeros((4, 8, 8, 3), jnp.uint8)
      >>> x, y = jm.cutmix(jax.random.key(0), images, jnp.eye(4), dtype=jnp.uint8, box="inside")
      >>> x.shape, x.dtype, y.shape
      ((4, 8, 8, 3), dtype('uint8'), (4, 4))

    Yun et al. 2019, arXiv:1905.04899. `sample_cutmix` says how the box is drawn.
    """
    mix = sample_cutmix(key, positions("cutmix", images), alpha=alpha, **options)
    return apply_mix(mix, images, labels, num_classes, smoothing, dtype, other)
