"""PatchUp: blocks of features."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import patchup
from tests.library.statistics import draws, seed, within


def TWO(key, shape):
    return jm.symmetric_beta(key, 2.0, shape)


@pytest.mark.parametrize("spatial, sides", [((7,), (3,)), ((5, 6), (2, 3)), ((3, 4, 5), (1, 4, 2))])
def test_blocks_grow_from_where_they_start(spatial, sides):
    places = tuple(n - b + 1 for n, b in zip(spatial, sides, strict=True))
    starts = np.random.default_rng(0).random((3, *places)) < 0.2
    expected = np.zeros((3, *spatial), bool)
    for row, *place in np.argwhere(starts):
        block = tuple(slice(p, p + b) for p, b in zip(place, sides, strict=True))
        expected[(row, *block)] = True
    np.testing.assert_array_equal(patchup._grown(jnp.asarray(starts), sides), expected)


def test_each_position_is_changed_as_often_as_gamma_says():
    (h, w), (a, b), gamma = (5, 6), (2, 3), 0.4
    mix = draws(partial(jm.sample_patchup, gamma=gamma, block=(a, b)), (h, w), 4000)
    changed = ~np.asarray(mix.mask)
    rate = gamma * h * w / (a * b * (h - a + 1) * (w - b + 1))
    for r in range(h):
        for c in range(w):
            rows = sum(s <= r < s + a for s in range(h - a + 1))
            columns = sum(s <= c < s + b for s in range(w - b + 1))
            within(changed[:, r, c], 1 - (1 - rate) ** (rows * columns))
    kept = (~changed).sum(axis=(1, 2)).astype(np.float32)
    np.testing.assert_array_equal(mix.lam, kept / np.float32(30))


def test_soft_blocks_are_mixed_and_hard_ones_swapped():
    soft = draws(partial(jm.sample_patchup, block=3, lam_law=TWO), (8, 8), 2000)
    mask = np.asarray(soft.mask)
    inside = mask < 1
    assert 0.2 < inside.mean() < 0.6
    lam = mask.min(axis=(1, 2))
    np.testing.assert_array_equal(mask, np.where(inside, lam[:, None, None], 1))
    within(lam[lam < 1], 0.5)
    within((lam[lam < 1] - 0.5) ** 2, 1 / 20)  # Beta(2, 2)
    np.testing.assert_allclose(soft.lam, mask.mean(axis=(1, 2), dtype=np.float64), rtol=1e-6)
    pairs = jm.sample_patchup(seed(2), (6, 8, 8), block=3, lam_law=TWO, per="pair")
    np.testing.assert_array_equal(pairs.mask, pairs.mask[::-1])  # of one λ, not of like blocks only
    np.testing.assert_array_equal(pairs.lam, pairs.lam[::-1])
    assert len(set(np.asarray(pairs.lam).tolist())) == 3
    channels = jm.sample_patchup(seed(1), (2, 8, 8, 4), block=(3, 3, 1))
    kinds = {np.asarray(channels.mask[0, ..., c]).tobytes() for c in range(4)}
    assert len(kinds) > 1  # each channel its own


def test_gamma_is_off_at_zero_and_may_be_traced():
    lam = jax.jit(lambda gamma: jm.sample_patchup(seed(1), (2, 9), gamma=gamma, block=2).lam)
    assert (lam(0.0) == 1).all() and (lam(-1.0) == 1).all() and (lam(100.0) == 0).all()
    assert 0 < lam(jnp.bfloat16(0.5))[0] < 1
    for block in (0, (2, 2)):
        with pytest.raises(ValueError, match="for 1 spatial axes"):
            jm.sample_patchup(seed(1), (2, 9), block=block)
    with pytest.raises(ValueError, match="gamma=-1"):
        jm.sample_patchup(seed(1), (2, 9), gamma=-1.0)
    small = jm.sample_patchup(
        seed(1), (200, 3), block=7, per="example"
    ).lam  # all of it, or nothing
    assert set(np.asarray(small).tolist()) == {0.0, 1.0}
    within(small, 0.5)
