"""A small network of 3-D convolutions, quick on a CPU, for clips of small frames."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers

STRIDES = ((1, 2), (2, 2), (2, 2))  # in time, in space


class Layer(nnx.Module):
    """A 3x3x3 convolution as one matrix product, BatchNorm and ReLU; see `cnn.Layer` for why."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: tuple[int, int],
        *,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        init = initializers.he_normal()
        self.stride = stride
        self.linear = nnx.Linear(
            27 * inputs, outputs, use_bias=False, kernel_init=init, dtype=dtype, rngs=rngs
        )
        self.norm = layers.batch_norm(outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b t h w c"], train: bool) -> Float[Array, "b ..."]:
        time, space = self.stride
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)))
        for axis, stride in ((1, time), (2, space), (3, space)):
            # Axis by axis: XLA takes minutes to compile 27 slices at once, and their gradient.
            parts = [
                jax.lax.slice_in_dim(x, i, x.shape[axis] - 2 + i, stride, axis) for i in range(3)
            ]
            x = jnp.concatenate(parts, axis=-1)
        x = self.linear(x)
        return nnx.relu(layers.normed(self.norm, x, train))


class CNN3D(nnx.Module):
    """Three layers of 1, 2 and 4 times `width` channels; the first keeps all frames.

    The last features are averaged over time and maximised over space, as a digit fills only a part.
    A clip of 8 frames of 16 x 16 takes 1.8 million operations at width 12.
    """

    def __init__(
        self,
        outputs: int,
        *,
        channels: int = 1,
        width: int = 8,
        dtype: DTypeLike = jnp.float32,
        dropout: float | Array = 0.0,
        rngs: nnx.Rngs,
    ):
        sizes = (channels, width, 2 * width, 4 * width)
        self.layers = nnx.List(
            Layer(sizes[i], sizes[i + 1], stride, dtype=dtype, rngs=rngs)
            for i, stride in enumerate(STRIDES)
        )
        self.dropout = layers.Dropout(dropout)
        self.head = nnx.Linear(sizes[-1], outputs, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b t h w c"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: layers.Tap = layers.untapped,
    ) -> Float[Array, "b k"]:
        """The outputs, f32; `tap` gets the input (0) and the three layers' features."""
        x = tap(0, x)
        for i, layer in enumerate(self.layers, start=1):
            x = tap(i, layer(x, train))
        x = x.max((2, 3)).mean(1, dtype=jnp.float32)
        return self.head(self.dropout(x, train, layers.streams(key)))
