"""What the two files of laws share: their shapes, marks and comparisons."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from tests.library.methods import PER

FEW = (6, 5, 7)  # odd sizes, so that nothing fits by chance
FIRST = ("mixup", "cutmix", "mixup-or-cutmix")  # without positions, with a bool mask, a soft one
pers = pytest.mark.parametrize("per", PER)
real_shapes = pytest.mark.parametrize(
    "shape, per, dtype",
    [
        pytest.param((5, 9, 7), "example", "uint8", id="2-D"),
        pytest.param((4, 5, 4, 3), "pair", "bfloat16", id="3-D", marks=pytest.mark.slow),
    ],
)


def named(method, *marks):
    # A method's tests go to one worker, where they share what is compiled.
    return pytest.param(
        method, id=method.name, marks=[pytest.mark.xdist_group(method.name), *marks]
    )


def positions(mask, shape):
    """The mask as NumPy, with an entry for every example and position."""
    mask = np.asarray(mask)
    mask = mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    return np.broadcast_to(mask, shape)


def batch(shape, dtype=jnp.float32, channels=3):
    """Examples whose values name example and position, so that nothing can hide."""
    size = int(np.prod(shape)) * channels
    return jnp.asarray((np.arange(size) % 251).reshape(*shape, channels), dtype)


def same(a, b, tolerance=1e-6):
    """Equal trees; floats to 1e-6, for the compiler contracts products and sums differently."""
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)
    chex.assert_trees_all_equal_shapes_and_dtypes(a, b)
