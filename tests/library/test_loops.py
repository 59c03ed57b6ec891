"""What runs elsewhere than on a CPU gives the same: several steps at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(3)
SALIENCY = np.random.default_rng(0).uniform(size=(6, 16, 16)).astype(np.float32)
LOOPS = {
    "tokenmix": lambda: jm.sample_tokenmix(KEY, (4, 8, 8), least=3, per="example"),
    "puzzlemix": lambda: jm.sample_puzzlemix(KEY, SALIENCY, grid=(4, 4), iterations=30),
    "salient pairs": lambda: jm.salient_pairs(SALIENCY),
    "transport": lambda: jm.puzzle_transport(
        jm.sample_puzzlemix(KEY, SALIENCY, grid=(4, 4)), SALIENCY, grid=(4, 4)
    ),
    "fmix": lambda: jm.sample_fmix(KEY, (4, 16, 9), per="example"),
    "roll": lambda: jm.take_partner(jm.sample_mixup(KEY, (6,), pairing=jm.roll(2)), SALIENCY),
    "boxes": lambda: jm.sample_cutmix(KEY, (4, 7, 9), per="example"),
}


@pytest.mark.parametrize("name", LOOPS)
def test_elsewhere_the_results_are_the_same(name, monkeypatch):
    here = LOOPS[name]()
    elsewhere = lambda *args, default, **_: default(*args)
    monkeypatch.setattr(jax.lax, "platform_dependent", elsewhere)
    jax.clear_caches()
    found = LOOPS[name]()
    jax.clear_caches()
    for expected, leaf in zip(jax.tree.leaves(here), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(
            jnp.asarray(leaf, float), jnp.asarray(expected, float), rtol=1e-6
        )
