"""Saliency, and the masks that follow it: by hand, by many draws, and by the papers' formulas."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import jax_mixup as jm
from tests.library.test_distributions import seed, within

MAPS = np.random.default_rng(0).random((6, 6, 9)).astype(np.float32)  # [B, H, W]
LAMBDAS = np.array([0.0, 0.3, 0.5, 0.77, 0.95, 1.0], np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def given(key, shape):
    """A law that draws nothing, so that a loop can know what was drawn."""
    return jnp.asarray(LAMBDAS)


def total(s):
    return s / s.sum(axis=tuple(range(1, s.ndim)), keepdims=True)


def test_gradient_saliency_is_the_norm_over_channels(rng):
    x = rng.normal(size=(3, 4, 5, 2)).astype(np.float32)
    slope = rng.normal(size=x.shape).astype(np.float32)
    rows = lambda x: (slope * jnp.sin(x)).sum((1, 2, 3))
    expected = np.sqrt(((slope * np.cos(x)) ** 2).sum(-1))
    np.testing.assert_allclose(jm.gradient_saliency(rows, x), expected, rtol=1e-5)
    mean = lambda x: rows(x.astype(jnp.float32)).mean()
    half = jm.gradient_saliency(mean, jnp.asarray(x, jnp.bfloat16))
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, expected / 3, atol=0.05)
    through = jax.jit(jax.grad(lambda x: jm.gradient_saliency(rows, x).sum()))
    assert (through(jnp.asarray(x)) == 0).all()
    with pytest.raises(TypeError, match="cast and normalise"):
        jm.gradient_saliency(rows, np.ones((2, 3, 1), np.uint8))
    with pytest.raises(ValueError, match="add a channel axis"):
        jm.gradient_saliency(rows, x[:, 0, 0])


def test_a_blur_is_gaussian_and_keeps_constants():
    loss = lambda x: (MAPS[..., None] * x).sum()
    found = jax.jit(lambda x: jm.gradient_saliency(loss, x, blur=1.5))(jnp.ones((6, 6, 9, 1)))
    for s, expected in zip(found, MAPS, strict=True):
        weight = lambda a: ndimage.gaussian_filter(a, 1.5, mode="constant", truncate=9)
        expected = weight(expected.astype(np.float64)) / weight(np.ones((6, 9)))
        # scipy brings its kernel to sum 1 over all whole numbers, which divides out.
        np.testing.assert_allclose(s, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="blur=-1"):
        jm.gradient_saliency(loss, jnp.ones((6, 6, 9, 1)), blur=-1.0)


@pytest.mark.parametrize("spatial", [(16,), (9, 12), (4, 6, 5)], ids=str)
def test_spectral_residual_is_the_papers(spatial, rng):
    x = rng.normal(size=(2, *spatial, 3)).astype(np.float32)
    found = jax.jit(partial(jm.spectral_residual, blur=0.0))(x)
    for s, image in zip(found, x.mean(-1), strict=True):
        spectrum = np.fft.fftn(image)
        log = np.log(np.abs(spectrum))
        residual = log - ndimage.uniform_filter(log, 3, mode="wrap")
        expected = np.abs(np.fft.ifftn(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
        np.testing.assert_allclose(s, expected, rtol=2e-3, atol=1e-5 * expected.max())


def test_spectral_residual_sees_what_stands_out():
    image = np.tile(np.array([0, 200], np.uint8), (2, 96, 24))[..., None]
    image[0, 61:69, 20:25] = 255  # of 96 x 48 positions, worked on in 32 x 16
    s = np.asarray(jax.jit(partial(jm.spectral_residual, size=32, blur=1.0))(image))
    row, column = np.unravel_index(s[0].argmax(), s[0].shape)
    assert s.shape == (2, 96, 48) and 58 <= row <= 71 and 17 <= column <= 27
    plain = np.stack([np.zeros((8, 8, 1)), np.ones((8, 8, 1))])
    zeros, constant = np.asarray(jax.jit(jm.spectral_residual)(plain))
    assert (zeros == 0).all() and constant.std() < 1e-4 * constant.mean() and (constant > 0).all()
    with pytest.raises(ValueError, match="one to three"):
        jm.spectral_residual(np.ones((1, 2, 2, 2, 2, 1)))
    with pytest.raises(ValueError, match="size=0"):
        jm.spectral_residual(np.ones((1, 2, 1)), size=0)


def test_pairs_are_one_greedy_cycle_of_distant_maps():
    s = total(MAPS.astype(np.float64)).reshape(6, -1)
    distance = np.linalg.norm(s[:, None] - s[None], axis=-1)
    np.fill_diagonal(distance, -1)
    row, column = np.unravel_index(distance.argmax(), (6, 6))
    order = [row, column]
    while len(order) < 6:
        left = [j for j in range(6) if j not in order]
        order.append(left[int(distance[order[-1], left].argmax())])
    expected = np.zeros(6, int)
    expected[order] = np.roll(order, -1)
    pair = jax.jit(jm.salient_pairs, static_argnames="blur")
    np.testing.assert_array_equal(pair(MAPS, blur=0.0), expected)
    blurred = np.asarray(pair(MAPS))
    row, seen = 0, []
    for _ in range(6):
        row = blurred[row]
        seen.append(row)
    assert sorted(seen) == list(range(6))
    assert pair(MAPS[:1]).tolist() == [0]
    assert pair(np.zeros((2, 3), np.float32)).tolist() == [1, 0]


def test_saliencymix_centres_the_box_on_the_partners_peak():
    mix = jax.jit(lambda s: jm.sample_saliencymix(seed(1), s, lam_law=given))(MAPS)
    for i, (kept, lam) in enumerate(zip(np.asarray(mix.mask), mix.lam, strict=True)):
        peak = np.unravel_index(MAPS[5 - i].argmax(), (6, 9))
        expected = np.ones((6, 9), bool)
        sides = [round(n * float(np.sqrt(1 - LAMBDAS[i]))) for n in (6, 9)]
        ends = [
            (max(p - n // 2, 0), max(p - n // 2 + n, 0)) for p, n in zip(peak, sides, strict=True)
        ]
        expected[slice(*ends[0]), slice(*ends[1])] = False
        np.testing.assert_array_equal(kept, expected)
        assert lam == np.float32(expected.sum()) / np.float32(54)


def test_the_share_pasted_by_saliencymix():
    s = jnp.zeros((4000, 64)).at[:, 32].set(1.0)
    lam = jax.jit(lambda s, alpha: jm.sample_saliencymix(seed(2), s, alpha=alpha).lam)
    within(lam(s, 1.0), 0.5)  # in the middle nothing is cut off
    within((lam(s, 3.0) - 0.5) ** 2, 1 / 28)  # the variance of Beta(3, 3)
    within(lam(s.at[:, 0].set(2.0), 1.0), 0.75)  # at the border half is
    assert (lam(s, 0.0) == 1).all()


def test_attentive_cutmix_gives_the_partners_top_cells(rng):
    draw = jax.jit(
        lambda s, law: jm.sample_attentive_cutmix(
            seed(3), s, grid=(3, 4), k=5, lam_law=given if law else None
        ),
        static_argnums=1,
    )
    rows, columns = np.arange(6) * 3 // 6, np.arange(12) * 4 // 12
    maps = rng.random((6, 6, 12)).astype(np.float32)
    for law in (False, True):
        mix = draw(maps, law)
        for i in range(6):
            means = maps[5 - i].reshape(3, 2, 4, 3).mean((1, 3))
            count = int(np.round((1 - LAMBDAS[i]) * 12)) if law else 5
            cells = np.ones(12, bool)
            cells[np.argsort(-means.ravel())[:count]] = False
            np.testing.assert_array_equal(mix.mask[i], cells.reshape(3, 4)[rows][:, columns])
            assert mix.lam[i] == np.float32((12 - count) * 6) / np.float32(72)
    cells = partial(jm.sample_attentive_cutmix, seed(3), grid=(4, 2), k=3)
    uneven = jax.jit(cells)(MAPS)  # of 1 or 2 by 4 or 5 positions
    np.testing.assert_allclose(uneven.lam, np.asarray(uneven.mask).mean((1, 2)), rtol=1e-6)
    with pytest.raises(ValueError, match="k=13; it needs an int from 0 to 12"):
        jm.sample_attentive_cutmix(seed(3), maps, grid=(3, 4), k=13)
    with pytest.raises(ValueError, match="number of cells"):
        jm.sample_attentive_cutmix(seed(3), MAPS)


def test_guidedmixup_weighs_by_both_maps():
    s = MAPS.copy()
    s[0, :3] = s[5, :2] = 0
    mix = jax.jit(lambda s: jm.sample_guidedmixup(seed(4), s, blur=0.0))(s)
    share = total(s.astype(np.float64))
    for i in range(6):
        for place in np.ndindex(6, 9):
            a, b = share[i][place], share[5 - i][place]
            expected = a / (a + b) if a + b else 0.5
            assert mix.mask[i][place] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(mix.lam, mix.mask.mean((1, 2)), rtol=1e-6)
    blurred = jax.jit(lambda s, pairs: jm.sample_guidedmixup(seed(4), s, pairing=pairs))
    back = blurred(s, jnp.arange(6)[::-1]).mask
    np.testing.assert_allclose(back + back[::-1], 1, rtol=1e-5)  # a position is shared out
    assert np.abs(np.diff(back, axis=2)).max() < np.abs(np.diff(mix.mask, axis=2)).max() / 2


def test_grafting_draws_among_the_partners_salient_cells(rng):
    n, share = 3000, 0.3
    s = rng.gamma(1.0, size=(n, 8)).astype(np.float32)
    s[:2] = 0
    draw = jax.jit(
        lambda s, law: jm.sample_grafting(seed(5), s, grid=(4,), lam_law=lambda key, shape: law)
    )
    mix = draw(s, jnp.full(n, share))
    mask, other = np.asarray(mix.mask), s[::-1]
    means = other.reshape(n, 4, 2).mean(-1)
    candidate = means >= means.mean(1, keepdims=True)
    cells = mask[:, ::2]
    np.testing.assert_array_equal(mask[:, 1::2], cells)
    assert cells[~candidate].all()
    within(cells[candidate], share)
    both = candidate[:, 0] & candidate[:, 1]
    within((cells[both, 0] - share) * (cells[both, 1] - share), 0.0)
    own, other = (
        np.where(s.any(1, keepdims=True), s, 1),
        np.where(other.any(1, keepdims=True), other, 1),
    )
    own, other = (mask * total(own)).sum(1), (~mask * total(other)).sum(1)
    np.testing.assert_allclose(mix.lam, own / (own + other), atol=1e-5)
    assert (draw(s, jnp.ones(n)).lam == 1).all()
    every = partial(jm.sample_grafting, grid=(4,), threshold=0.0, lam_law=jm.constant(0.0))
    assert not jax.jit(every)(seed(5), s).mask.any()


def test_snapmix_weighs_by_what_each_box_holds():
    cams = MAPS - 0.4  # activations may be negative
    mix, (start, stop), both = jax.jit(lambda c: jm.sample_snapmix(seed(6), c, alpha=1.0))(cams)
    mass = total(MAPS - MAPS.min((1, 2), keepdims=True))
    mask = np.asarray(mix.mask)
    for i in range(6):
        rows, columns = (np.flatnonzero(~mask[i].all(axis=axis)) for axis in (1, 0))
        box = np.ones((6, 9), bool)
        box[np.ix_(rows, columns)] = False
        np.testing.assert_array_equal(mask[i], box)
        given = mass[5 - i][start[i, 0] : stop[i, 0], start[i, 1] : stop[i, 1]].sum()
        if box.all():
            given = 0.0
            assert start[i].tolist() == [0, 0] and stop[i].tolist() == [6, 9]
        kept = mass[i][mask[i]].sum()
        assert both[i] == pytest.approx(kept + given, abs=1e-5)
        assert mix.lam[i] == pytest.approx(kept / (kept + given), abs=1e-5)
    x = jnp.broadcast_to(jnp.arange(6.0)[:, None, None, None], (6, 6, 9, 1))
    put = lambda x: jm.blend(mix, x, other=jm.fit_partner(mix, x, source=(start, stop)))
    mixed = jax.jit(put)(x)
    np.testing.assert_allclose(mixed, jnp.where(mix.mask[..., None], x, x[::-1]), atol=1e-5)
    labels, ones = jnp.arange(6), jnp.ones((6, 6))
    loss = both * jm.pair_loss(mix, lambda o, y: y.astype(jnp.float32), ones, labels)
    own, both = np.asarray(both * mix.lam), np.asarray(both)  # the authors' two weights
    labels = np.arange(6)
    np.testing.assert_allclose(loss, own * labels + (both - own) * labels[::-1], rtol=1e-5)


def test_the_boxes_of_snapmix():
    n = 4000
    draw = jax.jit(lambda key, alpha: jm.sample_snapmix(key, jnp.ones((n, 64, 1)), alpha=alpha))
    mix, (start, stop), both = draw(seed(7), 1.0)
    given = np.asarray((stop - start)[:, 0]) / 64  # an axis of one position is cut whole or not
    cut = 1 - np.asarray(mix.mask).mean((1, 2))
    on = cut > 0
    np.testing.assert_allclose(both[on], 1 - cut[on] + given[on], atol=1e-5)
    within((cut[on] - cut[on].mean()) * (given[on] - given[on].mean()), 0.0)  # two λ
    within(cut[on] - given[on], 0.0)  # of one law
    off, _, both = draw(seed(7), 0.0)
    assert off.mask.all() and (off.lam == 1).all()
    np.testing.assert_allclose(both, 1, rtol=1e-5)


SAMPLERS = (
    jm.sample_saliencymix,
    partial(jm.sample_attentive_cutmix, k=1),
    jm.sample_guidedmixup,
    jm.sample_grafting,
    jm.sample_snapmix,
)


@pytest.mark.parametrize("shape", [(3, 7), (1, 2, 3), (3, 2, 3, 4)], ids=str)
def test_nothing_salient_half_precision_and_any_rank(shape):
    @jax.jit
    def draw(s):
        mixes = []
        for sampler in SAMPLERS:
            gridded = "grafting" in str(sampler) or "attentive" in str(sampler)
            grid = {"grid": tuple(min(n, 2) for n in shape[1:])} if gridded else {}
            mix = sampler(seed(8), s, **grid)
            mixes.append(mix if isinstance(mix, jm.Mix) else mix[0])
        return mixes

    for s in (jnp.zeros(shape, jnp.bfloat16), jnp.ones(shape, jnp.bfloat16)):
        for mix in draw(s):
            assert mix.mask.shape == shape and mix.lam.dtype == jnp.float32
            for share in (np.asarray(mix.lam), np.asarray(mix.mask, np.float32)):
                assert ((share >= 0) & (share <= 1)).all()  # False for NaN


def test_bad_saliency():
    for sampler in SAMPLERS:
        with pytest.raises(ValueError, match="with a spatial axis"):
            sampler(seed(1), jnp.ones(4))
    with pytest.raises(ValueError, match="alpha=-1"):
        jm.sample_snapmix(seed(1), MAPS, alpha=-1.0)
    with pytest.raises(ValueError, match="blur=-2"):
        jm.sample_guidedmixup(seed(1), MAPS, blur=-2.0)
