"""Puzzle Mix against exact minima: masks by dynamic programming, transport by assignment."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

import jax_mixup as jm
from tests.library.by_hand import total
from tests.library.statistics import seed, within

ROWS, GRID = 40, (6, 4)
LAM = np.random.default_rng(0).random(ROWS).astype(np.float32)


def given(key, shape):
    return jnp.asarray(LAM)


def maps(rng, grid, power=4):
    """Smooth maps with a few salient places, as a trained model's are."""
    fine = rng.random((ROWS, *(4 * n for n in grid))) ** 4
    fine = ndimage.gaussian_filter(fine, (0, 3, 3)) ** power
    return fine.reshape(ROWS, grid[0], 4, grid[1], 4).mean((2, 4)).astype(np.float32)


def energies(s, other, lam, labels, colours=None, beta=1.2, gamma=0.5, eta=0.2):
    """The paper's energy for one pair of rows: of each cell, and of neighbours along each axis."""
    rows, columns = s.shape
    m = np.arange(labels) / (labels - 1)
    law = np.array([math.comb(labels - 1, k) for k in range(labels)], float)
    law *= lam ** np.arange(labels) * (1 - lam) ** np.arange(labels)[::-1]
    cell = m * other[..., None] + (1 - m) * s[..., None] - eta / s.size * np.log(law)
    down = np.broadcast_to((m[:, None] - m[None]) ** 2, (rows, columns, labels, labels)).copy()
    right = down.copy()
    if colours is not None:  # two labels: what is seen is one row's colour or the other's
        for r, c, a, b in itertools.product(range(rows), range(columns), (0, 1), (0, 1)):
            if r + 1 < rows:
                jump = np.abs(colours[a][r, c] - colours[b][r + 1, c]).mean()
                down[r, c, a, b] += gamma * jump
            if c + 1 < columns:
                jump = np.abs(colours[a][r, c] - colours[b][r, c + 1]).mean()
                right[r, c, a, b] += gamma * jump
    return cell, beta / 16 / columns * down, beta / 16 / rows * right


def energy(level, cell, down, right):
    rows, columns = level.shape
    value = 0.0
    for r, c in np.ndindex(rows, columns):
        value += cell[r, c, level[r, c]]
        if r + 1 < rows:
            value += down[r, c, level[r, c], level[r + 1, c]]
        if c + 1 < columns:
            value += right[r, c, level[r, c], level[r, c + 1]]
    return value


def least(cell, down, right):
    """The exact minimum, row by row over all states of a row."""
    rows, columns, labels = cell.shape
    states = np.array(list(itertools.product(range(labels), repeat=columns)))
    place = np.arange(columns)
    best = np.zeros(len(states))
    for r in range(rows):
        inside = cell[r, place, states].sum(1)
        inside += right[r, place[:-1], states[:, :-1], states[:, 1:]].sum(1)
        if r:
            between = sum(down[r - 1, c][states[:, c][:, None], states[:, c][None]] for c in place)
            best = (best[:, None] + between).min(0)
        best = best + inside
    return best.min()


@pytest.mark.parametrize(
    "labels, colour, weights",
    [
        (3, False, {}),
        (2, True, {"beta": 0.8, "gamma": 0.9}),
        (4, False, {"beta": 2.0, "eta": 0.4}),
    ],
)
def test_the_mask_is_the_exact_minimum(labels, colour, weights, rng):
    """The gap is 0 in all 120 cases, to float32's rounding; the bound is 1e-6 of the energy."""
    s = maps(rng, GRID)
    x = rng.random((ROWS, *GRID, 3)).astype(np.float32) ** 3 if colour else None
    draw = partial(jm.sample_puzzlemix, grid=GRID, labels=labels, lam_law=given, **weights)
    mix = jax.jit(lambda key, s, x: draw(key, s, x=x))(seed(1), s, x)
    assert mix.mask.dtype == (jnp.bool_ if labels == 2 else jnp.float32)
    level = np.rint(np.asarray(mix.mask, np.float32) * (labels - 1)).astype(int)
    np.testing.assert_allclose(level / (labels - 1), np.asarray(mix.mask, np.float32), atol=1e-6)
    np.testing.assert_allclose(mix.lam, level.mean((1, 2)) / (labels - 1), rtol=1e-5, atol=1e-7)
    share, partner = total(s), total(s)[::-1]
    mixed = 0
    for i in range(ROWS):
        colours = (x[::-1][i], x[i]) if colour else None  # m = 0 is the partner's
        parts = energies(share[i], partner[i], LAM[i].astype(float), labels, colours, **weights)
        found, exact = energy(level[i], *parts), least(*parts)
        assert found <= exact + 1e-6 * abs(exact), i
        mixed += len(set(level[i].ravel())) > 1
    assert mixed > ROWS // 4  # and these are cases where the answer is not one level everywhere


def test_the_default_steps_are_enough(rng):
    s = maps(rng, (8, 8))
    draw = partial(jm.sample_puzzlemix, seed(6), lam_law=given)
    found, settled = jax.jit(lambda s: (draw(s), draw(s, iterations=2000)))(s)
    np.testing.assert_array_equal(found.mask, settled.mask)


def test_a_border_falls_where_colours_go_on():
    """Saliency leaves three places for it: next to cells 2, 3 and 4."""
    s = np.ones((2, 8), np.float32)
    s[0, :3] += 3
    s[1, 5:] += 3
    half = jm.constant(0.5)
    mix = partial(jm.sample_puzzlemix, seed(2), s, grid=(8,), labels=2, lam_law=half)
    draw = jax.jit(lambda x: mix(x=x).mask[0])
    for border in (2, 3, 4):
        own = np.where(np.arange(8) <= border, 0.0, 0.8)
        x = np.stack([own, 0.8 - own])[..., None]
        np.testing.assert_array_equal(draw(x), np.arange(8) <= border)


def test_the_law_of_the_masks():
    s = np.ones((3000, 4, 4), np.float32)
    draw = jax.jit(lambda s, alpha: jm.sample_puzzlemix(seed(3), s, alpha=alpha, grid=(4, 4)))
    peaks = np.eye(16, dtype=np.float32)[np.arange(3000) % 16].reshape(s.shape)
    lam, off = np.asarray(draw(s, 1.0).lam), draw(peaks, 0.0)
    # Nothing is more salient: all cells have the likeliest of 0, 1, 2 successes of two.
    assert set(np.unique(lam)) == {0.0, 0.5, 1.0}
    for level in (0.0, 0.5, 1.0):
        within(lam == level, 1 / 3)
    assert (np.asarray(off.lam) == 1).all() and (np.asarray(off.mask) == 1).all()
    np.testing.assert_array_equal(draw(np.zeros_like(s), 1.0).lam, lam)


def test_puzzles_of_any_rank_and_uneven_cells(rng):
    for shape, grid in (((3, 9), (4,)), ((2, 4, 3, 5), (2, 3, 2)), ((1, 5, 5), (5, 5))):
        s = rng.random(shape).astype(jnp.bfloat16)
        draw = jax.jit(partial(jm.sample_puzzlemix, grid=grid, labels=2, iterations=20))
        mix = draw(seed(4), s, x=np.ones((*shape, 2), np.float32))
        assert mix.mask.shape == shape
        kept = np.asarray(mix.mask).reshape(shape[0], -1)
        np.testing.assert_allclose(mix.lam, kept.mean(1), rtol=1e-6)


def test_bad_puzzles():
    s, x = np.ones((2, 8, 8), np.float32), np.ones((2, 8, 8, 3), np.uint8)

    def fails(match, function, *args, error=ValueError, **options):
        with pytest.raises(error, match=match):
            jax.eval_shape(partial(function, **options), *args)

    puzzle = partial(fails, function=partial(jm.sample_puzzlemix, seed(1), s))
    puzzle("labels=1", labels=1)
    puzzle("number of cells", grid=(16, 16))
    puzzle(r"floats in \[0, 1\]", error=TypeError, x=x)
    puzzle("a channel axis", x=s)
    fails("divides each spatial axis", jm.move_blocks, s, np.zeros((2, 9), int), grid=(3, 3))
    fails("source of shape", jm.move_blocks, s, np.zeros((2, 9), int), grid=(2, 2))


def test_blocks_go_where_their_salient_ones_are_seen(rng):
    """Of what the best permutations gain the auction keeps most: 98.5 % in 400 other rows."""
    grid, blocks = (8, 8), 64
    s = maps(rng, grid, power=10)
    mask = jax.jit(lambda key: jax.random.bernoulli(key, 0.3, (ROWS, *grid)))(seed(5))
    mix = jm.Mix(jm.reverse(), mask, jnp.full(ROWS, 0.5))
    sources = jax.jit(partial(jm.puzzle_transport, grid=grid))(mix, s)
    place = np.array(list(np.ndindex(grid))) / 7
    distance = 0.8 * ((place[:, None] - place[None]) ** 2).sum(-1)
    share = total(s.astype(np.float64)).reshape(ROWS, -1)
    gained = possible = 0.0
    for source, shown, salient in zip(sources, (mask, ~mask), (share, share[::-1]), strict=True):
        for i in range(ROWS):
            assert sorted(source[i].tolist()) == list(range(blocks))
            cost = distance - salient[i][:, None] * np.asarray(shown[i]).ravel()[None]
            stay = np.trace(cost)
            gain = stay - cost[np.asarray(source[i]), np.arange(blocks)].sum()
            assert gain > -1e-6
            gained += gain
            possible += stay - cost[linear_sum_assignment(cost)].sum()
    assert possible > 1.0 and gained > 0.95 * possible
    hasty = jax.jit(partial(jm.puzzle_transport, grid=grid, iterations=1))(mix, s)
    assert (np.sort(hasty, axis=2) == np.arange(blocks)).all()  # the unsettled stay


def test_blocks_are_moved_whole(rng):
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    source = np.stack([rng.permutation(6) for _ in range(2)])
    moved = jax.jit(partial(jm.move_blocks, grid=(2, 3)))({"x": x}, source)["x"]
    for i, place in itertools.product(range(2), range(6)):
        r, c = divmod(place, 3)
        a, b = divmod(int(source[i, place]), 3)
        expected = x[i, 2 * a : 2 * a + 2, 2 * b : 2 * b + 2]
        np.testing.assert_array_equal(moved[i, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2], expected)
    cube = rng.random((1, 2, 4, 2)).astype(np.float32)
    swapped = jm.move_blocks(cube, np.array([[1, 0, 3, 2]]), grid=(2, 2, 1))
    np.testing.assert_array_equal(swapped, np.roll(cube, 2, axis=2))
