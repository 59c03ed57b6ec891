"""Cells, blobs, blocks and noise, against the code of their authors."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from jax_mixup import _geometry
from jax_mixup.samplers import noisymixup
from tests.library.parity.cases import KEY, Case, cross_entropy, f32, i32, mixup, run, same


def test_gridmixup(draw):
    """On squares and from the corner, where cells agree. Their holes are cut to whole positions:
    2.83 of a cell's 4 are 2 there, and 3 here.
    """
    case = Case("gridmixup")

    def ours(lam, number):  # of 2 to 4 holes
        draw(lam, jnp.stack([(number - 1.5) / 3, 0 * number, 0 * number]))
        mix = jm.sample_gridmixup(KEY, (4, 8, 8), holes=(2, 4), pairing=i32(case.index))
        return jm.blend(mix, f32(case.x)), mix.lam[0]

    mixed, lam = run(jax.vmap(ours), case.drawn[:, 0], case.drawn[:, 1])
    same(mixed[:3], case.mixed[:3])
    same(lam[:3], case.lam[:3])
    assert (lam[3], case.lam[3]) == (1 - 9 / 16, 1 - 4 / 16)


def test_mixed_examples(draw):
    """The first row is theirs. Intervals and squares from places of their own are not ours."""
    case = Case("mixedexample")
    shape = (2, 8, 8)

    def ours(rows, pixels):
        mixes = {}
        for name, axis, lam in (("vert_concat", 1, 3 / 8), ("horiz_concat", 2, 5 / 8)):
            draw(f32(lam), [0.0])
            mixes[name] = jm.sample_cutmix(KEY, shape, axes=(axis,), box="corner")
        draw(f32([3 / 8, 5 / 8, 0.3]))
        mixes["vh_mixup"] = jm.sample_vhmixup(KEY, shape)
        mixes["mixed_concat"] = jm.sample_vhmixup(KEY, shape, checkered=True)
        for name, lam, u, grid in (
            ("random_rows", 0.4, rows, (8, 1)),
            ("random_pixels", 0.55, pixels, None),
        ):
            draw(f32(lam), u)
            mixes[name] = jm.sample_gridmix(KEY, shape, grid=grid)
        draw(f32(0.5), [0.25, 0.75, 0.625, 0.125, 0.25, 0.75])  # lines at 3 and 5 of 8
        mixes["random_2x2"] = jm.sample_gridmix(KEY, shape, grid=(2, 2), jitter=0.5)
        apply = lambda mix: (jm.blend(mix, f32(case.x))[0], jm.blend_labels(mix, jnp.eye(2))[0])
        return {name: apply(mix) for name, mix in mixes.items()}

    for name, (image, label) in run(ours, case.rows_u, case.pixels_u).items():
        same(image, case[name + "_image"])
        same(label, case[name + "_label"])


def test_fmix(draw, monkeypatch):
    """Their spectrum has the same scale, but for the mean, which moves no rank. What they make of
    it differs: two rows of frequencies are taken for its real and imaginary parts, so that an image
    has two frequencies along its last axis. Given that grey image, masks agree; theirs round λ
    either way, here to the nearest, and have λ as it was drawn for a label.
    """
    case = Case("fmix")
    shape = case.grey.shape

    def ours(lam):
        draw(lam)
        responses = []

        def grey(noise, response):
            responses.append(response)
            return jnp.broadcast_to(f32(case.grey)[None], noise.shape)

        monkeypatch.setattr(_geometry, "filtered", grey)
        mix = jm.sample_fmix(KEY, (3, *shape), per="example")
        return mix.mask, mix.lam, responses[0][0]

    mask, lam, response = run(ours, case.lam)
    np.testing.assert_array_equal(mask, case.mask)
    assert (np.abs(lam - case.lam) <= 0.5 / mask[0].size + 1e-6).all()
    same(response.ravel()[1:], case.scale.ravel()[1:] / max(shape) ** 3, atol=1e-5)


def test_cowmix(draw, monkeypatch):
    """Their blur ends at the border and ours goes round; their threshold is a normal quantile, and
    their p the part below it. Away from the border, and at the same part, it is the same mask.
    """
    case = Case("cowmix")

    def ours(sigma, share):
        blurred = _geometry.blur(jnp.stack([f32(case.noise)] * 2), sigma)
        draw(share, jnp.zeros(2))
        monkeypatch.setattr(_geometry, "blur", lambda *_: f32(case.smooth))
        return blurred, jm.sample_cowmix(KEY, (2, 32, 40), per="example").mask

    blurred, mask = run(ours, case.drawn[:, 0], case.mask.mean((1, 2)))
    np.testing.assert_array_equal(mask, case.mask)
    same(blurred[:, 9:-9, 9:-9], case.smooth[:, 9:-9, 9:-9], atol=1e-3)


def test_fademix(draw):
    case = Case("fademix")

    def ours(index, drawn):
        lam, sign, slope = drawn
        draw(lam, (1 + sign * slope / jnp.minimum(lam, 1 - lam)) / 2)
        mix = jm.sample_fademix(KEY, (4, 5, 3, 4), pairing=index.astype(jnp.int32))
        mixed = jm.blend(mix, f32(case.x))
        logits = mixed.mean((1, 2, 3)) @ f32(case.weight)
        return mixed, jm.pair_loss(mix, cross_entropy, logits, i32(case.y)).mean()

    mixed, loss = run(jax.vmap(ours), case.index, case.drawn)
    same(mixed, case.mixed)
    same(loss, case.loss)


def test_maskmix(draw):
    """MixPro's masks, which round the number of cells up, and its label by attention."""
    case = Case("maskmix")
    u = np.zeros((4, 16))
    np.put_along_axis(u, case.order, np.linspace(1, 0.1, 16)[None], axis=1)

    def ours(lam, u):
        draw(lam, u.T)
        mix = jm.sample_gridmix(
            KEY, (4, 16, 16), grid=(4, 4), exact=True, per="example", pairing=i32(case.index)
        )
        seen = jm.transmix(mix, f32(case.attention), area=0.0)
        return jm.blend(mix, f32(case.x)), mix.lam, seen.lam

    mixed, lam, seen = run(ours, np.full(4, case.drawn), u)
    same(mixed, case.mixed)
    same(lam, case.lam)
    same(seen, case.attention_lam)


def test_tokenmix():
    """Theirs adds 14 tokens to half of them, and lays blocks until ten in a row do not fit. Draws
    differ, so distributions are compared: as many tokens, in blocks as large.
    """
    case = Case("tokenmix")

    def ours(key):
        law = jm.constant(0.5 - 14 / 196)
        return ~jm.sample_tokenmix(KEY, (40, 14, 14), lam_law=law, per="example").mask

    given = run(ours, 0)
    count, theirs = given.sum((1, 2)), case.mask.sum((1, 2))
    same(case.lam, 1 - theirs / 196)
    assert max(count.max(), theirs.max()) <= 98 + 14
    assert abs(count.mean() - theirs.mean()) < 6
    borders = lambda mask: np.abs(np.diff(mask.astype(int), axis=1)).sum((1, 2)).mean()
    assert 0.5 < borders(given) / borders(case.mask) < 1.1


def test_patchup(draw):
    """Their blocks are centred anywhere and cut at the border, ours start where they fit. So one
    block of theirs, in a corner of channel 0, is not among ours.
    """
    case = Case("patchup")
    seeds = case.seeds[1:-1, 1:-1]  # by the first corner of each block of 3 x 3
    assert case.seeds.sum() - seeds.sum() == 1

    def ours(lam, u):
        draw(lam, u)
        index, gamma, block = i32(case.index), float(case.gamma), (3, 3, 1)
        soft, hard = (
            jm.sample_patchup(
                KEY, (4, 8, 8, 2), gamma=gamma, block=block, lam_law=law, pairing=index
            )
            for law in (jm.beta(2.0, 2.0), None)
        )
        given = (~hard.mask).mean()
        return jm.blend(soft, f32(case.x)), jm.blend(hard, f32(case.x)), given, soft.lam

    soft, hard, given, lam = run(ours, case.lam, np.where(seeds, 0.0, 0.99).ravel())
    corner = np.zeros((8, 8, 2), bool)
    corner[:2, -2:, 0] = True
    for mixed, theirs in ((soft, case.soft), (hard, case.hard)):
        same(mixed[:, ~corner], theirs[:, ~corner])
    same(given + 4 / 128, 1 - case.unchanged)  # the corner's four of 128
    same(lam, np.full(4, 1 - given * (1 - case.lam)))
    same(case.gamma_adjusted, case.gamma * 8**2 / (3 * (8 - 3 + 1)) ** 2)


def test_noisy_mixup(draw, monkeypatch):
    """Their label has λ as it was drawn, ours the mean of the mask."""
    case = Case("mixedexample")

    def ours(noise):
        draw(f32(0.4))
        monkeypatch.setattr(noisymixup, "normals", lambda *_: noise[None])
        mix = jm.sample_noisymixup(KEY, (2, 8, 8))
        return jm.blend(mix, f32(case.x))[0], mix.lam

    image, lam = run(ours, case.noise)
    same(image, case.noisy_mixup_image)
    same(lam, np.full(2, 0.4 + 0.025 * case.noise.mean()))
    same(case.noisy_mixup_label, [0.4, 0.6])


def test_overlap():
    """timm's mix of images of several sizes, which lie in the middle of a canvas here."""
    case = Case("naflex")

    def ours(lam, kept):
        soft, hard = mixup(case.index, lam), jm.Mix(i32(case.index), kept > 0.5, jnp.zeros(4))
        soft, hard = (jm.keep_overlap(mix, jnp.asarray(case.valid)) for mix in (soft, hard))
        return [(jm.blend(mix, f32(case.x)), mix.lam) for mix in (soft, hard)]

    (mixed, lam), (cut, cut_lam) = run(ours, case.lam, case.kept)
    same(mixed, case.mixed)
    same(lam, case.mixed_lam)
    same(cut, case.cut)
    same(cut_lam, case.cut_lam)
