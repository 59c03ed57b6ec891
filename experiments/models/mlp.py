"""A multi-layer perceptron."""

import jax
from flax import nnx


class MLP(nnx.Module):
    """Two hidden ReLU layers on the flattened input."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(inputs, hidden, rngs=rngs)
        self.second = nnx.Linear(hidden, hidden, rngs=rngs)
        self.last = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, x, *, train=False, key=None, tap=lambda layer, h: h) -> jax.Array:
        x = tap(0, x).reshape(x.shape[0], -1)
        x = tap(1, nnx.relu(self.first(x)))
        x = tap(2, nnx.relu(self.second(x)))
        return self.last(x)
