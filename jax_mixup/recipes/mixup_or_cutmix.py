"""mixup or CutMix in one call."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.recipes._call import applied, positions
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
    return applied(mix, images, labels, num_classes, smoothing, dtype, other)
