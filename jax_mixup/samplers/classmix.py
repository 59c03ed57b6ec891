"""ClassMix: half of the classes of a segmentation map, pasted."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_classmix(
    key: PRNGKeyArray,
    ids: Shaped[ArrayLike, "b *spatial"],
    *,
    num_classes: int,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a ClassMix: half of the example's classes stay, and the partner fills the rest.

        mᵢ = 1 where idsᵢ ∈ Sᵢ,  Sᵢ ⊂ classes present in example i, |Sᵢ| = ⌊Cᵢ/2⌋;  λᵢ = mean mᵢ

    Args:
      key: a PRNG key.
      ids: i[B, *spatial], the class of each position: true segmentation masks, or a model's argmax.
        An id outside [0, K), such as an ignore id, belongs to no class, and its positions always
        come from the partner.
      num_classes: K, the number of classes.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask [B, *spatial]; `select` moves ids by it. An example of one class keeps
      no position.

    Raises:
      TypeError: If `ids` are not integers.
      ValueError: If `ids` have no spatial axis, or `num_classes` is not an int >= 1.

    Example:
      >>> ids = jnp.array([[0, 0, 1, 255], [2, 2, 2, 2]])
      >>> mix = jm.sample_classmix(jax.random.key(0), ids, num_classes=3)
      >>> jm.select(mix, ids).tolist()
      [[0, 0, 2, 2], [0, 0, 1, 255]]

    Olsson et al. 2021, arXiv:2007.07936. Their code keeps classes of each image and mixes it with
    the next one of the batch; here any pairing works.
    """
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"sample_classmix got ids of dtype {ids.dtype}; it needs integers: call argmax first."
        )
    draw = Draw("sample_classmix", ids.shape, "example", pairing)
    num_classes = _checks.whole("sample_classmix", "num_classes", num_classes, 1)
    flat = ids.reshape(ids.shape[0], -1)
    flat = flat if flat.dtype.itemsize > 4 else flat.astype(jnp.int32)  # K may not fit narrow ids
    known = (flat >= 0) & (flat < num_classes)
    # Ids of no class become one more class.
    place = jnp.where(known, flat, num_classes).astype(jnp.int32)
    present = jax.vmap(lambda ids: jnp.zeros(num_classes + 1, bool).at[ids].set(True))(place)
    present = present[:, :num_classes]
    u = jnp.where(present, jax.random.uniform(key, present.shape, jnp.float32), 2.0)
    rank = u.argsort(axis=1).argsort(axis=1)
    stay = rank < present.sum(axis=1, keepdims=True) // 2
    stay = jnp.pad(stay, ((0, 0), (0, 1)))
    mask = jnp.take_along_axis(stay, place, axis=1).reshape(ids.shape)
    return draw.mix(mask)
