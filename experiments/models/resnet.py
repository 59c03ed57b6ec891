"""Residual networks, v1.5: the stride of a bottleneck is in its 3x3 convolution."""

from collections.abc import Callable, Sequence
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers


class ConvNorm(nnx.Module):
    """A convolution and BatchNorm."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        stride: int = 1,
        *,
        scale_init: initializers.Initializer = initializers.ones,
        dtype: DTypeLike,
        axis_name: str | None,
        rngs: nnx.Rngs,
    ):
        self.conv = layers.conv(inputs, outputs, size, stride, dtype=dtype, rngs=rngs)
        self.norm = layers.batch_norm(
            outputs, scale_init=scale_init, axis_name=axis_name, rngs=rngs
        )

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b _h _w _c"]:
        return layers.normed(self.norm, self.conv(x), train)


class Bottleneck(nnx.Module):
    """1x1, 3x3 and 1x1 convolutions plus a shortcut; when initialised, the shortcut alone."""

    def __init__(self, inputs: int, width: int, stride: int, conv: Callable[..., ConvNorm]):
        outputs = 4 * width
        self.first = conv(inputs, width, 1)
        self.second = conv(width, width, 3, stride)
        self.last = conv(width, outputs, 1, scale_init=initializers.zeros)
        same = stride == 1 and inputs == outputs
        self.shortcut = nnx.data(None if same else conv(inputs, outputs, 1, stride))

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b _h _w _c"]:
        y = nnx.relu(self.first(x, train))
        y = nnx.relu(self.second(y, train))
        y = self.last(y, train)
        return nnx.relu(y + (x if self.shortcut is None else self.shortcut(x, train)))


class ResNet(nnx.Module):
    """Bottlenecks in `stages`, each stage twice as wide as the one before, at half its resolution.

    Parameters and BatchNorm's statistics are float32; all but the last layer computes in `dtype`.
    In pmap and shard_map, `axis_name` makes the statistics those of all devices; under plain jit
    they are the whole batch's without it.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        stages: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        dtype: DTypeLike = jnp.float32,
        axis_name: str | None = None,
        rngs: nnx.Rngs,
    ):
        conv = partial(ConvNorm, dtype=dtype, axis_name=axis_name, rngs=rngs)
        self.first = conv(3, width, 7, 2)
        blocks, inputs = [], width
        for stage, depth in enumerate(stages):
            for block in range(depth):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(inputs, width << stage, stride, conv))
                inputs = 4 * (width << stage)
        self.blocks = nnx.List(blocks)
        self.head = nnx.Linear(inputs, num_classes, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w 3"], *, train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "b k"]:
        """The logits, f32; with `train`, statistics are the batch's, and the running ones move.

        `key` is ignored: it is for models that draw, so that one train step works for both.
        """
        del key
        x = nnx.relu(self.first(x, train))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for block in self.blocks:
            x = block(x, train)
        return self.head(x.mean((1, 2), dtype=jnp.float32))


def resnet50(
    num_classes: int = 1000,
    *,
    dtype: DTypeLike = jnp.bfloat16,
    axis_name: str | None = None,
    rngs: nnx.Rngs,
) -> ResNet:
    """ResNet-50: 25,557,032 parameters at 1,000 classes."""
    return ResNet(num_classes, dtype=dtype, axis_name=axis_name, rngs=rngs)
