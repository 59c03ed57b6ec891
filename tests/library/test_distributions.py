"""What is drawn follows the law it names. Fixed keys; the bounds are in standard errors."""

import zlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

import jax_mixup as jm

N = 1_000_000
ALPHAS = (0.01, 0.05, 0.1, 0.2, 0.4, 1.0, 2.0, 8.0, 32.0)
draw = jax.jit(jm.symmetric_beta, static_argnames="shape")


def seed(*what) -> jax.Array:
    return jax.random.fold_in(jax.random.key(20), zlib.crc32(repr(what).encode()))


def within(values, mean, errors=5.0):
    """Whether the mean of draws is the expected one, to so many standard errors."""
    values = np.asarray(values, np.float64)
    error = values.std() / np.sqrt(values.size)
    assert abs(values.mean() - mean) <= errors * error, (values.mean(), mean, error)


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
    # The share of draws that underflow is the share that the law gives.
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
    """Along a draw with U, V fixed, E|λ-½| changes with α as the law says."""
    keys = jax.random.split(seed("gradient"), 100_000)
    slope = jax.vmap(jax.grad(lambda a, k: jnp.abs(jm.symmetric_beta(k, a) - 0.5)), (None, 0))
    mean = lambda a: np.exp(-2 * a * np.log(2) - np.log(a) - special.betaln(a, a))  # E|λ-½|
    expected = (mean(2.0 + 1e-4) - mean(2.0 - 1e-4)) / 2e-4
    within(slope(2.0, keys), expected)


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


def pasted(sampler, spatial, n=200_000, **options):
    """1 - λ for n boxes; the masks are never made."""
    lam = jax.jit(lambda key: sampler(key, (n, *spatial), per="example", **options).lam)
    return 1 - np.asarray(lam(seed(spatial)), np.float64)


def clipped_mean(d):
    """E (s - s²/4)^d of a box of side s = (1-λ)^(1/d), λ uniform, centred uniformly, clipped."""
    return integrate.quad(lambda v: (v ** (1 / d) - v ** (2 / d) / 4) ** d, 0, 1)[0]


def test_the_clipped_mean_in_closed_form():
    assert clipped_mean(2) == pytest.approx(77 / 240)
    assert clipped_mean(1) == pytest.approx(5 / 12)


# The bounds allow, beside 5 standard errors, for whole positions: 1 part in the size squared.
@pytest.mark.parametrize("spatial", [(4001,), (224, 224), (225, 161), (101, 97, 103)], ids=str)
def test_mean_pasted_share(spatial):
    share = pasted(jm.sample_cutmix, spatial)
    error = 5 * share.std() / np.sqrt(share.size) + 1 / min(spatial) ** 2
    assert abs(share.mean() - clipped_mean(len(spatial))) < error
    share = pasted(partial(jm.sample_cutmix, box="inside"), spatial)
    assert abs(share.mean() - 0.5) < 5 * share.std() / np.sqrt(share.size) + 1 / min(spatial) ** 2


@pytest.mark.parametrize("box", ["clipped", "inside"])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("lam", [0.9, 0.6, 0.3])
def test_boxes_reach_both_borders_alike(box, size, lam):
    n = 40_000
    mix = jax.jit(
        lambda key: jm.sample_cutmix(
            key, (n, size), lam_law=jm.constant(lam), box=box, per="example"
        )
    )(seed(box, size, lam))
    inside = ~np.asarray(mix.mask)
    first, last = inside[:, 0].mean(), inside[:, -1].mean()
    assert min(first, last) > 0
    assert abs(first - last) < 5 * np.sqrt(2 * 0.25 / n)
    hits = inside.mean(axis=0)
    np.testing.assert_allclose(hits, hits[::-1], atol=5 * np.sqrt(2 * 0.25 / n))
    side = round(size * (1 - lam))
    if box == "inside":  # every place equally likely
        starts = np.bincount(inside.argmax(axis=1), minlength=size - side + 1)
        assert starts.size == size - side + 1
        assert stats.chisquare(starts).pvalue > 1e-4
        assert (inside.sum(axis=1) == side).all()
    else:  # every position equally likely to be the centre
        assert inside.sum(axis=1).max() == side
        assert abs(inside.mean() * size - _clipped_side(size, side)) < 5 * size / np.sqrt(n)


def _clipped_side(size, side):
    centres = (np.arange(200_000) + 0.5) / 200_000 * size
    starts = np.floor(centres - side / 2 + 0.5)
    return (np.clip(starts + side, 0, size) - np.clip(starts, 0, size)).mean()


def test_switch_and_probability():
    n = 40_000
    sample = partial(
        jm.sample_mixup_or_cutmix,
        mixup_alpha=1e4,  # λ ≈ ½ everywhere tells mixup from CutMix
        switch_prob=0.3,
        prob=0.8,
        box="inside",
        per="example",
    )
    mix = jax.jit(lambda key: sample(key, (n, 4, 4)))(seed("switch"))
    mask, lam = np.asarray(mix.mask).reshape(n, -1), np.asarray(mix.lam)
    mixup = (mask == lam[:, None]).all(axis=1) & (lam > 0) & (lam < 1)
    off = (mask == 1).all(axis=1)
    cut = ((mask == 0) | (mask == 1)).all(axis=1)
    within(mixup, 0.8 * 0.7)
    # A box of side 0 (λ > 1 - 1/64, where 4 √(1-λ) < ½) is off, too.
    within(off, 0.2 + 0.8 * 0.3 / 64)
    within(cut, 0.2 + 0.8 * 0.3)


def test_policies_draw_with_their_probabilities():
    keys = jax.random.split(seed("policy"), 4000)
    half, whole = (partial(jm.sample_mixup, lam_law=jm.constant(v)) for v in (0.5, 0.25))
    policy = jm.one_of([half, whole, jm.sometimes(half, 0.0)], (0.2, 0.5, 0.3))
    lam = np.asarray(jax.jit(jax.vmap(lambda key: policy(key, (2,)).lam))(keys))
    assert (lam[:, 0] == lam[:, 1]).all()  # one choice for the batch
    for value, p in ((0.5, 0.2), (0.25, 0.5), (1.0, 0.3)):
        within(lam[:, 0] == value, p)
    each = jm.one_of([half, whole], (0.2, 0.8), per="example")(keys[0], (20_000,)).lam
    within(each == 0.5, 0.2)
    pairs = np.asarray(jm.one_of([half, whole], (0.2, 0.8), per="pair")(keys[0], (20_000,)).lam)
    np.testing.assert_array_equal(pairs, pairs[::-1])
    on = jm.sometimes(half, 0.3, per="example")(keys[1], (20_000,)).lam < 1
    within(on, 0.3)  # and not 0.09, as where a row also waits for its partner


def test_probabilities_of_zero_and_one_are_certain():
    half, quarter = (partial(jm.sample_mixup, lam_law=jm.constant(v)) for v in (0.5, 0.25))
    for probs, expected in (((1.0, 0.0), 0.5), ((0.0, 1.0), 0.25), (jnp.array([0.0, 1.0]), 0.25)):
        lam = jm.one_of([half, quarter], probs, per="example")(seed("sure"), (5000,)).lam
        assert (lam == expected).all()
