"""The distribution function of Beta(a, a), against SciPy's in float64 for every a."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from experiments.benchmarks.hlo import Program
from jax_mixup._beta_cdf import symmetric_beta_cdf


def points(kind, a):
    rng = np.random.default_rng(0)
    if kind == "uniform":
        x = rng.uniform(size=a.size)
    elif kind == "near the middle":  # within some standard deviations, where the function rises
        x = np.clip(0.5 + rng.normal(size=a.size) * 1.5 / np.sqrt(8 * a + 4), 0, 1)
    else:
        x = 10.0 ** rng.uniform(-37, -1, a.size)
        x = x if kind == "near 0" else 1 - x
    return x.astype(np.float32)


@pytest.mark.parametrize("kind", ["uniform", "near the middle", "near 0", "near 1"])
def test_it_is_that_of_scipy(kind):
    a = np.logspace(-12, 12, 100_001).astype(np.float32)
    x = points(kind, a)
    found = np.asarray(jax.jit(symmetric_beta_cdf)(x, a), np.float64)
    exact = special.betainc(a.astype(float), a.astype(float), x.astype(float))
    assert np.abs(found - exact).max() < 2.5e-7
    tail = (exact > 1e-30) & (x < 0.5)  # small values have as many digits as x allows
    assert not tail.any() or (np.abs(found / np.where(tail, exact, 1) - 1)[tail] < 3e-5).all()


def test_ends_and_symmetry():
    a = jnp.array([0.0, 1e-38, 1e-3, 1.0, 7.0, 1e20, jnp.inf])[:, None]
    x = jnp.array([0.0, 1e-45, 0.25, 0.5, 0.75, 1.0])[None, :]
    found = np.asarray(symmetric_beta_cdf(*jnp.broadcast_arrays(x, a)))
    assert (found[:, 0] == 0).all() and (found[:, 3] == 0.5).all() and (found[:, 5] == 1).all()
    np.testing.assert_allclose(found[:, 2], 1 - found[:, 4], atol=6e-8)
    np.testing.assert_allclose(found[3], x[0], atol=1e-7)  # of U(0, 1)
    np.testing.assert_array_equal(found[-1], [0, 0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(found[0, 2:5], 0.5, atol=1e-7)
    rising = np.asarray(symmetric_beta_cdf(jnp.linspace(0, 1, 4097), jnp.full(4097, 40.0)))
    assert (np.diff(rising) >= -6e-8).all()


def test_slopes():
    a = np.repeat(np.array([0.05, 0.5, 1, 3, 50, 2000], np.float32), 9)
    x = np.tile(np.array([1e-6, 0.01, 0.2, 0.4995, 0.5, 0.5005, 0.7, 0.99, 1 - 1e-6]), 6)
    x = x.astype(np.float32)
    by_x, by_a = jax.jit(jax.vmap(jax.grad(symmetric_beta_cdf, argnums=(0, 1))))(x, a)
    exact = stats.beta.pdf(x.astype(float), a.astype(float), a.astype(float))
    np.testing.assert_allclose(by_x, exact, rtol=1e-4, atol=1e-12)
    step = 1e-4 * a.astype(float)
    around = [special.betainc(a + s, a + s, x.astype(float)) for s in (step, -step)]
    np.testing.assert_allclose(by_a, (around[0] - around[1]) / 2 / step, rtol=2e-3, atol=1e-6)
    ends = jax.vmap(jax.grad(symmetric_beta_cdf, argnums=(0, 1)))
    for slopes in ends(jnp.array([0.0, 1.0, 1e-38]), jnp.array([0.1, 0.1, 0.9])):
        assert np.isfinite(slopes).all()


def test_no_loop():
    x = jax.ShapeDtypeStruct((64,), jnp.float32)
    program = Program(jax.jit(symmetric_beta_cdf).lower(x, x).compile())
    assert not program.count("while", "conditional", "custom-call")


def test_why_not_the_one_of_jax():
    """If this fails, theirs has become as good, and ours may go, but for loop and derivative."""
    a, x = jnp.float32(3e5), jnp.float32(0.5003)
    error = jax.scipy.special.betainc(a, a, x) - special.betainc(3e5, 3e5, float(x))
    assert not abs(error) < 1e-3
