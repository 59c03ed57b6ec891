"""ResizeMix in one call."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.apply.fit import fit_partner
from jax_mixup.apply.inputs import blend
from jax_mixup.apply.labels import blend_labels
from jax_mixup.recipes._call import positions
from jax_mixup.samplers.resizemix import sample_resizemix


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
