"""A small U-Net, quick on a CPU: a class for each pixel of pictures of any size."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import cnn


class UNet(nnx.Module):
    """Down by 2 for each of `widths`, and up to 1/2, where each cell gives its four pixels' logits.

    Features of the way down are added on the way up, as in LinkNet, not concatenated, and there is
    no layer at full size: on two cores both would cost more than everything else.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        layer = partial(cnn.Layer, dtype=dtype, rngs=rngs)
        self.num_classes = num_classes
        self.down = nnx.List(layer(i, o, 2) for i, o in pairwise((channels, *widths)))
        self.middle = layer(widths[-1], widths[-1], 1)
        self.narrow = nnx.List(
            nnx.Linear(i, o, dtype=dtype, rngs=rngs) for i, o in pairwise(widths[::-1])
        )
        self.up = nnx.List(layer(o, o, 1) for o in widths[-2::-1])
        self.head = nnx.Linear(widths[0], 4 * num_classes, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b h w c"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "b h w k"]:
        """The logits, f32; there is nothing to draw, so `key` is not used."""
        skips, size = [], x.shape[1:3]
        for layer in self.down:
            x = layer(x, train)
            skips.append(x)
        x = self.middle(x, train)
        for narrow, layer, skip in zip(self.narrow, self.up, skips[-2::-1], strict=True):
            x = layer(_doubled(narrow(x), skip.shape[1:3]) + skip, train)
        x = self.head(x.astype(jnp.float32))
        batch, height, width, _ = x.shape
        x = x.reshape(batch, height, width, 2, 2, self.num_classes).swapaxes(2, 3)
        return x.reshape(batch, 2 * height, 2 * width, -1)[:, : size[0], : size[1]]


def _doubled(x: Float[Array, "b h w c"], size: tuple[int, ...]) -> Float[Array, "b H W c"]:
    """Each cell twice along both axes, cut to `size`, which odd sizes need."""
    return x.repeat(2, axis=1).repeat(2, axis=2)[:, : size[0], : size[1]]
