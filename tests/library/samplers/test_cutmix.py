"""CutMix's boxes: their geometry by hand, their distributions by many draws."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy import integrate, stats

import jax_mixup as jm
from tests.library.by_hand import given_law
from tests.library.statistics import draws, seed, within


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


def pasted(sampler, spatial, n=200_000, **options):
    """1 - λ for n boxes; the masks are never made."""
    lam = jax.jit(lambda key: sampler(key, (n, *spatial), per="example", **options).lam)
    return 1 - np.asarray(lam(seed(spatial)), np.float64)


def clipped_mean(d):
    """E (s - s²/4)^d of a box of side s = (1-λ)^(1/d), λ uniform, centred uniformly, clipped."""
    return integrate.quad(lambda v: (v ** (1 / d) - v ** (2 / d) / 4) ** d, 0, 1)[0]


def test_the_clipped_mean_in_closed_form():
    assert clipped_mean(2) == pytest.approx(77 / 240)
    assert clipped_mean(1) == pytest.approx(5 / 12)


# Besides 5 standard errors the bounds allow for whole positions: 1 part in the size squared.
@pytest.mark.parametrize("spatial", [(4001,), (224, 224), (225, 161), (101, 97, 103)], ids=str)
def test_mean_pasted_share(spatial):
    share = pasted(jm.sample_cutmix, spatial)
    error = 5 * share.std() / np.sqrt(share.size) + 1 / min(spatial) ** 2
    assert abs(share.mean() - clipped_mean(len(spatial))) < error
    share = pasted(partial(jm.sample_cutmix, box="inside"), spatial)
    assert abs(share.mean() - 0.5) < 5 * share.std() / np.sqrt(share.size) + 1 / min(spatial) ** 2


@pytest.mark.parametrize("box", ["clipped", "inside"])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("lam", [0.9, 0.6, 0.3])
def test_boxes_reach_both_borders_alike(box, size, lam):
    n = 40_000
    mix = jax.jit(
        lambda key: jm.sample_cutmix(
            key, (n, size), lam_law=jm.constant(lam), box=box, per="example"
        )
    )(seed(box, size, lam))
    inside = ~np.asarray(mix.mask)
    first, last = inside[:, 0].mean(), inside[:, -1].mean()
    assert min(first, last) > 0
    assert abs(first - last) < 5 * np.sqrt(2 * 0.25 / n)
    hits = inside.mean(axis=0)
    np.testing.assert_allclose(hits, hits[::-1], atol=5 * np.sqrt(2 * 0.25 / n))
    side = round(size * (1 - lam))
    if box == "inside":  # every place equally likely
        starts = np.bincount(inside.argmax(axis=1), minlength=size - side + 1)
        assert starts.size == size - side + 1
        assert stats.chisquare(starts).pvalue > 1e-4
        assert (inside.sum(axis=1) == side).all()
    else:  # every position equally likely to be the centre
        assert inside.sum(axis=1).max() == side
        assert abs(inside.mean() * size - _clipped_side(size, side)) < 5 * size / np.sqrt(n)


def _clipped_side(size, side):
    centres = (np.arange(200_000) + 0.5) / 200_000 * size
    starts = np.floor(centres - side / 2 + 0.5)
    return (np.clip(starts + side, 0, size) - np.clip(starts, 0, size)).mean()
