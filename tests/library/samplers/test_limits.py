"""Samplers at their ends: NaN, infinity, tiny alphas, and batches too small."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.methods import METHODS
from tests.library.samplers.all_samplers import ALL, KEY, SHAPE, is_off, refused, takes


@pytest.mark.parametrize("per", ["batch", "example"])
def test_limits_of_dirichlet_and_ricap(per):
    @jax.jit
    def of(alpha):
        drawn = jm.sample_dirichlet(KEY, (64,), k=4, alpha=alpha, per=per)
        return jm.blend_labels(drawn, jnp.arange(64), num_classes=64)

    found = np.asarray(of(jnp.inf))
    np.testing.assert_allclose(found[5, [5, 4, 3, 2]], 0.25, rtol=1e-6)
    for alpha in (1e-38, 1e-30, 1e-6):
        found = np.asarray(of(alpha))
        np.testing.assert_allclose(found.max(axis=1), 1, atol=1e-5)  # one row has all
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (of(0.0) == np.eye(64)).all() and (of(jnp.nan) == np.eye(64)).all()
    quarter = jm.sample_ricap(KEY, (4, 6, 6), alpha=jnp.inf, per=per)
    np.testing.assert_allclose(jm.blend_labels(quarter, jnp.eye(4))[0], 0.25, rtol=1e-6)


@pytest.mark.slow
def test_a_traced_nan_is_off_in_every_sampler():
    @jax.jit
    def at(nan):
        found = {m.name: m(KEY, SHAPE, alpha=nan) for m in METHODS if m.options}
        for name, (sampler, args) in ALL.items():
            if "lam_law" in takes(name) and name != "sample_patchup":
                nans = lambda key, shape: jnp.full(shape, jnp.nan) + nan
                found[name + " law"] = sampler(KEY, *args, lam_law=nans)
            if "alpha" in takes(name):
                found[name] = sampler(KEY, *args, alpha=nan)
        soft = jm.constant(0.5)
        found["gamma"] = jm.sample_patchup(KEY, SHAPE, gamma=nan, block=2, lam_law=soft)
        found["ratio"] = jm.sample_hmix(KEY, SHAPE, ratio=nan, lam_law=soft)
        for name in ("prob", "switch_prob"):
            found[name] = jm.sample_mixup_or_cutmix(KEY, SHAPE, **{name: nan}, lam_law=soft)
        half = partial(jm.sample_mixup, lam_law=soft)
        found["sometimes"] = jm.sometimes(half, nan)(KEY, SHAPE)
        found["one_of"] = jm.one_of([half, jm.sample_ricap], (nan, 0.5))(KEY, SHAPE)
        found["second"] = jm.one_of([half, half], (0.5, nan), per="example")(KEY, SHAPE)
        for name in ("constant", "folded_beta", "affine_uniform"):
            found[f"law {name}"] = jm.sample_mixup(KEY, SHAPE, lam_law=getattr(jm, name)(nan))
        for law in (jm.beta(nan, 1.0), jm.beta(jnp.inf, nan), jm.uniform(0.0, nan)):
            found[f"law {len(found)}"] = jm.sample_mixup(KEY, SHAPE, lam_law=law)
        return found

    with jax.debug_nans(True):
        found = at(jnp.nan)
    assert not {name for name, drawn in found.items() if not is_off(drawn)}
    exempt = {"snapmix"}
    for name, drawn in found.items():
        leaves = [x for x in jax.tree.leaves(drawn) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert name in exempt or all(jnp.isfinite(x).all() for x in leaves), name


def test_a_last_batch_that_is_too_small():
    for rows in (2, 3):
        refused(
            f"{rows} examples and mixes 4.*pairings", lambda n=rows: jm.sample_ricap(KEY, (n, 4, 4))
        )
    refused("3 examples and mixes 5", lambda: jm.sample_dirichlet(KEY, (3,), k=5))
    assert is_off_when_alone(jm.sample_ricap(KEY, (1, 4, 4)))
    assert is_off_when_alone(jm.sample_dirichlet(KEY, (1,), k=5))
    pairings = (jm.roll(1), jm.roll(2), jm.roll(1))
    assert jm.sample_ricap(KEY, (3, 4, 4), pairings=pairings)[0].lam.shape == (3,)


def is_off_when_alone(mix):
    x = jnp.full((1, 4, 4, 1), 0.3)
    return bool((jm.blend(mix, x) == x).all())
