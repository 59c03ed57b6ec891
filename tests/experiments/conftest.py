"""Experiments run under JAX's own rules for dtypes and ranks, as Flax and optax promote."""

import jax
import pytest


@pytest.fixture(autouse=True)
def plain_promotion():
    """The library's own strictness is tested elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
