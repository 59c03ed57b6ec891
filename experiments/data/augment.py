"""Random crops, flips and shifts inside the training step, and channels in the models' units."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped, UInt8

# ImageNet's, of pixels from 0 to 255.
MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
STD = 255 * np.array([0.229, 0.224, 0.225], np.float32)


def normalise_imagenet(images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Pixels from 0 to 255 in the models' units: bfloat16, from float32, which costs no bytes."""
    return ((images - MEAN) * (1 / STD)).astype(jnp.bfloat16)


def crop_flip(
    key: PRNGKeyArray, x: Shaped[Array, "b h w c"], *, pad: int = 4
) -> Shaped[Array, "b h w c"]:
    """CIFAR's usual augmentation: pad, crop at random, and flip with probability 1/2."""
    key_shift, key_flip = jax.random.split(key)
    flip = jax.random.bernoulli(key_flip, shape=(x.shape[0], 1, 1, 1))
    x = shift(key_shift, x, pixels=pad)
    return jnp.where(flip, x[:, :, ::-1], x)


def shift(
    key: PRNGKeyArray, x: Shaped[Array, "b h w c"], *, pixels: int = 1
) -> Shaped[Array, "b h w c"]:
    """Each picture moved by -pixels to pixels, down and to the right; gaps are zero."""
    edges = (pixels, pixels)
    padded = jnp.pad(x, ((0, 0), edges, edges, (0, 0)))
    start = jax.random.randint(key, (x.shape[0], 2), 0, 2 * pixels + 1)
    cut = lambda picture, at: jax.lax.dynamic_slice(picture, (at[0], at[1], 0), x.shape[1:])
    return jax.vmap(cut)(padded, start)


def standardise(
    x_train: UInt8[np.ndarray, "n h w c"],
) -> Callable[[Float[Array, "b h w c"]], Float[Array, "b h w c"]]:
    """The function from 0..255 to each channel's mean 0 and deviation 1 on these pictures."""
    values = np.arange(256)
    # Counts of values give both exactly, without a copy of the pictures in floats.
    counts = [np.bincount(x_train[..., c].ravel(), minlength=256) for c in range(x_train.shape[3])]
    shares = np.stack(counts) / x_train[..., 0].size
    mean = shares @ values
    deviation = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(1))
    scale = np.where(deviation > 0, deviation, 1)
    mean, scale = (a.reshape(1, 1, 1, -1).astype(np.float32) for a in (mean, scale))
    return lambda x: (x - mean) / scale
