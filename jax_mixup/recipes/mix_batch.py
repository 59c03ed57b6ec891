"""Any sampler in one call."""

from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup._entry import calls_back
from jax_mixup.policies import Sampler
from jax_mixup.recipes._call import applied, positions


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
    return applied(mix, images, labels, num_classes, smoothing, dtype, other)
