"""Mixes that are not drawn: the one that mixes nothing, and those of given weights."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, Shaped

from jax_mixup import _checks
from jax_mixup._entry import on_any_mesh
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, bind_to_batch
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import layers_from, several_pairings


def no_mix(batch: int) -> Mix:
    """Make the mix that mixes nothing, so that evaluation can share a function with training.

        m = λ = 1

    Verbs give back what they are given, in its dtype; losses and metrics are those of the example's
    own labels.

    Args:
      batch: B, the number of examples.

    Returns:
      A mix of B examples with a bool mask without positions, so that `select` takes it, too.

    Raises:
      ValueError: If `batch` is not an int >= 1.

    Example:
      >>> mix = jm.no_mix(2)
      >>> jm.mixed_accuracy(mix, jnp.array([[9.0, 0.0], [9.0, 0.0]]), jnp.array([0, 1])).tolist()
      [1.0, 0.0]
    """
    batch = _checks.whole("no_mix", "batch", batch, 1)
    return Mix(bind_to_batch(reverse(), batch), jnp.ones(1, bool), jnp.ones(batch, jnp.float32))


@on_any_mesh
def from_weights(
    weights: Shaped[ArrayLike, "..."],
    *,
    groups: int = 1,
    pairings: tuple[Pairing, ...] | None = None,
) -> tuple[Mix, ...]:
    """Make a mix of k examples from weights of yours, as `sample_dirichlet` does from its own.

        x̃ᵢ = (wᵢ₀ xᵢ + Σⱼ wᵢⱼ x[pⱼ(i)]) / Σⱼ wᵢⱼ, labels alike

    Args:
      weights: w >= 0, f[B, k], first the example's own, then those of its partners; they need not
        sum to 1. An example whose weights are all 0, or that has one that is NaN, is not mixed.
        Negative ones count as 0.
      groups: for the default pairings, the number of equal, contiguous groups that the batch is cut
        into. If it is the number of shards of the batch axis, examples stay on their devices.
      pairings: k - 1 pairings, one for each partner. None means roll(1, groups), roll(2, groups),
        …, which needs groups of k examples or more, or a batch of one.

    Returns:
      A tuple of k - 1 mixes, each laid over those before it; their masks have no spatial axes.

    Raises:
      TypeError: If `weights` are not floating point.
      ValueError: If `weights` do not have two axes with k >= 2, a group has fewer than k examples,
        the number of pairings is not k - 1, or `groups` and `pairings` are both given.

    Example:
      >>> mix = jm.from_weights(jnp.array([[2.0, 1.0, 1.0]] * 3))
      >>> [round(float(x), 2) for x in jm.blend(mix, jnp.array([0.0, 10.0, 20.0]))]
      [7.5, 10.0, 12.5]
    """
    weights = jnp.asarray(weights)
    if not jnp.issubdtype(weights.dtype, jnp.floating):
        raise TypeError(
            f"from_weights got weights of dtype {weights.dtype}; it needs floats: for one weight 1 "
            "of many call take_partner."
        )
    if weights.ndim != 2 or weights.shape[1] < 2:
        raise ValueError(
            f"from_weights got weights of shape {weights.shape}; it needs (B, k) with k >= 2: for "
            "the same weights for all examples, jnp.broadcast_to(weights, (B, k))."
        )
    batch, k = weights.shape
    partners = several_pairings("from_weights", batch, "example", pairings, groups, k - 1)
    weights = jnp.maximum(weights.astype(jnp.float32), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    own = jnp.zeros(k, jnp.float32).at[0].set(1.0)
    weights = jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), own)
    return layers_from(weights, partners, batch)
