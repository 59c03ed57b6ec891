"""Policies by name are what they say, and defaults are what was published."""

import inspect
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


# What the authors' papers or code have, by what the functions' docstrings cite.
PUBLISHED = {
    jm.sample_mixup_or_cutmix: dict(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=0.5, prob=1.0),
    jm.mixup_or_cutmix: dict(mixup_alpha=0.8, cutmix_alpha=1.0),  # DeiT
    jm.sample_cutmix: dict(alpha=1.0, box="clipped", axes=None),
    jm.sample_resizemix: dict(scale=(0.1, 0.8)),
    jm.sample_ricap: dict(alpha=0.3),
    jm.sample_fmix: dict(alpha=1.0, decay=3.0),
    jm.sample_cowmix: dict(alpha=1.0, sigma=(4.0, 16.0)),
    jm.sample_smoothmix: dict(sigma=(0.25, 0.5)),
    jm.sample_noisymixup: dict(noise=0.025),
    jm.sample_hmix: dict(alpha=1.0, ratio=0.5),
    jm.sample_gridmixup: dict(holes=(2, 6)),
    jm.sample_tokenmix: dict(alpha=1.0, grid=None, least=14),
    jm.sample_patchup: dict(gamma=0.5, block=7),
    jm.sample_snapmix: dict(alpha=5.0),
    jm.sample_attentive_cutmix: dict(grid=(7, 7), k=6),
    jm.sample_guidedmixup: dict(blur=1.8),
    jm.sample_smmix: dict(sides=(0.25, 0.75)),
    jm.sample_puzzlemix: dict(alpha=1.0, labels=3, beta=1.2, gamma=0.5, eta=0.2),
    jm.puzzle_transport: dict(eps=0.8),
    jm.recursivemix: dict(share=0.5),
    jm.randommix: dict(probs=(0.25, 0.25, 0.25, 0.25), alphas=(1.0,)),
    jm.remix: dict(kappa=3.0, tau=0.5),
    jm.mamix: dict(omega=0.25),
    jm.transmix: dict(area=0.5),
    jm.add_noise: dict(additive=0.4, multiplicative=0.2),
    jm.mixup_inference: dict(which="other", lam=0.5, samples=30),
    jm.regmixup_loss: dict(eta=1.0),
    jm.spectral_residual: dict(size=64, blur=2.5),
}


@pytest.mark.parametrize("function", PUBLISHED, ids=lambda function: function.__name__)
def test_defaults_are_those_that_were_published(function):
    found = inspect.signature(function).parameters
    defaults = {name: found[name].default for name in PUBLISHED[function]}
    assert defaults == PUBLISHED[function]


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
