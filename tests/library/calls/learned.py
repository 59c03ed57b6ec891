"""Learned mixes."""

import jax.numpy as jnp
from flax import nnx

import jax_mixup as jm
from jax_mixup import learned
from tests.library.calls.base import BLOCK, REGION, SPATIAL, B, Call


def _block(weights) -> learned.MixBlock:
    return nnx.merge(BLOCK[0], weights)


def _region(weights) -> learned.PolicyRegion:
    return nnx.merge(REGION[0], weights)


def _features(images, saliency):
    """Of two rows, in float32 and with λ as the last channel, as the samplers give them."""
    z = jnp.concatenate([images, saliency[..., None]], axis=-1).reshape(B, -1, 4)
    z = z.astype(jnp.float32)
    return z, z[::-1]


LEARNED = [
    Call(
        "PolicyRegion",
        lambda key, table, region: _region(region)(key, jnp.asarray(table), jnp.sin(table)),
    ),
    Call(
        "sample_adamixup",
        lambda key, table, region, partners: learned.sample_adamixup(
            key, _region(region), jnp.asarray(table), pairing=partners
        ),
    ),
    Call(
        "MixBlock",
        lambda key, images, saliency, block: _block(block).affinity(*_features(images, saliency)),
    ),
    Call(
        "sample_automix",
        lambda key, images, block: learned.sample_automix(
            key, _block(block), jnp.asarray(images), (8, 8)
        ),
    ),
    Call(
        "sample_automix, law and index",
        lambda key, images, block, partners: learned.sample_automix(
            key,
            _block(block),
            jnp.asarray(images),
            SPATIAL,
            lam_law=jm.uniform(0.2, 0.8),
            pairing=partners,
        ),
    ),
    Call(
        "sample_adautomix",
        lambda key, images, block, alpha: learned.sample_adautomix(
            key, _block(block), jnp.asarray(images), (8, 8), alpha=alpha
        ),
    ),
]
