import jax.numpy as jnp
import pytest

from jax_mixup.samplers import _options, dirichlet
from tests.library.parity.conftest import draw as loosely  # noqa: F401, a fixture


@pytest.fixture
def draw(loosely, monkeypatch):  # noqa: F811
    """Give samplers these numbers, and fail if they ask for another number of draws."""

    def drawn(lam, u=()):
        loosely(lam, u)
        given = _options.law_and_uniforms

        def checked(key, lam_law, others, n):
            law, u = given()
            shapes = law(1.0).shape, u.shape
            assert shapes[0] == (n,) == u.shape[:1] and u.shape[1] >= others, (shapes, n, others)
            return law, u

        monkeypatch.setattr(_options, "law_and_uniforms", checked)

    return drawn


@pytest.fixture
def weigh(monkeypatch):
    """Give `sample_dirichlet` these weights, before it sorts them."""

    def weighed(weights):
        def given(key, a):
            assert a.shape == weights.shape
            return jnp.log(weights)

        monkeypatch.setattr(dirichlet, "log_gamma", given)

    return weighed
