"""StackMix in one call: two examples are joined into one input."""

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
    """Put each example next to another: the input is twice as long, its label half of each.

        x̃ᵢ = [xᵢ; xₚ],  ỹᵢ = ½ yᵢ + ½ yₚ,  p a random permutation

    Args:
      key: a PRNG key.
      images: arrays [B, ...] of any dtype, or a PyTree of them.
      labels: class ids i[B], which need `num_classes`, or floats [B, ...]: soft labels, multi-hot
        labels or regression targets; or a PyTree of them.
      axis: the axis of the images along which they are joined, 1 or more.
      num_classes: K, the number of classes, for class ids. An id outside [0, K) becomes zeros.
      smoothing: ε in [0, 1] of label smoothing, applied before mixing; it may be traced.
      other: (images, labels) of a second batch, which are joined in place of the partners.

    Returns:
      The joined images, twice as long along `axis`, and the mixed labels: f32[B, K] for class ids,
      else of the shape of `labels`.

    Raises:
      TypeError: If labels are bool.
      ValueError: If class ids come without `num_classes`, or `axis` is not an axis of the images
        after the first.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.stackmix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 16, 8, 3), (4, 10))

    Chen et al. 2022, arXiv:2011.12618. At test time they put an example next to itself.
    """
    batch, *rest = leaf_shape("stackmix", images)
    _checks.axes("stackmix", (axis,), len(rest))
    key, key_pairs = jax.random.split(key)
    pairing = permutation(key_pairs, batch)
    mix = sample_mixup(key, (batch,), lam_law=constant(0.5), pairing=pairing)
    other_images, other_labels = (take_partner(mix, images), None) if other is None else other
    stacked = _append(images, other_images, axis=axis)
    return stacked, blend_labels(
        mix, labels, other=other_labels, num_classes=num_classes, smoothing=smoothing
    )


@on_any_mesh
def _append(images: PyTree, other: PyTree, *, axis: int) -> PyTree:
    append = lambda x, other: jnp.concatenate([jnp.asarray(x), jnp.asarray(other)], axis=axis)
    return jax.tree.map(append, images, other)
