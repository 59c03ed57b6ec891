"""Blocks of tokens and of features: their geometry by hand, their laws by many draws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import patchup, tokenmix
from tests.library.test_distributions import seed, within
from tests.library.test_patterns import draws


def TWO(key, shape):
    return jm.symmetric_beta(key, 2.0, shape)


def laid(wanted, u, tokens, least):
    """One row's blocks, token by token: which tokens are kept."""
    kept, rank = np.ones(tokens, bool), len(tokens)
    for numbers in u:
        rest = wanted - (~kept).sum()
        area = min(least, rest) + numbers[0] * (rest - min(least, rest))
        logs = [(v - 0.5) * np.log(1 / 0.3) for v in numbers[1:rank]]
        logs.append(-sum(logs))
        block = []
        for log, where, n in zip(logs, numbers[rank:], tokens, strict=True):
            side = min(max(round(area ** (1 / rank) * np.exp(log)), 1), n)
            start = int(where * (n - side + 1))
            block.append(slice(start, start + side))
        if kept[tuple(block)].sum() <= rest:
            kept[tuple(block)] = False
    return kept


@pytest.mark.parametrize("tokens", [(30,), (14, 14), (3, 5, 4)])
def test_blocks_are_laid_where_they_fit(tokens):
    rank, total = len(tokens), int(np.prod(tokens))
    wanted = np.array([0, total // 10, total // 2, total - 2, total], np.float32)
    u = np.random.default_rng(rank).uniform(size=(5, 20, 2 * rank)).astype(np.float32)
    found = tokenmix._blocks(jnp.asarray(wanted), jnp.asarray(u), tokens, 14)
    for number, numbers, mask in zip(wanted, u, np.asarray(found), strict=True):
        np.testing.assert_array_equal(mask, laid(number, numbers, tokens, 14))
        assert (~mask).sum() <= number
    assert found[0].all() and not found[-1].all()


def test_a_block_has_any_place_and_a_side_ratio_uniform_in_its_log():
    n, tokens = 4000, (64, 64)
    u = jax.random.uniform(seed("block"), (n, 1, 4)).at[:, :, 0].set(0.0)  # of the least area
    outside = np.asarray(tokenmix._blocks(jnp.full(n, 400.0), u, tokens, 256))
    rows, columns = (~outside).any(axis=2), (~outside).any(axis=1)
    height, width = rows.sum(axis=1), columns.sum(axis=1)
    np.testing.assert_array_equal((~outside).sum(axis=(1, 2)), height * width)
    assert np.abs(height * width - 256).max() < 24  # of rounded sides
    ratio = np.log(height / width)
    within(ratio, 0.0)
    within(ratio**2, np.log(1 / 0.3) ** 2 / 3)
    for side, line in ((height, rows), (width, columns)):
        place = line.argmax(axis=1) / (64 - side)
        within(place, 0.5)
        assert place.min() == 0 and place.max() == 1


def test_tokens_go_to_the_partner_by_the_block():
    half = partial(jm.sample_tokenmix, grid=(14, 14), lam_law=jm.constant(0.5))
    mix = draws(half, (28, 42), 100)
    mask = np.asarray(mix.mask)
    tokens = mask[:, ::2, ::3]
    np.testing.assert_array_equal(mask, tokens.repeat(2, axis=1).repeat(3, axis=2))
    assert (mix.lam == 0.5).all() and (tokens.sum(axis=(1, 2)) == 98).all()
    edges = (np.diff(tokens, axis=1).sum() + np.diff(tokens, axis=2).sum()) / (2 * 13 * 14 * 100)
    assert edges < 0.3  # single tokens at random: ½
    few = draws(partial(half, least=1, lam_law=jm.constant(0.1)), (28, 42), 100)
    given = 196 * (1 - np.asarray(few.lam))
    assert given.max() < 176.5 and given.mean() > 175


def test_bad_tokens():
    with pytest.raises(ValueError, match="number of cells"):
        jm.sample_tokenmix(seed(1), (2, 4), grid=(5,))
    with pytest.raises(ValueError, match="least=0"):
        jm.sample_tokenmix(seed(1), (2, 4), least=0)


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
