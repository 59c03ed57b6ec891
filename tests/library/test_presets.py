"""Policies by name are what they say."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.presets import PRESETS
from tests.library.samplers.all_samplers import traced

KEY = jax.random.key(3)
SHAPE = (6, 8, 10)
KEYS = jax.random.split(jax.random.key(5), 64)


def many(samplers):
    """Mixes of each sampler, for all keys by one program."""
    draw = lambda key: {name: sampler(key, SHAPE) for name, sampler in samplers.items()}
    return jax.jit(jax.vmap(draw))(KEYS)


@pytest.fixture(scope="module")
def drawn():
    return many(PRESETS)


@pytest.fixture(scope="module")
def mixes(drawn):
    """One mix of each."""
    return jax.tree.map(lambda a: a[0], drawn)


def test_all_draw_mixes_of_their_kind(mixes):
    bank = list(PRESETS)[list(PRESETS).index("vertical-concat") :]
    for name, mix in mixes.items():
        chex.assert_shape(mix.lam, (6,))
        assert ((mix.lam >= 0) & (mix.lam <= 1)).all()
        soft = name in ("vh-mixup", "noisy-mixup")
        assert name not in bank or (mix.mask.dtype == jnp.float32) == soft


def big_vision(alpha):
    return partial(jm.sample_mixup, lam_law=jm.folded_beta(alpha), pairing=jm.roll())


RECIPES = {
    "cifar": partial(jm.sample_mixup, alpha=1.0),
    "imagenet": partial(jm.sample_mixup, alpha=0.2),
    "cutmix-imagenet": partial(jm.sample_cutmix, alpha=1.0),
    "deit": partial(jm.sample_mixup_or_cutmix, mixup_alpha=0.8, cutmix_alpha=1.0),
    "rsb": partial(jm.sample_mixup_or_cutmix, mixup_alpha=0.1, cutmix_alpha=1.0),
    "big_vision-light1": big_vision(0.0),
    "big_vision-light2": big_vision(0.2),
    "big_vision-medium1": big_vision(0.2),
    "big_vision-medium2": big_vision(0.5),
    "big_vision-strong1": big_vision(0.5),
    "big_vision-strong2": big_vision(0.8),
}


def test_recipes_are_the_samplers_with_their_numbers(drawn, mixes):
    """For many keys: one key may draw only one of two methods, and its α alone."""
    expected = many(RECIPES)
    partners = lambda mix: np.asarray(jm.partner_index(mix.partner, SHAPE[0]))
    for name, mix in expected.items():
        np.testing.assert_allclose(drawn[name].lam, mix.lam, rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(drawn[name].mask, mix.mask, rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(partners(mixes[name]), partners(mix))
        if name.startswith("big_vision"):
            assert (mix.lam >= 0.5).all()
    for name in ("deit", "rsb"):  # both methods are among these draws
        hard = (expected[name].mask % 1 == 0).all(axis=(1, 2, 3))
        assert 16 < hard.sum() < 48
    pair = mixes["samplepairing"]
    assert (pair.mask == 0.5).all() and (pair.lam == 1).all()


def test_cutmix_of_cifar_leaves_half_of_the_batches(drawn):
    on = np.asarray(drawn["cutmix-cifar"].lam[:, 0] < 1).mean()
    assert abs(on - 0.5) < 4 * 0.5 / np.sqrt(len(KEYS))


def test_a_random_square_is_a_quarter_before_it_is_clipped(drawn):
    lam = np.asarray(drawn["random-square"].lam[:, 0])
    assert lam.min() == 0.75 and 0.75 < lam.mean() < 1


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


def test_partners_within_shards():
    for name in PRESETS:
        sampler = jm.preset(name, shards=2)
        partner = np.asarray(jm.partner_index(sampler(KEY, SHAPE).partner, SHAPE[0]))
        half = np.arange(SHAPE[0]) // (SHAPE[0] // 2)
        assert (half[partner] == half).all() and (partner != np.arange(SHAPE[0])).any(), name
        np.testing.assert_array_equal(sampler(KEY, SHAPE).lam, jm.preset(name)(KEY, SHAPE).lam)
    with pytest.raises(ValueError, match="shards=0"):
        jm.preset("deit", shards=0)


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


def test_every_preset_takes_what_all_samplers_take():
    for name in PRESETS:
        sampler = partial(jm.preset(name), per="example", pairing=jm.roll(2))
        mix = traced(partial(sampler, KEY, SHAPE))
        assert mix.partner.shift == 2 and mix.mask.shape[0] == SHAPE[0], name
        assert mix.lam.shape == (SHAPE[0],)
    off = partial(jm.preset("cutmix-cifar"), per="example")(KEY, (64, 4, 4))
    assert 10 < int((off.lam == 1).sum()) < 54  # decided for each row too
    with pytest.raises(TypeError, match="apha"):
        jax.eval_shape(lambda: partial(jm.preset("cutmix-cifar"), apha=1.0)(KEY, SHAPE))


def test_smoothing_of_recipes():
    assert jm.preset_smoothing("deit") == 0.1
    assert {n for n in PRESETS if jm.preset_smoothing(n)} == {"deit"}
    with pytest.raises(ValueError, match="'deti'; it needs one of"):
        jm.preset_smoothing("deti")
