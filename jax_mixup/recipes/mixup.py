"""mixup in one call."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.recipes._call import apply_mix, leaf_shape
from jax_mixup.samplers.mixup import sample_mixup


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
      images: arrays [B, ...], or a PyTree of them: images, tables, sound or embeddings.
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
      **options: other options of `sample_mixup`: `lam_law`, `per`, `pairing`.

    Returns:
      The mixed images and the mixed labels: f32[B, K] for class ids, else of the shape of `labels`.

    Raises:
      TypeError: If images are integer or bool and `dtype` is not given, or labels are bool.
      ValueError: If class ids come without `num_classes`, the shapes of `other` differ, or an
        option is out of range.

    Example:
      >>> x, y = jm.mixup(jax.random.key(0), jnp.ones((4, 9)), jnp.arange(4), num_classes=4)
      >>> x.shape, y.shape
      ((4, 9), (4, 4))

    Zhang et al. 2018, arXiv:1710.09412.
    """
    mix = sample_mixup(key, leaf_shape("mixup", images)[:1], alpha=alpha, **options)
    return apply_mix(mix, images, labels, num_classes, smoothing, dtype, other)
