"""AutoMix: the formula in NumPy, and the mask near the ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from jax_mixup import learned
from tests.library.learned.by_hand import apply, block_and_features, softmax, with_share
from tests.library.statistics import seed, within

KEY = jax.random.key(0)


def test_automix_is_the_formula():
    block, features = block_and_features()
    graph, state = nnx.split(block)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, None, None))
    def draw(state, key, features, alpha):
        block = nnx.merge(graph, state)
        return learned.sample_automix(key, block, features, (3, 2), alpha=alpha, pairing=jm.roll())

    keys = jax.random.split(seed("automix"), 400)
    many = draw(state, keys, features, 2.0)
    mix = jax.tree.map(lambda a: a[0], many)
    own, other = with_share(features, mix.lam), with_share(np.roll(features, 1, 0), 1 - mix.lam)
    for i in range(6):
        if min(mix.lam[i], 1 - mix.lam[i]) <= 0.08:
            continue
        attention = softmax(apply(block.query, own[i]) @ apply(block.key, other[i]).T / np.sqrt(2))
        given = 1 / (1 + np.exp(-attention @ apply(block.value, other[i])[:, 0]))
        np.testing.assert_allclose(mix.mask[i].reshape(-1), 1 - given, rtol=1e-3, atol=1e-5)
    assert mix.mask.min() >= 0 and mix.mask.max() <= 1 and mix.mask.std() > 0.05
    within(many.lam, 0.5)
    within((np.asarray(many.lam) - 0.5) ** 2, 1 / 20)  # of Beta(2, 2)
    off = draw(state, keys, features, 0.0)
    assert (off.mask == 1).all() and (off.lam == 1).all()
    assert draw._cache_size() == 1
    low = jax.eval_shape(lambda z: draw(state, keys, z, 2.0).mask, features.astype(jnp.bfloat16))
    assert low.dtype == jnp.float32


def test_automix_near_the_ends_is_mixup_and_the_mask_is_resized():
    block, features = block_and_features()
    law = lambda key, shape: jnp.linspace(0, 1, 6)

    @partial(jax.jit, static_argnums=0)
    def draw(spatial):
        return learned.sample_automix(KEY, block, features, spatial, lam_law=law, margin=0.1)

    mix, small = draw((6, 4)), draw((3, 2))
    np.testing.assert_allclose(mix.lam, np.linspace(0, 1, 6), rtol=1e-6)
    assert mix.mask.shape == (6, 6, 4)
    assert (mix.mask[0] == 0).all() and (mix.mask[5] == 1).all()
    score = np.log(np.asarray(small.mask)[1:5]) - np.log1p(-np.asarray(small.mask)[1:5])
    score = np.pad(score, ((0, 0), (1, 1), (1, 1)), mode="edge")
    # Twice as many positions: each is ¾ of the near one and ¼ of the next, in both axes.
    for axis, size in ((1, 3), (2, 2)):
        before, at, after = (score.take(range(k, k + size), axis=axis) for k in range(3))
        both = np.stack([0.75 * at + 0.25 * before, 0.75 * at + 0.25 * after], axis + 1)
        score = both.reshape([*both.shape[:axis], 2 * size, *both.shape[axis + 2 :]])
    np.testing.assert_allclose(mix.mask[1:5], 1 / (1 + np.exp(-score)), rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="from before any pooling"):
        learned.sample_automix(KEY, block, features[:, 0, 0], (8, 8))
    with pytest.raises(ValueError, match="as many spatial axes"):
        learned.sample_automix(KEY, block, features, (8,))
