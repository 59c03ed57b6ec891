"""A multi-layer perceptron."""

import jax
from flax import nnx


class MLP(nnx.Module):
    """Two hidden ReLU layers on the flattened input."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(inputs, hidden, rngs=rngs)
        self.second = nnx.Linear(hidden, hidden, rngs=rngs)
        self.last = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        x = nnx.relu(self.first(x))
        x = nnx.relu(self.second(x))
        return self.last(x)
