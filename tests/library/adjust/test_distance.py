"""λ by the distance of the pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import special, stats

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.by_hand import mixed

KEY = jax.random.key(0)
FEATURES = np.random.default_rng(0).normal(size=(7, 2, 3)).astype(np.float32)
PARTNER = np.array([1, 2, 2, 0, 6, 4, 5])  # neither mutual nor one to one


def by_hand(lam, distance, tau_max, tau_std):
    tau = tau_max * np.exp(-(distance / distance.mean() - 1) / (2 * tau_std**2))
    return special.betainc(1 / tau, 1 / tau, lam)


@pytest.mark.parametrize("peak, width", [(1.0, 0.5), (0.1, 1.25), (5.0, 0.2), (1.0, np.inf)])
def test_the_formula_by_hand(peak, width):
    lam = np.random.default_rng(1).uniform(size=7).astype(np.float32)
    mix = jm.Mix(jnp.asarray(PARTNER), jnp.asarray(lam), jnp.asarray(lam))
    distance = ((FEATURES - FEATURES[PARTNER]) ** 2).sum((1, 2)).astype(np.float64)
    warp = jax.jit(
        lambda mix, peak, width: jm.warp_by_distance(mix, FEATURES, tau_max=peak, tau_std=width)
    )
    found = warp(mix, peak, width)
    expected = by_hand(lam.astype(float), distance, peak, width)
    np.testing.assert_allclose(found.lam, expected, atol=2e-6)
    np.testing.assert_array_equal(found.mask, found.lam)
    scaled = jm.warp_by_distance(mix, 100 * FEATURES, tau_max=peak, tau_std=width)
    np.testing.assert_allclose(scaled.lam, expected, atol=2e-6)  # units do not matter


def test_near_pairs_mix_more():
    lam = jm.sample_mixup(KEY, (4000,), per="example").lam
    mix = jm.Mix(jm.neighbours(), lam, lam)
    gap = np.where(np.arange(4000) % 4 < 2, 0.1, 1.0) * (np.arange(4000) % 2)
    lam = np.asarray(jm.warp_by_distance(mix, gap).lam)
    near = np.arange(4000) % 4 < 2
    least = np.minimum(lam, 1 - lam)
    assert least[near].mean() > 0.35 > 0.15 > least[~near].mean()


def test_what_stays():
    lam = jnp.array([0.0, 0.5, 1.0, 0.3])
    mix = jm.Mix(jm.reverse(), lam, lam)
    found = jm.warp_by_distance(mix, jnp.array([0.0, 3.0, 4.0, 9.0]))
    assert found.lam[:3].tolist() == [0, 0.5, 1]
    alike = jm.warp_by_distance(mixed([0.3, 0.3]), jnp.ones((2, 3)), tau_std=1.0)
    np.testing.assert_allclose(alike.lam, special.betainc(*[np.exp(-0.5)] * 2, 0.3), atol=1e-6)
    own = jm.warp_by_distance(jm.Mix(jm.reverse(), lam, jnp.ones(4)), jnp.arange(4.0))
    assert (own.lam == 1).all() and 0 < own.mask[3] < 0.5  # its own label, mixed inputs
    none = jm.warp_by_distance(jm.no_mix(4), jnp.arange(4.0))
    assert (none.lam == 1).all() and none.mask.all()


def test_missing_features_and_numbers_that_are_off():
    mix = jm.Mix(jm.reverse(), jnp.array([0.3]), jnp.full(6, 0.3))
    found = jm.warp_by_distance(mix, jnp.array([0.0, jnp.nan, 2.0, 5.0, 1.0, 1e30]))
    np.testing.assert_array_equal(found.lam == 1, [1, 1, 0, 0, 1, 1])
    pair = jm.warp_by_distance(mix, jnp.array([2.0, 2.0, 2.0, 5.0, 5.0, 5.0]))
    np.testing.assert_allclose(found.lam[2], pair.lam[2], rtol=1e-6)  # the mean is of the rest
    warp = jax.jit(lambda p, w: jm.warp_by_distance(mix, jnp.arange(6.0), tau_max=p, tau_std=w))
    for off in (0.0, -1.0, jnp.nan):
        assert (warp(off, 0.5).lam == 1).all() and (warp(1.0, off).lam == 1).all()
    steep = warp(1.0, 1e-30)  # distances below the mean, and above
    np.testing.assert_allclose(steep.lam, [0, 0.5, 0.5, 0.5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(warp(jnp.inf, 0.5).lam, 0.5, atol=1e-6)


def test_a_second_batch():
    other = FEATURES[::-1]
    lam = jnp.full(7, 0.3)
    mix = jm.Mix(jm.roll(), lam, lam)
    distance = ((FEATURES - other) ** 2).sum((1, 2)).astype(np.float64)
    found = jm.warp_by_distance(mix, FEATURES, other=other)
    np.testing.assert_allclose(found.lam, by_hand(0.3, distance, 1.0, 0.5), atol=2e-6)


def test_the_published_setting_draws_lambda_by_the_distance():
    """A quantile of U(0, 1) is a draw: Beta(τ, τ), which is a mixup with an alpha a pair."""
    tau = jnp.array([0.3, 1.0, 4.0])
    draw = lambda key: jm.sample_mixup(key, (3,), alpha=tau, per="example").lam
    lam = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(KEY, 4000)))
    for i, t in enumerate(tau.tolist()):
        assert stats.kstest(lam[:, i], stats.beta(t, t).cdf).pvalue > 1e-4


def test_gradients():
    lam = jnp.array([0.0, 0.2, 0.5, 1.0, 0.7, 0.4, 0.6])

    def total(lam, features, peak):
        mix = jm.Mix(jm.roll(), lam, lam)
        return (jm.warp_by_distance(mix, features, tau_max=peak).lam ** 2).sum()

    for slope in jax.grad(total, argnums=(0, 1, 2))(lam, FEATURES, 0.8):
        assert np.isfinite(slope).all() and (np.asarray(slope) != 0).any()


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_devices_share_one_number(axis_type):
    """The mean distance, and no round of a loop."""
    features = np.random.default_rng(2).normal(size=(64, 5)).astype(np.float32)

    def step(key, features):
        mix = jm.sample_mixup(key, (64,), per="example", pairing=jm.reverse(groups=8))
        return jm.warp_by_distance(mix, features).lam

    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        sharded = jax.device_put(features, NamedSharding(mesh, PartitionSpec("data")))
        program = jax.jit(step).lower(KEY, sharded).compile()
        found = np.asarray(jax.jit(step)(KEY, sharded))
    collectives = Program(program).collectives()
    assert set(collectives) <= {"all-reduce"} and sum(collectives.values()) <= 16
    np.testing.assert_allclose(found, jax.jit(step)(KEY, features), atol=2e-6)


def test_an_outlier_leaves_the_gradient_finite():
    features = np.zeros((64, 1), np.float32)
    features[0], features[5] = 100, 1
    warp = lambda f, peak: jm.warp_by_distance(mixed([0.3] * 64), f, tau_max=peak, tau_std=0.25)
    slopes = jax.grad(lambda f, peak: warp(f, peak).lam.sum(), (0, 1))(features, 1.0)
    assert all(np.isfinite(slope).all() for slope in slopes)
    assert warp(features, 1.0).lam[0] == 0  # in the limit


def test_what_is_not_mixed_stays_a_bool():
    none = jm.no_mix(4)
    found = jm.warp_by_distance(none, jnp.arange(4.0))
    assert found.mask.dtype == none.mask.dtype == jnp.bool_ and (found.lam == 1).all()
    ids = jnp.arange(4)
    np.testing.assert_array_equal(jm.select(found, ids), ids)


def test_mistakes():
    with pytest.raises(ValueError, match=r"mask of shape \(1, 8\).*keep_local"):
        jm.warp_by_distance(jm.sample_cutmix(KEY, (2, 8)), jnp.ones(2))
    with pytest.raises(ValueError, match="2 examples"):
        jm.warp_by_distance(mixed([0.3, 0.3]), jnp.ones(3))
    for wrong in ({"tau_max": 0.0}, {"tau_std": -1.0}, {"tau_max": float("nan")}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.*> 0"):
            jm.warp_by_distance(mixed([0.3, 0.3]), jnp.ones(2), **wrong)
