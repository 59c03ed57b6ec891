"""RecursiveMix in one call: a batch is mixed with the last one."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup import _checks
from jax_mixup._entry import calls_back
from jax_mixup.apply.fit import fit_partner
from jax_mixup.apply.inputs import blend
from jax_mixup.apply.labels import blend_labels
from jax_mixup.distributions import uniform
from jax_mixup.recipes._call import positions
from jax_mixup.samplers.cutmix import sample_cutmix


@calls_back
def recursivemix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    previous: tuple[PyTree, PyTree],
    *,
    share: ArrayLike = 0.5,
    num_classes: int | None = None,
    dtype: DTypeLike | None = None,
    **options: Any,
) -> tuple[PyTree, PyTree]:
    """Mix a batch with the mixed batch of the last step.

        x̃ᵗ = xᵗ outside a box and x̃ᵗ⁻¹, resized, inside;  ỹᵗ = λ yᵗ + (1 - λ) ỹᵗ⁻¹;  λ ~ U(1-s, 1)

    Args:
      key: a PRNG key.
      images: arrays [B, *spatial, C] with channels last, or a PyTree of arrays that start with the
        same B and spatial axes. If channels come first, move them, `jnp.moveaxis(images, 1, -1)`,
        and back afterwards. Grey images [B, H, W] need a channel axis: `images[..., None]`.
      labels: class ids i[B], which need `num_classes`, or floats [B, ...]: soft labels, multi-hot
        labels or regression targets; or a PyTree of them.
      previous: the result of the last call, which the training loop carries. In the first step it
        is the batch itself, with soft labels.
      share: s, the largest fraction that the box covers before it is clipped; it may be traced; 0
        turns mixing off.
      num_classes: K, the number of classes, for class ids. An id outside [0, K) becomes zeros.
      dtype: dtype of the mixed images, by default their own. Integer images need one: a float
        dtype, or their own, in which values are rounded.
      **options: other options of `sample_cutmix`: `box`, `per`.

    Returns:
      The mixed images and labels, which are `previous` in the next call.

    Raises:
      TypeError: If images are integer or bool and `dtype` is not given, or labels are bool.
      ValueError: If class ids come without `num_classes`, images seem to have channels first, the
        shapes of `previous` differ, or an option is out of range.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> carry = images, jax.nn.one_hot(labels, 10)
      >>> carry = jm.recursivemix(jax.random.key(0), images, labels, carry, num_classes=10)
      >>> carry[0].shape, carry[1].shape
      ((4, 8, 8, 3), (4, 10))

    Yang et al. 2022, arXiv:2203.06844. Their second loss compares the prediction for the features
    in the box (`pool_given`) with the prediction for the same image one step earlier; it is left to
    the user.
    """
    _checks.share("recursivemix", "share", share)
    law = uniform(1 - share, 1.0)
    mix = sample_cutmix(key, positions("recursivemix", images), lam_law=law, **options)
    last = jax.tree.map(lambda x, last: jnp.asarray(last).astype(x.dtype), images, previous[0])
    mixed = blend(mix, images, other=fit_partner(mix, images, other=last), dtype=dtype)
    return mixed, blend_labels(mix, labels, other=previous[1], num_classes=num_classes)
