"""Mixing by any sampler in one call."""

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.policies import Sampler
from jax_mixup.recipes._call import apply_mix, positions


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
      images: arrays [B, *spatial, C] with channels last, or a PyTree of arrays that start with the
        same B and spatial axes. If channels come first, move them, `jnp.moveaxis(images, 1, -1)`,
        and back afterwards. Grey images [B, H, W] need a channel axis: `images[..., None]`.
      labels: class ids i[B], which need `num_classes`, or floats [B, ...]: soft labels, multi-hot
        labels or regression targets; or a PyTree of them.
      sampler: a function `(key, shape) -> Mix`, or one that gives a tuple of mixes, such as
        `sample_fmix`, `preset("deit")` or `partial(sample_gridmix, grid=(4, 4))`.
      num_classes: K, the number of classes, for class ids. An id outside [0, K) becomes zeros.
      smoothing: ε in [0, 1] of label smoothing, applied before mixing; it may be traced.
      dtype: dtype of the mixed images, by default their own. Integer images need one: a float
        dtype, or their own, in which values are rounded.
      other: (images, labels) of a second batch of the same shapes: example i is mixed with its
        example i in place of the partner.

    Returns:
      The mixed images and the mixed labels: f32[B, K] for class ids, else of the shape of `labels`.

    Raises:
      TypeError: If images are integer or bool and `dtype` is not given, or labels are bool.
      ValueError: If class ids come without `num_classes`, images seem to have channels first, the
        shapes of `other` differ, or the sampler raises one.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.mix_batch(jax.random.key(0), images, labels, jm.sample_ricap, num_classes=4)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 4))
    """
    mix = sampler(key, positions("mix_batch", images))
    return apply_mix(mix, images, labels, num_classes, smoothing, dtype, other)
