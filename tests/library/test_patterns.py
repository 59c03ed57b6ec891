"""Boxes, cells, holes, fades and bands: their geometry by hand, their laws by many draws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup import _geometry
from tests.library.test_distributions import seed, within

HALF = jm.constant(0.5)


def draws(sampler, shape, n=400):
    return jax.jit(lambda key: sampler(key, (n, *shape), per="example"))(seed(shape))


def test_a_box_spans_the_axes_that_it_does_not_cut():
    shape = (64, 4, 5, 6)
    cuts = {(2, 3): (1,), (1,): (2, 3), (3,): (1, 2)}

    @jax.jit
    def found():
        cut = {a: jm.sample_cutmix(seed(a), shape, axes=a, per="example") for a in cuts}
        sizes = {a: (64, *(shape[axis] for axis in a)) for a in cuts}
        alone = {a: jm.sample_cutmix(seed(a), sizes[a], per="example") for a in cuts}
        whole = jm.sample_cutmix(seed(1), shape), jm.sample_cutmix(seed(1), shape, axes=(3, 1, 2))
        return cut, alone, whole

    cut, alone, whole = found()
    for axes, others in cuts.items():
        mask = np.asarray(cut[axes].mask)
        assert (mask == mask.min(axis=others, keepdims=True)).all()
        np.testing.assert_array_equal(
            mask.max(axis=others), alone[axes].mask
        )  # of those axes alone
        np.testing.assert_array_equal(cut[axes].lam, alone[axes].lam)
    np.testing.assert_array_equal(whole[0].mask, whole[1].mask)
    for axes in ((0,), (4,), (1, 1), ()):
        with pytest.raises(ValueError, match="different axes of `shape`"):
            jm.sample_cutmix(seed(1), shape, axes=axes)


def test_cells_are_kept_with_probability_lambda():
    mix = draws(partial(jm.sample_gridmix, grid=(2, 3), lam_law=jm.constant(0.3)), (5, 7), 4000)
    mask = np.asarray(mix.mask)
    rows, columns = np.arange(5) * 2 // 5, np.arange(7) * 3 // 7
    cells = mask[:, [0, 3]][:, :, [0, 3, 5]]
    np.testing.assert_array_equal(mask, cells[:, rows][:, :, columns])
    for cell in cells.reshape(4000, -1).T:
        within(cell, 0.3)
    together = cells[:, 0, 0] & cells[:, 0, 1]
    within(together, 0.09)  # independent
    for grid in ((6, 3), (0, 1), (2,)):
        with pytest.raises(ValueError, match="number of cells"):
            jm.sample_gridmix(seed(1), (4, 5, 7), grid=grid)


def test_an_exact_number_of_cells_any_of_them():
    sampler = partial(jm.sample_gridmix, grid=(2, 3), exact=True, lam_law=jm.constant(0.3))
    mix = draws(sampler, (4, 6), 4000)
    cells = np.asarray(mix.mask)[:, ::2, ::2]
    assert (cells.sum(axis=(1, 2)) == 2).all() and (mix.lam == np.float32(1 / 3)).all()
    for cell in cells.reshape(4000, -1).T:
        within(cell, 1 / 3)
    within(cells[:, 0, 0] & cells[:, 1, 2], 1 / 15)  # one of 15 pairs


def test_the_lines_between_cells_may_move():
    moved = np.array([[-0.5, 0.2, 0.5], [0.1, 0.0, -0.3]], np.float32)  # one line, then two
    cells = np.random.default_rng(0).random((2, 2, 3)) < 0.5
    found = np.asarray(_geometry.enlarge(jnp.asarray(cells), (5, 7), jnp.asarray(moved)))
    for row in range(2):
        for r in range(5):
            for c in range(7):
                place = (
                    int(r + 0.5 >= (1 + moved[row, 0]) * 5 / 2),
                    sum(c + 0.5 >= (k + moved[row, k]) * 7 / 3 for k in (1, 2)),
                )
                assert found[row, r, c] == cells[row][place]
    mix = draws(partial(jm.sample_gridmix, grid=(2, 2), jitter=0.5, lam_law=HALF), (8, 4), 4000)
    mask = np.asarray(mix.mask)
    within(mask[:, 0, 0], 0.5)
    change = mask[:, :-1, 0] != mask[:, 1:, 0]
    line = change.argmax(axis=1)[change.any(axis=1)] + 1
    for place, share in {2: 1 / 8, 3: 1 / 4, 4: 1 / 4, 5: 1 / 4, 6: 1 / 8}.items():
        within(line == place, share)  # the line is uniform from 2 to 6
    with pytest.raises(ValueError, match="jitter=0"):
        jm.sample_gridmix(seed(1), (2, 4), jitter=0.6)


def given_law(*values):
    """A law that gives these values, whatever the key."""
    return lambda key, shape: jnp.asarray(values, jnp.float32).reshape(shape)


@pytest.mark.parametrize("spatial", [(8,), (4, 6), (4, 3, 5)])
def test_a_box_in_the_corner(spatial):
    rank, law = len(spatial), given_law(0.7)
    sampler = partial(jm.sample_cutmix, seed(6), (2, *spatial), box="corner", lam_law=law)
    cuts = (None, (1,), (rank,))
    found = jax.jit(lambda: [sampler(axes=cut) for cut in cuts])()
    for axes, mix in zip(cuts, found, strict=True):
        mask, cut = np.asarray(mix.mask), axes or range(1, rank + 1)
        sides = {a: round(0.3 ** (1 / len(cut)) * spatial[a - 1]) for a in cut}
        for place in np.ndindex(*spatial):
            inside = all(place[a - 1] >= spatial[a - 1] - side for a, side in sides.items())
            assert mask[0][place] == (not inside)
        assert mix.lam[0] == np.float32(mask.sum()) / np.float32(mask.size)


def test_a_corner_box_gives_half_on_average():
    mix = draws(partial(jm.sample_cutmix, box="corner", axes=(2,)), (2, 60), 4000)
    within(mix.lam, 0.5)
    within((np.asarray(mix.lam, np.float64) - 0.5) ** 2, 1 / 12 + 1 / 12 / 60**2)
    stripes = np.diff(np.asarray(mix.mask, int), axis=2)
    assert stripes.max() == 0 and (stripes != 0).sum(axis=2).max() == 1  # own first, then partner


@pytest.mark.parametrize("box", _geometry.BOXES)
def test_hmix_is_a_box_of_some_and_a_mixup_of_the_rest(box):
    sampler = partial(jm.sample_hmix, box=box, ratio=0.4, lam_law=jm.constant(0.6))
    mix = draws(sampler, (20, 10), 300)
    np.testing.assert_allclose(mix.lam, 0.6, rtol=1e-6)  # however much of the box is cut off
    side = np.sqrt(0.4 * 0.4)
    for mask in np.asarray(mix.mask):
        rows, columns = (mask == 0).any(axis=1), (mask == 0).any(axis=0)
        np.testing.assert_array_equal(mask == 0, rows[:, None] & columns[None, :])
        assert rows.sum() <= round(side * 20) and columns.sum() <= round(side * 10)
        assert box == "clipped" or rows.sum() * columns.sum() == round(side * 20) * round(side * 10)
        np.testing.assert_allclose(mask[mask > 0], 0.6 * 200 / (mask > 0).sum(), rtol=1e-6)


def test_hmix_lies_between_mixup_and_cutmix():
    shape, law = (5, 8, 8), jm.constant(0.75)

    @jax.jit
    def found():
        options = {"per": "example", "lam_law": law, "box": "inside"}
        cut = jm.sample_cutmix(seed(8), shape, **options)
        ends = [jm.sample_hmix(seed(8), shape, ratio=r, **options) for r in (1.0, 0.0)]
        line = partial(jm.sample_hmix, seed(8), (2, 3), ratio=1.0, box="corner")
        return cut, *ends, line(lam_law=jm.constant(0.0)), line(lam_law=jm.constant(0.4))

    cut, box, mixup, whole, rounded = found()
    np.testing.assert_array_equal(box.mask, cut.mask)
    np.testing.assert_array_equal(box.lam, cut.lam)
    assert (mixup.mask == 0.75).all()
    assert (whole.mask == 0).all() and (whole.lam == 0).all()
    np.testing.assert_array_equal(rounded.mask, [[1, 0, 0]])  # 2 of 1.8 positions: no mixup is left
    assert rounded.lam[0] == np.float32(1 / 3)
    with pytest.raises(ValueError, match="ratio=2"):
        jm.sample_hmix(seed(8), shape, ratio=2.0)


def first_of(holes):
    """Where holes of a cyclic line start."""
    return holes & ~np.roll(holes, 1, axis=1)


def test_a_lattice_of_holes():
    sampler = partial(jm.sample_gridmixup, holes=(3, 3), lam_law=jm.constant(0.75))
    mix = draws(sampler, (24, 12), 400)
    hole = np.logical_not(mix.mask)
    rows, columns = hole.any(axis=2), hole.any(axis=1)
    np.testing.assert_array_equal(hole, rows[:, :, None] & columns[:, None, :])
    for line, cell in ((rows, 8), (columns, 4)):
        assert (line == np.roll(line, cell, axis=1)).all()  # every cell is the same
        assert (line[:, :cell].sum(axis=1) == cell // 2).all()  # √(1 - 0.75) of it
        starts = first_of(line)
        assert (starts.sum(axis=1) == 3).all()
        for offset in range(cell):
            within(starts[:, offset], 1 / cell)
    within(first_of(rows)[:, 0] & first_of(columns)[:, 0], 1 / 32)  # each axis moves on its own
    assert (mix.lam == 0.75).all()


def test_holes_are_as_many_and_as_large_as_the_law_says():
    mix = draws(partial(jm.sample_gridmixup, lam_law=jm.constant(0.3)), (60,), 3000)
    hole = np.logical_not(mix.mask)
    number = first_of(hole).sum(axis=1)
    for n in range(2, 7):
        within(number == n, 1 / 5)
    for place in hole.T:
        within(place, 0.7)
    within(mix.lam, 0.3)
    for holes in ((0, 2), (3, 2)):
        with pytest.raises(ValueError, match="1 <= low <= high"):
            jm.sample_gridmixup(seed(1), (2, 8), holes=holes)


def test_concatenations_averaged_or_checkered():
    @jax.jit
    def found():
        square = partial(jm.sample_vhmixup, seed(1), (2, 4, 6), lam_law=given_law(0.75, 0.5, 0.2))
        line = jm.sample_vhmixup(seed(1), (2, 4), lam_law=given_law(0.75))
        law = given_law(0.5, 0.5, 0.5, 0.2, 0.6)
        cube = jm.sample_vhmixup(seed(1), (2, 2, 2, 2), lam_law=law)
        return square(), square(checkered=True), line, cube

    square, checks, line, cube = found()
    averaged, checkered, cuboid = (np.asarray(mix.mask)[0] for mix in (square, checks, cube))
    for r in range(4):
        for c in range(6):
            above, left = r < 3, c < 3
            np.testing.assert_allclose(averaged[r, c], 0.2 * above + 0.8 * left, rtol=1e-6)
            assert checkered[r, c] == (above == left)
    np.testing.assert_allclose(square.lam[0], 0.2 * 0.75 + 0.8 * 0.5, rtol=1e-6)
    assert checks.lam[0] == 0.5 and checkered.dtype == bool
    np.testing.assert_array_equal(line.mask, [[1, 1, 1, 0]])
    for place in np.ndindex(2, 2, 2):
        first, second, third = (i == 0 for i in place)
        expected = 0.6 * (0.2 * first + 0.8 * second) + 0.4 * third
        np.testing.assert_allclose(cuboid[place], expected, atol=1e-6)


def test_the_label_of_concatenations():
    n = 4000
    lam = np.asarray(draws(jm.sample_vhmixup, (64, 64), n).lam, np.float64)
    within(lam, 0.5)
    within((lam - 0.5) ** 2, 1 / 18)  # w a + (1-w) b, all three uniform
    lam = np.asarray(draws(partial(jm.sample_vhmixup, checkered=True), (64, 64), n).lam, np.float64)
    within(lam, 0.5)
    within((lam - 0.5) ** 2, 1 / 36)  # a b + (1-a)(1-b)


def test_a_fade_is_linear_and_its_mean_is_lambda():
    mix = draws(jm.sample_fademix, (9, 4, 4), 4000)
    mask, lam = np.asarray(mix.mask, np.float64), np.asarray(mix.lam)
    assert mask.shape == (4000, 9)
    np.testing.assert_allclose(np.diff(mask, n=2), 0, atol=1e-6)
    np.testing.assert_allclose(mask.mean(axis=1), lam, atol=1e-6)
    g = np.minimum(lam, 1 - lam)
    slope = (mask[:, -1] - lam)[g > 1e-3] / g[g > 1e-3]
    assert np.abs(slope).max() <= 1 + 1e-3
    within(slope, 0.0)
    within(slope**2, 1 / 3)  # γ / g ~ U(-1, 1)
    other = jm.sample_fademix(seed(1), (2, 5, 6), axis=2, lam_law=HALF)
    assert other.mask.shape == (1, 5, 6) and (other.mask == other.mask[:, :1]).all()
    one = jm.sample_fademix(seed(1), (2, 1, 8), lam_law=HALF)
    np.testing.assert_array_equal(one.mask, [[0.5]])
    with pytest.raises(ValueError, match="from 1 to 2"):
        jm.sample_fademix(seed(1), (2, 5, 6), axis=0)


@pytest.mark.parametrize("bands", [1, 3])
def test_bands_go_through_from_edge_to_edge(bands):
    sampler = partial(jm.sample_specmix, bands=bands, lam_law=jm.constant(0.25))
    mask = np.asarray(draws(sampler, (40, 60)).mask)
    times, frequencies = np.any(mask, axis=2), np.any(mask, axis=1)
    np.testing.assert_array_equal(mask, times[:, :, None] & frequencies[:, None, :])
    for kept, size in ((times, 40), (frequencies, 60)):
        width = round(size * 0.5 / bands)
        missing = size - kept.sum(axis=1)
        assert missing.max() == bands * width and missing.min() >= width
        starts = (np.diff(np.pad(kept, ((0, 0), (1, 0)), constant_values=True)) & ~kept).sum(axis=1)
        assert starts.max() == bands and starts.min() >= 1
    with pytest.raises(ValueError, match="bands=0"):
        jm.sample_specmix(seed(1), (2, 4, 4), bands=0)


def test_a_folded_beta_is_the_larger_side():
    lam = np.asarray(jm.folded_beta(0.75)(seed(4), (100_000,)), np.float64)
    both = np.asarray(jm.symmetric_beta(seed(4), 0.75, (100_000,)), np.float64)
    np.testing.assert_allclose(lam, np.maximum(both, 1 - both), atol=1e-7)
    assert (jm.folded_beta(0.0)(seed(4), (3,)) == 1).all()
    with pytest.raises(ValueError, match="folded_beta got alpha"):
        jm.folded_beta(-1.0)
