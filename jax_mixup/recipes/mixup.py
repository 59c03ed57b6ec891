"""mixup in one call."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.recipes._call import applied, leaf_shape
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
    return applied(mix, images, labels, num_classes, smoothing, dtype, other)
