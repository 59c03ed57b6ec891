"""Layers that several models use."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

Convolve = Callable[..., Array]  # as `jax.lax.conv_general_dilated`
Tap = Callable[[int, Array], Array]  # (layer, its features) -> what goes on in their place


def untapped(layer: int, x: Array) -> Array:
    return x


def conv(
    inputs: int,
    outputs: int,
    size: int,
    stride: int = 1,
    *,
    dtype: DTypeLike,
    by: Convolve = jax.lax.conv_general_dilated,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A convolution without bias, padded to keep the size at stride 1; weights as He et al.'s."""
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        strides=stride,
        padding=size // 2,
        use_bias=False,
        kernel_init=initializers.variance_scaling(2, "fan_out", "normal"),
        dtype=dtype,
        conv_general_dilated=by,
        rngs=rngs,
    )


# In float32, as in bfloat16 nnx.BatchNorm would round its running statistics, too.
batch_norm = partial(nnx.BatchNorm, momentum=0.9)


def normed(norm: nnx.BatchNorm, x: Float[Array, "b ..."], train: bool) -> Float[Array, "b ..."]:
    """Normalise by the batch's statistics in training, else by running ones; dtype as `x`."""
    return norm(x, use_running_average=not train).astype(x.dtype)


def drop(
    key: PRNGKeyArray, x: Float[Array, "..."], rate: float | Array, shape: Sequence[int]
) -> Float[Array, "..."]:
    """Zero with probability `rate` < 1, or divide by 1 - rate; `shape` is that of the draws."""
    kept = jax.random.bernoulli(key, 1 - rate, tuple(shape))
    return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)


class Dropout(nnx.Module):
    """Zeroes values in training, each with probability `rate`, and divides the others by 1 - rate.

    With a traced rate one compiled program works for all rates; a plain 0 draws nothing.
    """

    def __init__(self, rate: float | Array):
        self.fixed = isinstance(rate, int | float)
        if self.fixed and not 0 <= rate < 1:
            raise ValueError(f"Dropout got rate={rate}; it needs a number in [0, 1).")
        self.rate = rate if self.fixed else nnx.data(rate)

    def __call__(
        self, x: Float[Array, "b ..."], train: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "b ..."]:
        """Each call draws from `rngs` again."""
        if not train or (self.fixed and not self.rate):
            return x
        if rngs is None:
            raise ValueError(
                "Dropout got train=True and no key; it needs one for each step: call the model "
                "with key=jax.random.fold_in(key, step)."
            )
        return drop(rngs(), x, self.rate, x.shape)


def streams(key: PRNGKeyArray | None) -> nnx.Rngs | None:
    """A source of as many keys as a model's dropouts need."""
    return None if key is None else nnx.Rngs(key)
