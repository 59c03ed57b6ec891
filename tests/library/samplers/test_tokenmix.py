"""TokenMix: blocks of tokens."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import tokenmix
from tests.library.statistics import draws, seed, within


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
