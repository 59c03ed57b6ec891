"""What tests of learned mixes run under."""

import jax
import pytest


@pytest.fixture(autouse=True)
def plain_promotion():
    """Flax and optax promote; the library's own strictness is tested elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
