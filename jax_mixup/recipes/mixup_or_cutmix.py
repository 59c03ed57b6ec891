"""mixup or CutMix in one call."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.recipes._call import apply_mix, positions
from jax_mixup.samplers.mixup_or_cutmix import sample_mixup_or_cutmix


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
    """Mix a batch and its labels by CutMix or by mixup, drawn again in each call.

        x̃ᵢ = m ⊙ xᵢ + (1 - m) ⊙ xₚ,  m = 1[outside a box] or λ

    Args:
      key: a PRNG key.
      images: arrays [B, *spatial, C] with channels last, or a PyTree of arrays that start with the
        same B and spatial axes. If channels come first, move them, `jnp.moveaxis(images, 1, -1)`,
        and back afterwards. Grey images [B, H, W] need a channel axis: `images[..., None]`.
      labels: class ids i[B], which need `num_classes`, or floats [B, ...]: soft labels, multi-hot
        labels or regression targets; or a PyTree of them.
      mixup_alpha, cutmix_alpha: concentration of λ ~ Beta(α, α) for each method: small values mix
        little, 1 makes λ uniform. Both may be traced. 0 turns a method off: what is drawn for it
        stays unmixed.
      num_classes: K, the number of classes, for class ids. An id outside [0, K) becomes zeros.
      smoothing: ε in [0, 1] of label smoothing, applied before mixing; it may be traced.
      dtype: dtype of the mixed images, by default their own. Integer images need one: a float
        dtype, or their own, in which values are rounded.
      other: (images, labels) of a second batch of the same shapes: example i is mixed with its
        example i in place of the partner.
      **options: other options of `sample_mixup_or_cutmix`: `switch_prob`, `prob`, `lam_law`, `box`,
        `axes`, `per`, `pairing`.

    Returns:
      The mixed images and the mixed labels: f32[B, K] for class ids, else of the shape of `labels`.

    Raises:
      TypeError: If images are integer or bool and `dtype` is not given, or labels are bool.
      ValueError: If class ids come without `num_classes`, images seem to have channels first, the
        shapes of `other` differ, or an option is out of range.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.mixup_or_cutmix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 10))

    The defaults are those of DeiT, Touvron et al. 2021, arXiv:2012.12877.
    """
    mix = sample_mixup_or_cutmix(
        key,
        positions("mixup_or_cutmix", images),
        mixup_alpha=mixup_alpha,
        cutmix_alpha=cutmix_alpha,
        **options,
    )
    return apply_mix(mix, images, labels, num_classes, smoothing, dtype, other)
