"""What the tests of this folder share: the files, and short ways to write a mix."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm

FILES = Path(__file__).parent
KEY = jax.random.key(0)
# Files of what mixing needs or of settings, which are no methods of their own.
NOT_METHODS = {"gradientsaliency", "spectralresidual", "naflex", "timm"}


class Case(dict):
    """The arrays of one file, as attributes."""

    def __init__(self, name):
        with np.load(FILES / f"{name}.npz") as file:
            super().__init__(file)

    __getattr__ = dict.__getitem__


def methods():
    """The methods that are compared: of METHOD_PART.npz all parts are one."""
    return {path.stem.split("_")[0] for path in FILES.glob("*.npz")} - NOT_METHODS


def run(function, *arguments):
    """All of a test's own work in one compile."""
    arguments = jax.tree.map(f32, arguments)
    return jax.tree.map(np.asarray, jax.jit(function)(*arguments))


def f32(x):
    return jnp.asarray(np.asarray(x, np.float32))


def i32(x):
    return jnp.asarray(np.asarray(x, np.int32))


def same(ours, theirs, atol=2e-6):
    np.testing.assert_allclose(ours, theirs, atol=atol, rtol=2e-6)


def mixup(index, lam):
    """A mix of one λ for all rows."""
    index, lam = i32(index), jnp.asarray(lam, jnp.float32)
    return jm.Mix(index, lam[None], jnp.broadcast_to(lam, index.shape))


def under(index, mask, x):
    """The blend under each of many masks, [cases, B, *spatial, C]."""
    blend = lambda mask: jm.blend(jm.Mix(i32(index), mask[None], jnp.zeros(len(x))), f32(x))
    return jax.vmap(blend)(mask)


def cross_entropy(logits, ids):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), ids[:, None], axis=1)[:, 0]


def boxed(boxes, spatial):
    """Masks that are False inside (first row, first column, row after, column after)."""
    masks = np.ones((len(boxes), *spatial), bool)
    for mask, (top, left, bottom, right) in zip(masks, np.asarray(boxes, int), strict=True):
        mask[top:bottom, left:right] = False
    return masks
