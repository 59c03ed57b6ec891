"""Residual networks with BatchNorm and ReLU before each convolution, narrow and wide."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers
from experiments.models.conv import conv_general_dilated


class Block(nnx.Module):
    """Two 3x3 convolutions, with dropout between them, plus a shortcut."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        dropout: float | Array,
        *,
        dtype: DTypeLike,
        by: layers.Convolve,
        rngs: nnx.Rngs,
    ):
        conv = partial(layers.conv, dtype=dtype, by=by, rngs=rngs)
        self.norm1 = layers.batch_norm(inputs, rngs=rngs)
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.norm2 = layers.batch_norm(outputs, rngs=rngs)
        self.dropout = layers.Dropout(dropout)
        self.conv2 = conv(outputs, outputs, 3)
        same = stride == 1 and inputs == outputs
        self.shortcut = nnx.data(None if same else conv(inputs, outputs, 1, stride))

    def __call__(
        self, x: Float[Array, "b h w c"], train: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "b _h _w _c"]:
        y = nnx.relu(layers.normed(self.norm1, x, train))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = nnx.relu(layers.normed(self.norm2, self.conv1(y), train))
        return shortcut + self.conv2(self.dropout(y, train, rngs))


class PreActResNet(nnx.Module):
    """Blocks in `stages`, the first `width` wide, each next one twice as wide at half the size.

    Parameters and BatchNorm's statistics are float32; all but the last layer computes in `dtype`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        stages: Sequence[int],
        width: int,
        stem: int,
        last_norm: bool,
        stem_stride: int = 1,
        dtype: DTypeLike = jnp.float32,
        dropout: float | Array = 0.0,
        by: layers.Convolve = jax.lax.conv_general_dilated,
        rngs: nnx.Rngs,
    ):
        block = partial(Block, dropout=dropout, dtype=dtype, by=by, rngs=rngs)
        self.stem = layers.conv(3, stem, 3, stem_stride, dtype=dtype, by=by, rngs=rngs)
        groups, inputs = [], stem
        for stage, depth in enumerate(stages):
            blocks = []
            for i in range(depth):
                blocks.append(block(inputs, width << stage, 2 if stage and not i else 1))
                inputs = width << stage
            groups.append(nnx.List(blocks))
        self.stages = nnx.List(groups)
        self.norm = nnx.data(layers.batch_norm(inputs, rngs=rngs) if last_norm else None)
        self.head = nnx.Linear(inputs, num_classes, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b h w 3"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: layers.Tap = layers.untapped,
    ) -> Float[Array, "b k"]:
        """The logits, f32; `tap` gets the input (0) and each stage's features."""
        rngs = layers.streams(key)
        x = self.stem(tap(0, x))
        for i, blocks in enumerate(self.stages, start=1):
            for block in blocks:
                x = block(x, train, rngs)
            x = tap(i, x)
        if self.norm is not None:
            x = nnx.relu(layers.normed(self.norm, x, train))
        return self.head(x.mean((1, 2), dtype=jnp.float32))


# For 32 x 32 pictures. He et al. (2016) end in BatchNorm and ReLU; the implementations that are in
# use for CIFAR, whose sizes are quoted, do not.
preact18 = partial(PreActResNet, stages=(2, 2, 2, 2), width=64, stem=64, last_norm=False)
preact34 = partial(PreActResNet, stages=(3, 4, 6, 3), width=64, stem=64, last_norm=False)
# For experiments on two cores: 308,000 parameters, 12.3 million multiply-adds a picture.
preact8 = partial(
    PreActResNet, stages=(1, 1, 1), width=32, stem=32, stem_stride=2, last_norm=True,
    by=conv_general_dilated,
)  # fmt: skip
# Zagoruyko and Komodakis (2016).
wrn28_10 = partial(PreActResNet, stages=(4, 4, 4), width=160, stem=16, last_norm=True)
