import jax.numpy as jnp
import pytest

from jax_mixup.samplers import _options


@pytest.fixture
def draw(monkeypatch):
    """Give samplers these λ, and these uniform numbers, in place of what they draw."""

    def drawn(lam, u=()):
        lam = jnp.atleast_1d(lam)
        u = jnp.reshape(jnp.asarray(u, jnp.float32), (-1, lam.size))
        monkeypatch.setattr(_options, "law_and_uniforms", lambda *_: (lambda alpha: lam, u.T))

    return drawn
