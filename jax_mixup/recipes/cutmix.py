"""CutMix in one call."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.recipes._call import applied, positions
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
    return applied(mix, images, labels, num_classes, smoothing, dtype, other)
