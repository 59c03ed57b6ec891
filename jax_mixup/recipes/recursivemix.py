"""RecursiveMix in one call: a batch mixed with the last one."""

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
    """Mix a batch with what the last step trained on, which was mixed so too.

        x̃ᵗ = xᵗ outside a box and x̃ᵗ⁻¹, resized, inside;  ỹᵗ = λ yᵗ + (1 - λ) ỹᵗ⁻¹;  λ ~ U(1-s, 1)

    Args:
      key: a PRNG key.
      images, labels, num_classes, dtype: as in `cutmix`.
      previous: what the last call gave: the state to carry. At first the batch itself, with soft
        labels.
      share: s, the most that the box covers, before it is clipped; may be traced; 0 is off.
      **options: `box`, `per` of `sample_cutmix`.

    Returns:
      (images, labels), mixed: the next call's `previous`.

    Raises:
      TypeError, ValueError: as the functions do; also where `previous` has other shapes.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> carry = images, jax.nn.one_hot(labels, 10)
      >>> carry = jm.recursivemix(jax.random.key(0), images, labels, carry, num_classes=10)
      >>> carry[0].shape, carry[1].shape
      ((4, 8, 8, 3), (4, 10))

    Yang et al. 2022, arXiv:2203.06844. Their second loss, on the features in the box (`pool_given`)
    against what was predicted for them before, is the user's.
    """
    _checks.share("recursivemix", "share", share)
    law = uniform(1 - share, 1.0)
    mix = sample_cutmix(key, positions("recursivemix", images), lam_law=law, **options)
    given = jax.tree.map(lambda x, last: jnp.asarray(last).astype(x.dtype), images, previous[0])
    mixed = blend(mix, images, other=fit_partner(mix, images, other=given), dtype=dtype)
    return mixed, blend_labels(mix, labels, other=previous[1], num_classes=num_classes)
