"""Layers of the learned mixes in NumPy, and a block that is far from uniform."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jax_mixup import learned

KEY = jax.random.key(0)


def block_and_features(b=6, c=4, dtype=jnp.float32):
    block = nnx.jit(lambda: learned.MixBlock(c, rngs=nnx.Rngs(1)))()
    big = jax.tree.map(lambda p: 100 * p, nnx.state(block))  # as a trained one: far from uniform
    nnx.update(block, big)
    return block, jax.random.normal(KEY, (b, 3, 2, c)).astype(dtype)


def softmax(a):
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def with_share(features, lam):
    return [
        np.concatenate([row.reshape(-1, row.shape[-1]), np.full((6, 1), share)], axis=1)
        for row, share in zip(np.asarray(features, np.float64), np.asarray(lam), strict=True)
    ]


def apply(layer, z):
    return z @ np.asarray(layer.kernel.get_value()) + np.asarray(layer.bias.get_value())
