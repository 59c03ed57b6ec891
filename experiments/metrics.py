"""Metrics on logits and true labels."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

BINS = 15


def classification(
    logits: Float[Array, "n k"], labels: Int[Array, "n"]
) -> dict[str, Float[Array, ""]]:
    """Error, NLL, expected calibration error in 15 equal bins, and its signed gap.

    The gap is mean confidence - accuracy: above 0 over-confident, below 0 under-confident.
    """
    confidence = jax.nn.softmax(logits).max(axis=-1)
    right = (logits.argmax(axis=-1) == labels).astype(jnp.float32)
    bins = jnp.clip((confidence * BINS).astype(jnp.int32), 0, BINS - 1)
    excess = jnp.zeros(BINS).at[bins].add(confidence - right)
    nll = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        "error": 1 - right.mean(),
        "nll": nll.mean(),
        "ece": jnp.abs(excess).sum() / labels.shape[0],
        "gap": (confidence - right).mean(),
    }
