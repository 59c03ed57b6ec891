"""Draws follow the distribution that they name. Fixed keys; the bounds are in standard errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import jax_mixup as jm
from jax_mixup._draws import log_gamma
from tests.library.samplers.all_samplers import KEY
from tests.library.statistics import seed, within

N = 1_000_000
ALPHAS = (0.01, 0.05, 0.1, 0.2, 0.4, 1.0, 2.0, 8.0, 32.0)
draw = jax.jit(jm.symmetric_beta, static_argnames="shape")


@pytest.mark.parametrize("alpha", ALPHAS)
def test_symmetric_beta_has_the_exact_law(alpha):
    lam = np.asarray(draw(seed(alpha), alpha, (N,)), np.float64)
    low = lam < 0.5  # where min(λ, 1-λ) is λ itself, to full relative precision
    assert abs(low.sum() - N / 2) < 5 * np.sqrt(N) / 2  # the two sides are equally likely
    smaller = lam[low & (lam > 1e-30)]  # below, float32 underflows
    floor = special.betainc(alpha, alpha, 1e-30)

    def cdf(m):
        return (special.betainc(alpha, alpha, m) - floor) / (0.5 - floor)

    assert stats.kstest(smaller, cdf).pvalue > 1e-3
    # The fraction of draws that underflow is the one that the distribution gives.
    assert abs((lam[low] <= 1e-30).mean() - 2 * floor) < 5 * np.sqrt(1 / low.sum())
    # And the upper side is the mirror image, to the rounding of 1 - λ.
    upper = 1 - lam[~low]
    common = np.quantile(lam[low], [0.25, 0.5, 0.75])
    for m in common[common > 1e-6]:
        p = 2 * special.betainc(alpha, alpha, m)
        assert abs((upper <= m).mean() - p) < 5 * np.sqrt(p * (1 - p) / upper.size)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_variance_of_lambda(alpha):
    lam = np.asarray(draw(seed("var", alpha), alpha, (N,)), np.float64)
    within((lam - 0.5) ** 2, 1 / (4 * (2 * alpha + 1)))
    within(lam, 0.5)


def test_an_infinite_alpha_is_one_half():
    for alpha in (np.inf, jnp.float32(np.inf)):
        assert (jax.jit(lambda a: jm.symmetric_beta(seed(2), a, (9,)))(alpha) == 0.5).all()
        assert (jm.symmetric_beta(seed(2), alpha, (9,)) == 0.5).all()
    assert not jnp.isnan(jax.grad(lambda a: jm.symmetric_beta(seed(2), a))(1e4))


def test_no_alpha_gives_nan():
    alphas = jnp.concatenate([jnp.zeros(1), jnp.logspace(-38, 4, 400), -jnp.ones(1)])
    lam = jax.vmap(lambda key, alpha: draw(key, alpha, (2000,)))(
        jax.random.split(seed("nan"), alphas.size), alphas
    )
    assert bool(((lam >= 0) & (lam <= 1)).all())  # False for NaN
    assert bool((lam[0] == 1).all() and (lam[-1] == 1).all())
    assert draw(seed(1), 1e4, (1000,)).std() < 0.01


def test_alpha_of_every_dtype_and_one_for_each_draw():
    for alpha in (jnp.bfloat16(0.5), jnp.float16(0.5), np.float64(0.5), 1, jnp.int32(1)):
        lam = jm.symmetric_beta(seed(2), alpha, (3,))
        assert lam.dtype == jnp.float32
    per_row = jm.symmetric_beta(seed(2), jnp.array([0.0, 1e4, 0.0]), (3,))
    np.testing.assert_allclose(per_row, [1, 0.5, 1], atol=0.05)


def test_the_gradient_of_lambda_is_that_of_its_quantile():
    """Along a draw with U, V fixed, E|λ-½| changes with α as the distribution says."""
    keys = jax.random.split(seed("gradient"), 100_000)
    slope = jax.vmap(jax.grad(lambda a, k: jnp.abs(jm.symmetric_beta(k, a) - 0.5)), (None, 0))
    mean = lambda a: np.exp(-2 * a * np.log(2) - np.log(a) - special.betaln(a, a))  # E|λ-½|
    expected = (mean(2.0 + 1e-4) - mean(2.0 - 1e-4)) / 2e-4
    within(slope(2.0, keys), expected)


def test_the_gradient_of_a_beta_is_that_of_its_quantile():
    """d E λ / d a = b / (a + b)², from draws whose proposals stay as they are."""
    draw = lambda a: jm.beta(a, 0.7)(seed("beta gradient"), (100_000,))
    for a in (0.4, 2.0):
        slope = jax.jvp(draw, (a,), (1.0,))[1]
        within(slope, 0.7 / (a + 0.7) ** 2)


def test_gammas_of_all_sizes():
    """Of which Beta and Dirichlet are made, in their logarithms: small ones have no number."""
    alphas = (0.05, 0.7, 0.999, 1.0, 3.0, 1e3, 3e4)
    drawn = jax.jit(lambda a: log_gamma(seed("gamma"), a))(
        jnp.tile(jnp.array([alphas]), (50_000, 1))
    )
    for alpha, logs in zip(alphas, np.asarray(drawn, np.float64).T, strict=True):
        assert stats.kstest(logs, stats.loggamma(alpha).cdf).pvalue > 1e-3, alpha
    tiny, huge = log_gamma(seed(0), jnp.array([1e-40, 1e30]))
    assert np.isfinite(tiny) and abs(huge - np.log(1e30)) < 1e-3


def test_the_other_laws():
    shape = (200_000,)
    lam = jm.uniform(0.2, 0.6)(seed(3), shape)
    assert stats.kstest(np.asarray(lam), stats.uniform(0.2, 0.4).cdf).pvalue > 1e-3
    lam = jm.beta(2.5, 0.5)(seed(4), shape)
    assert stats.kstest(np.asarray(lam), stats.beta(2.5, 0.5).cdf).pvalue > 1e-3
    assert (jm.constant(0.25)(seed(5), shape) == 0.25).all()
    for alpha in (0.0, 0.1, 0.75, 1.0):
        w = np.asarray(jm.affine_uniform(alpha)(seed(6, alpha), shape))
        low, high = sorted((alpha, 1 - alpha))
        assert stats.kstest(w, stats.uniform(low, high - low).cdf).pvalue > 1e-3
        within((w - 0.5) ** 2, (1 - 2 * alpha) ** 2 / 12)
    assert (jm.affine_uniform(0.5)(seed(7), shape) == 0.5).all()


def test_the_affine_law_is_its_formula():
    key, alpha = seed(8), 0.3
    lam = jax.random.uniform(key, (1000,))
    formula = lam * (1 - alpha) + alpha * (1 - lam)
    np.testing.assert_allclose(jm.affine_uniform(alpha)(key, (1000,)), formula, rtol=1e-6)


def test_any_function_of_key_and_shape_is_a_law():
    def folded(key, shape):
        lam = jm.symmetric_beta(key, 0.75, shape)
        return jnp.maximum(lam, 1 - lam)

    mix = jm.sample_mixup(seed(9), (500,), lam_law=folded, per="example")
    assert (mix.lam >= 0.5).all() and mix.lam.std() > 0.1
    for sampler in (jm.sample_cutmix, jm.sample_mixup_or_cutmix):
        sample = partial(sampler, lam_law=folded, box="inside", per="example")
        assert (sample(seed(9), (500, 8, 8)).lam >= 0.5 - 1 / 8).all()  # to whole positions
    fixed = jm.sample_mixup(seed(9), (4,), lam_law=jm.constant(0.25))
    assert fixed.lam.tolist() == [0.25] * 4


def test_a_folded_beta_is_the_larger_side():
    lam = np.asarray(jm.folded_beta(0.75)(seed(4), (100_000,)), np.float64)
    both = np.asarray(jm.symmetric_beta(seed(4), 0.75, (100_000,)), np.float64)
    np.testing.assert_allclose(lam, np.maximum(both, 1 - both), atol=1e-7)
    assert (jm.folded_beta(0.0)(seed(4), (3,)) == 1).all()
    with pytest.raises(ValueError, match="folded_beta got alpha"):
        jm.folded_beta(-1.0)


def test_limits_of_laws():
    inf, tiny = jnp.inf, 1e-30
    eight = lambda law: np.asarray(law(KEY, (8,)))
    assert (eight(jm.beta(inf, inf)) == 0.5).all()
    assert (eight(jm.beta(inf, 1.0)) == 1).all() and (eight(jm.beta(1.0, inf)) == 0).all()
    assert (eight(jm.folded_beta(inf)) == 0.5).all()
    assert (jm.symmetric_beta(KEY, inf, (8,)) == 0.5).all()
    assert (eight(jm.uniform(0.25, 0.25)) == 0.25).all()
    assert (eight(jm.affine_uniform(0.5)) == 0.5).all()
    assert (eight(jm.constant(0.0)) == 0).all() and (eight(jm.constant(1.0)) == 1).all()
    for small in (tiny, 1e-37):
        few = np.asarray(jax.jit(lambda a: jm.beta(a, a)(KEY, (64,)))(small))
        assert set(few) == {0, 1} and 16 < few.sum() < 48
        assert set(eight(jm.folded_beta(small))) == {1}
    rare = np.asarray(jm.beta(1e-36, 3e-36)(KEY, (4000,)))
    assert set(rare) == {0, 1} and abs(rare.mean() - 0.25) < 0.03
    assert (eight(jm.beta(1e30, 1.0)) > 0.999).all() and (eight(jm.beta(1e30, 1e30)) > 0.49).all()
