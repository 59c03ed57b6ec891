"""A small convolutional network, quick on a CPU, for pictures from 8 x 8 to 32 x 32."""

import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers


class Layer(nnx.Module):
    """A 3x3 convolution as one matrix product, BatchNorm and ReLU.

    On CPUs, XLA takes many times as long for a convolution in a scan or vmapped over models.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        init = initializers.he_normal()
        self.stride = stride
        self.linear = nnx.Linear(
            9 * inputs, outputs, use_bias=False, kernel_init=init, dtype=dtype, rngs=rngs
        )
        self.norm = layers.batch_norm(outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b _h _w _c"]:
        height, width = x.shape[1:3]
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifted = [
            padded[:, i : i + height : self.stride, j : j + width : self.stride]
            for i in range(3)
            for j in range(3)
        ]
        x = self.linear(jnp.concatenate(shifted, axis=-1))
        return nnx.relu(layers.normed(self.norm, x, train))


class CNN(nnx.Module):
    """Four layers of 1, 2, 4 and 8 times `width` channels, the last three of stride 2.

    A 32 x 32 picture takes 8 million operations at width 16. With BatchNorm, as a few hundred steps
    then learn more. Dropout comes before the last layer.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        channels: int = 3,
        width: int = 16,
        dtype: DTypeLike = jnp.float32,
        dropout: float | Array = 0.0,
        rngs: nnx.Rngs,
    ):
        sizes = (channels, width, 2 * width, 4 * width, 8 * width)
        self.layers = nnx.List(
            Layer(sizes[i], sizes[i + 1], 2 if i else 1, dtype=dtype, rngs=rngs) for i in range(4)
        )
        self.dropout = layers.Dropout(dropout)
        self.head = nnx.Linear(sizes[-1], num_classes, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b h w c"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: layers.Tap = layers.untapped,
    ) -> Float[Array, "b k"]:
        """The logits, f32; `tap` gets the input (0) and the four layers' features."""
        x = tap(0, x)
        for i, layer in enumerate(self.layers, start=1):
            x = tap(i, layer(x, train))
        x = x.mean((1, 2), dtype=jnp.float32)
        return self.head(self.dropout(x, train, layers.streams(key)))
