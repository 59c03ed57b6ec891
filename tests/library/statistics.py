"""Keys, draws of many rows, and bounds in standard errors: what tests of distributions share."""

import zlib

import jax
import numpy as np

import jax_mixup as jm

HALF = jm.constant(0.5)
KEYS = jax.random.split(jax.random.key(3), 20_000)


def seed(*what) -> jax.Array:
    return jax.random.fold_in(jax.random.key(20), zlib.crc32(repr(what).encode()))


def within(values, mean, errors=5.0):
    """Whether the mean of draws is the expected one, to this many standard errors."""
    values = np.asarray(values, np.float64)
    error = values.std() / np.sqrt(values.size)
    assert abs(values.mean() - mean) <= errors * error, (values.mean(), mean, error)


def draws(sampler, shape, n=400):
    return jax.jit(lambda key: sampler(key, (n, *shape), per="example"))(seed(shape))


def frequencies(pair, n):
    """P(p(i) = j) over many keys."""
    drawn = np.asarray(jax.jit(jax.vmap(pair))(KEYS))
    assert drawn.shape == (len(KEYS), n) and drawn.dtype == np.int32
    return np.stack([(drawn == j).mean(axis=0) for j in range(n)], axis=1)


def close(found, expected):
    expected = np.broadcast_to(expected, found.shape)
    error = np.sqrt(expected * (1 - expected) / len(KEYS))
    np.testing.assert_array_less(np.abs(found - expected), 5 * error + 1e-9)
