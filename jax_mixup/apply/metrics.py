"""Metrics under a mix."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, layers_of
from jax_mixup._entry import public
from jax_mixup.apply.losses import pair_loss
from jax_mixup.mix import Mixes


@public
def mixed_accuracy(
    mix: Mixes,
    logits: Float[ArrayLike, "b *dims k"],
    labels: Shaped[ArrayLike, "b ..."],
    *,
    top: int = 1,
    other: Shaped[ArrayLike, "b ..."] | None = None,
) -> Float[Array, "b *dims"]:
    """Score predictions on mixed inputs against both labels, each by its weight.

        accᵢ = λᵢ [yᵢ among the `top` largest oᵢ] + (1 - λᵢ) [yₚ among them]

    A model names one class where the label has two, so this has a ceiling: a model that finds the
    heavier label scores max(λ, 1 - λ), ¾ on average at α = 1. Judge a model on clean examples; the
    same function does it with `no_mix`.

    Args:
      mix: a mix of B examples, or a tuple of mixes.
      logits: f[B, ..., K].
      labels: integer ids i[B, ...], or floats f[B, ..., K] whose argmax is taken.
      top: how many classes may be named, from 1 to K: 5 gives the top-5 accuracy.
      other: labels in place of the partners' labels, for example those of a second batch: ids or
        floats.

    Returns:
      f32[B, ...], not reduced: take the mean yourself, over real examples where some are padding.

    Raises:
      ValueError: If labels or logits have another B, if labels do not fit the logits, or if `top`
        is not from 1 to K.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))
      >>> logits = jnp.array([[9.0, 0.0], [9.0, 0.0]])
      >>> jm.mixed_accuracy(mix, logits, jnp.array([0, 1])).tolist()
      [0.75, 0.25]
      >>> jm.mixed_accuracy(mix, logits, jnp.array([0, 1]), top=2).tolist()
      [1.0, 1.0]
    """
    logits = checked_rows("mixed_accuracy", layers_of(mix)[0], "logits", logits)
    top = _checks.whole("mixed_accuracy", "top", top, 1, logits.shape[-1])
    if top == 1:
        predicted = jnp.argmax(logits, axis=-1).astype(jnp.int32)[..., None]
    else:
        predicted = jax.lax.top_k(logits, top)[1].astype(jnp.int32)
    own = _ids_for(predicted, labels)
    partners = None if other is None else _ids_for(predicted, other)

    def hit(predicted: Array, ids: Array) -> Array:
        return (predicted == ids[..., None]).any(axis=-1).astype(jnp.float32)

    return pair_loss(mix, hit, predicted, own, other=partners)


def _ids_for(predicted: Array, labels: ArrayLike) -> Array:
    labels = jnp.asarray(labels)
    if jnp.issubdtype(labels.dtype, jnp.inexact):
        labels = jnp.argmax(labels, axis=-1)
    if labels.shape != predicted.shape[:-1]:
        raise ValueError(
            f"mixed_accuracy got predictions of shape {predicted.shape[:-1]} and labels whose ids "
            f"have shape {labels.shape}; it needs one id for each prediction, or floats with a "
            "class axis."
        )
    return _checks.int32(labels)
