"""DenseNet-BC (Huang et al., 2017): each layer gets the features of all before it in its block."""

from functools import partial

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers


class NormConv(nnx.Module):
    """BatchNorm, ReLU and a convolution."""

    def __init__(self, inputs: int, outputs: int, size: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.norm = layers.batch_norm(inputs, rngs=rngs)
        self.conv = layers.conv(inputs, outputs, size, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w _c"]:
        return self.conv(nnx.relu(layers.normed(self.norm, x, train)))


class Layer(nnx.Module):
    """A bottleneck of 1x1 and 3x3 convolutions, whose `growth` features join the input."""

    def __init__(self, inputs: int, growth: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.narrow = NormConv(inputs, 4 * growth, 1, dtype=dtype, rngs=rngs)
        self.grow = NormConv(4 * growth, growth, 3, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w _c"]:
        return jnp.concatenate([x, self.grow(self.narrow(x, train), train)], axis=-1)


class Transition(nnx.Module):
    """Half the features, at half the resolution."""

    def __init__(self, inputs: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.half = NormConv(inputs, inputs // 2, 1, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b _h _w _c"]:
        return nnx.avg_pool(self.half(x, train), (2, 2), strides=(2, 2))


class DenseNet(nnx.Module):
    """Three blocks of dense layers with transitions between them, `depth` layers in all.

    Parameters and BatchNorm's statistics are float32; all but the last layer computes in `dtype`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depth: int,
        growth: int,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(
                f"DenseNet got depth={depth}; it needs 4 plus a multiple of 6: two layers each in "
                "three equal blocks, two transitions, the first and the last."
            )
        size = 2 * growth
        self.stem = layers.conv(3, size, 3, dtype=dtype, rngs=rngs)
        body: list[Layer | Transition] = []
        for block in range(3):
            if block:
                body.append(Transition(size, dtype=dtype, rngs=rngs))
                size //= 2
            for _ in range((depth - 4) // 6):
                body.append(Layer(size, growth, dtype=dtype, rngs=rngs))
                size += growth
        self.layers = nnx.List(body)
        self.norm = layers.batch_norm(size, rngs=rngs)
        self.head = nnx.Linear(size, num_classes, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w 3"], *, train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "b k"]:
        """The logits, f32. `key` is ignored: it is for models that draw."""
        del key
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x, train)
        x = nnx.relu(layers.normed(self.norm, x, train))
        return self.head(x.mean((1, 2), dtype=jnp.float32))


densenet100_12 = partial(DenseNet, depth=100, growth=12)
densenet190_40 = partial(DenseNet, depth=190, growth=40)
