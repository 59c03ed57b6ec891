"""Labels that a network guesses, where there is none or where the given one may be wrong."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def sharpen(p: Float[Array, "... k"], temperature: float = 0.5) -> Float[Array, "... k"]:
    """p^(1/T), of sum 1 again: lower entropy for T < 1, the largest class alone for T → 0.

    A probability of 0 stays 0, where the gradient is NaN: guesses are targets, which need none.
    """
    return jax.nn.softmax(jnp.log(p) / temperature)
