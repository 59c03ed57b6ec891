"""The switch between mixup and CutMix."""

from functools import partial

import jax
import numpy as np

import jax_mixup as jm
from tests.library.statistics import seed, within


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


def test_a_box_over_some_axes():
    """One box in all frames, with the label weight of its area, and λ everywhere for a mixup."""
    sample = partial(jm.sample_mixup_or_cutmix, shape=(64, 3, 8, 6), axes=(2, 3), per="example")
    mix = jax.jit(sample)(seed("axes"))
    mask, lam = np.asarray(mix.mask), np.asarray(mix.lam)
    np.testing.assert_array_equal(mask, np.repeat(mask[:, :1], 3, axis=1))
    hard = (mask == 0).any(axis=(1, 2, 3))
    assert 16 < hard.sum() < 48
    assert ((mask[hard] == 0) | (mask[hard] == 1)).all()
    np.testing.assert_allclose(lam[hard], mask[hard].mean(axis=(1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(mask[~hard, 0, 0, 0], lam[~hard])
