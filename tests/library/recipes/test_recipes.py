"""Recipes: sample, blend and label in one call."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(5)


def test_recipes_sample_blend_and_label():
    x = np.random.default_rng(5).integers(0, 255, (4, 8, 8, 3)).astype(np.uint8)
    y = jnp.arange(4)
    options = dict(num_classes=4, dtype=jnp.float32)
    mixed, labels = jm.mix_batch(KEY, x, y, jm.sample_cutmix, **options)
    expected = jm.cutmix(KEY, x, y, **options)
    chex.assert_trees_all_equal((mixed, labels), expected)
    mixed, labels = jm.resizemix(KEY, x, y, **options)
    mix = jm.sample_resizemix(KEY, (4, 8, 8))
    other = np.asarray(jm.fit_partner(mix, x), np.float32)
    np.testing.assert_allclose(mixed, np.where(mix.mask[..., None], x.astype(np.float32), other))
    expected = jm.blend_labels(mix, y, num_classes=4)
    np.testing.assert_allclose(labels, expected, rtol=1e-6)
    smooth = jm.resizemix(KEY, x, y, smoothing=0.2, **options)[1]
    np.testing.assert_allclose(smooth, 0.8 * np.asarray(expected) + 0.05, rtol=1e-6)


RECIPES = {
    "cutmix": jm.cutmix,
    "mixup_or_cutmix": jm.mixup_or_cutmix,
    "resizemix": jm.resizemix,
    "mix_batch": partial(jm.mix_batch, sampler=jm.sample_fmix),
    "randommix": partial(jm.randommix, probs=(0.0, 1.0, 0.0, 0.0)),
    "recursivemix": lambda key, x, y, **options: jm.recursivemix(
        key, x, y, (x, jax.nn.one_hot(y, 3)), **options
    ),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_with_channels_first_are_refused(name, channels):
    images, ids = jnp.zeros((2, channels, 16, 20)), jnp.zeros(2, int)
    with pytest.raises(ValueError, match=r"channels came first.*jnp.moveaxis\(images, 1, -1\)"):
        RECIPES[name](KEY, images, ids, num_classes=3)
    mix = lambda images: RECIPES[name](KEY, images, ids, num_classes=3)[0]
    moved = jax.eval_shape(mix, jnp.moveaxis(images, 1, -1))
    assert moved.shape == (2, 16, 20, channels)


def test_recipes_take_a_second_batch():
    x, ids = jnp.zeros((4, 8, 8, 3)), jnp.zeros(4, int)
    other = jnp.ones((4, 8, 8, 3)), jnp.ones(4, int)
    options = {"num_classes": 2, "other": other}
    for name, call in (RECIPES | {"mixup": jm.mixup}).items():
        if name == "recursivemix":  # whose second batch is the last step's
            continue
        mixed, labels = call(KEY, x, ids, **options)
        np.testing.assert_allclose(mixed.mean((1, 2, 3)), labels[:, 1], atol=0.02, err_msg=name)
    stacked, labels = jm.stackmix(KEY, x, ids, **options)
    np.testing.assert_array_equal(stacked.mean((1, 2, 3)), labels[:, 1])
