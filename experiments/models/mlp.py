"""A multi-layer perceptron."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers


class MLP(nnx.Module):
    """Two hidden ReLU layers on the flattened input, each followed by dropout."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout: float | Array = 0.0,
        rngs: nnx.Rngs,
    ):
        self.first = nnx.Linear(inputs, hidden, dtype=dtype, rngs=rngs)
        self.second = nnx.Linear(hidden, hidden, dtype=dtype, rngs=rngs)
        self.last = nnx.Linear(hidden, outputs, rngs=rngs)
        self.dropout = layers.Dropout(dropout)

    def __call__(
        self,
        x: Float[Array, "b ..."],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: layers.Tap = layers.untapped,
    ) -> Float[Array, "b k"]:
        """The logits, f32; `tap` gets the input as it comes (0) and both hidden layers."""
        rngs = layers.streams(key)
        x = tap(0, x)
        x = x.reshape(x.shape[0], -1)
        for i, layer in enumerate((self.first, self.second), start=1):
            x = self.dropout(tap(i, nnx.relu(layer(x))), train, rngs)
        return self.last(x)
