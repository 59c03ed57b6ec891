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
      images: arrays [B, *spatial, C] with channels last, or a PyTree of arrays that start with the
        same B and spatial axes. If channels come first, move them, `jnp.moveaxis(images, 1, -1)`,
        and back afterwards. Grey images [B, H, W] need a channel axis: `images[..., None]`.
      labels: class ids i[B], which need `num_classes`, or floats [B, ...]: soft labels, multi-hot
        labels or regression targets; or a PyTree of them.
      num_classes: K, the number of classes, for class ids. An id outside [0, K) becomes zeros.
      smoothing: ε in [0, 1] of label smoothing, applied before mixing; it may be traced.
      dtype: dtype of the mixed images, by default their own. Integer images need one: a float
        dtype, or their own, in which values are rounded.
      other: (images, labels) of a second batch of the same shapes: example i is mixed with its
        example i in place of the partner.
      **options: options of `sample_resizemix`: `scale`, `box`, `per`, `pairing`.

    Returns:
      The mixed images and the mixed labels: f32[B, K] for class ids, else of the shape of `labels`.

    Raises:
      TypeError: If images are integer or bool and `dtype` is not given, or labels are bool.
      ValueError: If class ids come without `num_classes`, images seem to have channels first, the
        shapes of `other` differ, or an option is out of range.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.resizemix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 10))

    Qin et al. 2020, arXiv:2012.11101.
    """
    mix = sample_resizemix(key, positions("resizemix", images), **options)
    other_images, other_labels = (None, None) if other is None else other
    fitted = fit_partner(mix, images, other=other_images)
    mixed = blend(mix, images, other=fitted, dtype=dtype)
    return mixed, blend_labels(
        mix, labels, other=other_labels, num_classes=num_classes, smoothing=smoothing
    )
