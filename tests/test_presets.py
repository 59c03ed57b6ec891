"""Policies by name are what they say."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.presets import PRESETS

KEY = jax.random.key(3)
SHAPE = (6, 8, 10)


@pytest.fixture(scope="module")
def mixes():
    """One mix of each, by one program."""
    draw = lambda key: {name: sampler(key, SHAPE) for name, sampler in PRESETS.items()}
    return jax.jit(draw)(KEY)


def test_all_draw_mixes_of_their_kind(mixes):
    bank = list(PRESETS)[list(PRESETS).index("vertical-concat") :]
    for name, mix in mixes.items():
        chex.assert_shape(mix.lam, (6,))
        assert ((mix.lam >= 0) & (mix.lam <= 1)).all()
        soft = name in ("vh-mixup", "noisy-mixup")
        assert name not in bank or (mix.mask.dtype == jnp.float32) == soft


def test_recipes_are_the_samplers_with_their_numbers(mixes):
    same = {
        "cifar": partial(jm.sample_mixup, alpha=1.0),
        "imagenet": partial(jm.sample_mixup, alpha=0.2),
        "deit": partial(jm.sample_mixup_or_cutmix, mixup_alpha=0.8, cutmix_alpha=1.0),
        "rsb": partial(jm.sample_mixup_or_cutmix, mixup_alpha=0.1, cutmix_alpha=1.0),
    }
    for name, sampler in same.items():
        chex.assert_trees_all_close(mixes[name], sampler(KEY, SHAPE), atol=1e-6)
    levels = {"light1": 0.0, "light2": 0.2, "medium1": 0.2, "medium2": 0.5, "strong2": 0.8}
    for level, alpha in levels.items():
        mix = mixes[f"big_vision-{level}"]
        assert mix.partner == jm.roll() and (mix.lam >= 0.5).all()
        law = jm.folded_beta(alpha)
        np.testing.assert_allclose(mix.lam, jm.sample_mixup(KEY, SHAPE, lam_law=law).lam, rtol=1e-5)
    pair = mixes["samplepairing"]
    assert (pair.mask == 0.5).all() and (pair.lam == 1).all()


def test_the_bank_cuts_where_its_names_say(mixes):
    mask = {name: np.asarray(mix.mask)[0] for name, mix in mixes.items() if mix.mask.ndim == 3}
    for name, axis in (("vertical-concat", 0), ("horizontal-concat", 1)):
        line = mask[name].all(axis=1 - axis)
        np.testing.assert_array_equal(line, mask[name].any(axis=1 - axis))  # whole lines
        assert (np.diff(line.astype(int)) <= 0).all()  # the row's own first
    for name, axis in (("random-rows", 0), ("random-columns", 1)):
        line = mask[name].all(axis=1 - axis)
        np.testing.assert_array_equal(line, mask[name].any(axis=1 - axis))
    for name, axis in (("random-row-interval", 0), ("random-column-interval", 1)):
        line = mask[name].any(axis=1 - axis)
        np.testing.assert_array_equal(line, mask[name].all(axis=1 - axis))
        assert np.abs(np.diff(line.astype(int))).sum() <= 2


def test_options_go_on_top_and_unknown_names_are_told():
    assert partial(jm.preset("deit"), per="example")(KEY, SHAPE).mask.shape == SHAPE
    assert partial(jm.preset("random-rows"), per="example")(KEY, SHAPE).mask.shape == SHAPE
    with pytest.raises(ValueError, match="'deti'; it needs one of 'cifar', 'imagenet'"):
        jm.preset("deti")


def test_the_two_of_the_bank_that_are_no_names():
    x = np.random.default_rng(0).normal(size=(2, 8, 10, 3)).astype(np.float32)
    elements = jm.sample_gridmix(KEY, x.shape)
    mixed = np.asarray(jm.blend(elements, x))
    np.testing.assert_array_equal(mixed, np.where(elements.mask, x, x[::-1]))
    assert len({tuple(row) for row in np.asarray(elements.mask).reshape(-1, 3)}) > 2
    # VH-BC+: both concatenations as one batch, each heard in its share.
    down, right = (
        jm.preset(name)(KEY, (2, 8, 10)) for name in ("vertical-concat", "horizontal-concat")
    )
    both = jnp.concatenate([jm.blend(down, x), jm.blend(right, x)])
    mix = jm.balance(jm.sample_mixup(KEY, (4,), pairing=jm.roll(2)), both.std((1, 2, 3)))
    out = np.asarray(jm.restore_energy(mix, jm.blend(mix, both)))[:2]
    deviation, lam = np.asarray(both.std((1, 2, 3)), np.float64), np.asarray(mix.lam, np.float64)
    for i in range(2):
        p = 1 / (1 + deviation[i] / deviation[i + 2] * (1 - lam[i]) / lam[i])
        expected = (p * both[i] + (1 - p) * both[i + 2]) / np.sqrt(p**2 + (1 - p) ** 2)
        np.testing.assert_allclose(out[i], expected, rtol=1e-4, atol=1e-5)
