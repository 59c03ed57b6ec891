"""AdAutoMix: the formula in NumPy."""

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


def weights_of(mixes, leaf):
    """What each row has in the end, from the layers' weights."""
    weights = [np.ones_like(np.asarray(getattr(mixes[0], leaf)))]
    for mix in mixes:
        m = np.asarray(getattr(mix, leaf))
        weights = [w * m for w in weights] + [1 - m]
    return np.stack(weights)


def masks_by_hand(block, rows):
    """Each row's number, and what its three mixes weigh by the block's three layers."""
    for i in range(6):
        scores = []
        for j in range(3):
            logits = sum(
                apply(block.query, rows[j][i]) @ apply(block.key, rows[k][i]).T
                for k in range(3)
                if k != j
            )
            scores.append(softmax(logits / np.sqrt(2)) @ apply(block.value, rows[j][i])[:, 0])
        yield i, softmax(np.stack(scores, axis=-1)).T.reshape(3, 3, 2)


def test_adautomix_is_the_formula():
    block, features = block_and_features()
    graph, state = nnx.split(block)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, None, None))
    def draw(state, key, features, alpha):
        block = nnx.merge(graph, state)
        return learned.sample_adautomix(key, block, features, (3, 2), alpha=alpha)

    keys = jax.random.split(seed("adautomix"), 300)
    many = draw(state, keys, features, 1.0)
    mixes = jax.tree.map(lambda a: a[0], many)
    for shift, mix in enumerate(mixes, 1):
        np.testing.assert_array_equal(jm.partner_index(mix.partner, 6), (np.arange(6) - shift) % 6)
    assert len(mixes) == 2
    lams = weights_of(mixes, "lam")
    np.testing.assert_allclose(lams.sum(axis=0), 1, rtol=1e-5)
    rows = [with_share(np.roll(features, j, 0), lams[j]) for j in range(3)]
    masks = weights_of(mixes, "mask")
    for i, expected in masks_by_hand(block, rows):
        if 0.03 < lams[0, i] < 0.97:
            np.testing.assert_allclose(masks[:, i], expected, rtol=2e-3, atol=1e-4)
    x = jnp.arange(6.0)[:, None, None, None] * jnp.ones((1, 3, 2, 1))
    expected = sum(masks[j][..., None] * np.roll(x, j, 0) for j in range(3))
    np.testing.assert_allclose(jm.blend(mixes, x), expected, rtol=1e-4, atol=1e-4)
    labels = jm.blend_labels(mixes, jnp.arange(6), num_classes=6)
    np.testing.assert_allclose(
        labels, sum(lams[j][:, None] * np.roll(np.eye(6), j, 0) for j in range(3)), atol=1e-5
    )
    drawn = np.asarray(many[0].lam * many[1].lam)
    within(drawn, 1 / 3)  # by symmetry of three numbers over their sum
    off = jax.tree.map(lambda a: a[0], draw(state, keys, features, 0.0))
    np.testing.assert_array_equal(jm.blend(off, x), x)
    assert draw._cache_size() == 1
    with pytest.raises(ValueError, match="got no pairings"):
        learned.sample_adautomix(KEY, block, features, (3, 2), pairings=())
