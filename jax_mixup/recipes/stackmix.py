"""StackMix in one call: two examples, one after the other."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup import _checks
from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup.apply.inputs import take_partner
from jax_mixup.apply.labels import blend_labels
from jax_mixup.distributions import constant
from jax_mixup.pairings.random import permutation
from jax_mixup.recipes._call import leaf_shape
from jax_mixup.samplers.mixup import sample_mixup


@calls_back
def stackmix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    *,
    axis: int = 1,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    other: tuple[PyTree, PyTree] | None = None,
) -> tuple[PyTree, PyTree]:
    """Put each example beside another: an input twice as long, whose label is half each.

        x̃ᵢ = [xᵢ; xₚ],  ỹᵢ = ½ yᵢ + ½ yₚ,  p a random permutation

    Args:
      key: a PRNG key.
      images: arrays [B, ...] of any dtype, or a PyTree of them.
      labels, num_classes, smoothing: as in `blend_labels`.
      axis: along which they are put together, 1 or more.
      other: (images, labels) of a second batch, to append in place of the partners.

    Returns:
      (images, labels); the images are twice as long along `axis`.

    Raises:
      TypeError, ValueError: as `blend_labels` does; also for an axis that is not one of the
        images' after the first.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.stackmix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 16, 8, 3), (4, 10))

    Chen et al. 2022, arXiv:2011.12618. At test time they put an example beside itself.
    """
    batch, *rest = leaf_shape("stackmix", images)
    _checks.axes("stackmix", (axis,), len(rest))
    key, key_pairs = jax.random.split(key)
    pairing = permutation(key_pairs, batch)
    mix = sample_mixup(key, (batch,), lam_law=constant(0.5), pairing=pairing)
    pictures, theirs = (None, None) if other is None else other
    pictures = take_partner(mix, images) if other is None else pictures
    stacked = _appended(images, pictures, axis=axis)
    return stacked, blend_labels(
        mix, labels, other=theirs, num_classes=num_classes, smoothing=smoothing
    )


@on_any_mesh
def _appended(images: PyTree, pictures: PyTree, *, axis: int) -> PyTree:
    append = lambda x, other: jnp.concatenate([jnp.asarray(x), jnp.asarray(other)], axis=axis)
    return jax.tree.map(append, images, pictures)
