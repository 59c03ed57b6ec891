"""Small mixes, maps and references by loops that several files of tests share."""

import jax.numpy as jnp
import numpy as np

import jax_mixup as jm

MAPS = np.random.default_rng(0).random((6, 6, 9)).astype(np.float32)  # [B, H, W]
LAMBDAS = np.array([0.0, 0.3, 0.5, 0.77, 0.95, 1.0], np.float32)


def mixed(lam):
    lam = jnp.asarray(lam, jnp.float32)
    return jm.Mix(jm.reverse(), lam, lam)


def handmade(partner, mask, lam):
    """A mix as users make it, whom no type checker stops."""
    mix = object.__new__(jm.Mix)
    for name, value in (("partner", partner), ("mask", mask), ("lam", lam)):
        object.__setattr__(mix, name, value)
    return mix


def given(key, shape):
    """A distribution that draws nothing, so that a loop can know what was drawn."""
    return jnp.asarray(LAMBDAS)


def total(s):
    return s / s.sum(axis=tuple(range(1, s.ndim)), keepdims=True)


def given_law(*values):
    """A distribution that gives these values, whatever the key."""
    return lambda key, shape: jnp.asarray(values, jnp.float32).reshape(shape)


def gaussian(spatial, centre, width):
    """exp(-π Σ (x - c)² / w²), with everything in fractions of each axis, position by position."""
    spot = np.zeros(spatial)
    for place in np.ndindex(*spatial):
        offsets = [(p - c) / n for p, c, n in zip(place, centre, spatial, strict=True)]
        spot[place] = np.exp(-np.pi * sum(o * o for o in offsets) / width**2)
    return spot


def scenes(n=6, ignore=255):
    ids = np.random.default_rng(0).integers(0, 5, (n, 6, 7))
    ids[:, 2] = ignore
    ids[1] = 3  # one class
    ids[2] = ignore  # none
    return jnp.asarray(ids)


def reference(cost, epsilon, iterations=2000):
    """The plan by scaling rows and columns of the kernel, in float64."""
    n, m = cost.shape
    kernel = np.exp(-np.asarray(cost, np.float64) / epsilon)
    u, v = np.ones(n), np.ones(m)
    for _ in range(iterations):
        v = (1 / m) / (kernel.T @ u)
        u = (1 / n) / (kernel @ v)
    return u[:, None] * kernel * v[None, :]
