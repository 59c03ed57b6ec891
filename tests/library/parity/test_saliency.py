"""Masks and labels that follow saliency or attention, against the code of their authors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.parity.cases import KEY, Case, boxed, cross_entropy, f32, i32, mixup, run, same


def test_gradient_saliency():
    """Theirs is the root of the mean over channels, ours of the sum."""
    case = Case("gradientsaliency")

    def ours(x):
        logits = lambda x: jnp.tanh(0.3 * x.reshape(2, -1)) @ f32(case.w)
        loss = lambda x: cross_entropy(logits(x), i32(case.y)).mean()
        return jm.gradient_saliency(loss, x) / jnp.sqrt(jnp.float32(3))

    same(run(ours, case.x), case.saliency)


def test_spectral_residual():
    """Theirs averages the spectrum as if it ended at frequency 0, and gives the amplitude where
    ours gives its square: close, not equal.
    """
    case = Case("spectralresidual")
    ours = run(lambda x: jnp.sqrt(jm.spectral_residual(x, blur=0.0)), case.x)
    for a, b in zip(ours, case.saliency, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


def test_classmix(monkeypatch):
    case = Case("classmix")

    def ours(u):
        monkeypatch.setattr(jax.random, "uniform", lambda *_: u)
        mix = jm.sample_classmix(KEY, i32(case.ids), num_classes=5, pairing=jm.roll(-1))
        return mix.mask, jm.blend(mix, f32(case.x)), jm.select(mix, i32(case.ids))

    mask, mixed, ids = run(ours, np.where(case.kept, 0.1, 0.9))
    np.testing.assert_array_equal(mask, case.mask)
    same(mixed, case.mixed)
    np.testing.assert_array_equal(ids, case.mixed_ids)


def test_ssmix(draw):
    """Rows here are what is between their first and last token, which they never take. Their span
    is a fraction of the row's own length, and one token at least: λ is chosen to give it.
    """
    case = Case("ssmix")
    ids, worth = (
        np.concatenate([case[a], case[b]])[:, 1:-1]
        for a, b in (("ids", "other"), ("saliency", "other_saliency"))
    )
    lengths = np.concatenate([case.lengths, case.other_lengths]) - 2
    span = np.maximum(lengths[:4] * case.window[:, None] // 100, 1)
    share = 1 - span / np.minimum(lengths[:4], lengths[4:])

    def ours(lam):
        draw(jnp.tile(lam, 2), jnp.zeros((2, 8)))
        mix, source = jm.sample_span(KEY, i32(lengths), 8, saliency=f32(worth), pairing=jm.roll(4))
        given = jnp.take_along_axis(jm.take_partner(mix, i32(ids)), source, axis=1)
        return jm.select(mix, i32(ids), other=given)[:4], mix.lam[:4]

    mixed, lam = run(jax.vmap(ours), share)
    np.testing.assert_array_equal(mixed, case.mixed[:, :, 1:-1])
    same(lam, case.lam)


def test_guidedmixup():
    """From saliency that is not blurred."""
    case = Case("guidedmixup")

    def ours(s):
        pairs = jm.salient_pairs(s, blur=0.0)
        mix = jm.sample_guidedmixup(KEY, s, blur=0.0, pairing=pairs)
        return pairs, jm.blend(mix, f32(case.x)), mix.lam

    pairs, mixed, lam = run(ours, case.saliency)
    np.testing.assert_array_equal(pairs, case.index)
    same(mixed, case.mixed, atol=1e-5)
    same(lam, case.lam)


def test_transmix():
    """Of a patch that the box cuts theirs takes the first pixel's side, ours its fraction."""
    case = Case("transmix")
    kept = boxed(case.boxes[:, [0, 2, 1, 3]], (8, 8))

    def ours(mask):
        mix = jm.Mix(jm.reverse(), mask[None] > 0.5, jnp.full(4, mask.mean()))
        return jm.transmix(mix, f32(case.attention)).lam

    lam = run(jax.vmap(ours), kept)
    whole = (case.boxes % 2 == 0).all(axis=1)
    assert whole.tolist() == [True, True, False]
    same(lam[whole], case.lam[whole])
    assert np.abs(lam - case.lam).max() < 0.15


def test_tl_align():
    case = Case("tlalign")

    def ours(attentions):
        mix = jm.Mix(jm.reverse(), f32(case.mask)[None] > 0.5, jnp.full(2, f32(case.lam)))
        return [jm.align_labels(mix, list(attentions), read=read).lam for read in ("cls", "mean")]

    cls, mean = run(ours, case.attentions)
    own, other = case.labels[[0, 1], :, [0, 1]], case.labels[[0, 1], :, [1, 0]]
    same(cls, own[:, 0])
    same(mean, own[:, 1:].mean(axis=1))
    same(own + other, np.ones_like(own))


def test_alignmix():
    """Theirs starts from the cost as it is, stops early, and ends with the columns; ours ends with
    the rows, whose sums are then exact. So plans are the same as far as they have converged.
    """
    case = Case("alignmix")
    n = case.plan.shape[-1]

    def ours(h):
        flat = h.reshape(4, n, -1)
        cost = jnp.square(flat[:, :, None] - flat[i32(case.index)][:, None]).sum(-1)
        steps = int(case.iterations)
        other = jm.align_partner(mixup(case.index, case.lam), h, iterations=steps)
        return jm.sinkhorn(cost, epsilon=0.1, iterations=steps), other.reshape(flat.shape)

    plan, other = run(ours, case.h)
    rows = n * case.plan.sum(-1, keepdims=True)
    same(plan, case.plan / rows, atol=1e-3)
    given = (case.own - case.lam * case.h) / (1 - case.lam)
    same(other, given.reshape(other.shape) / rows, atol=1e-2)
    assert np.abs(other - case.h.reshape(other.shape)[case.index]).max() > 0.5


@pytest.mark.parametrize("tag", "bc")
def test_puzzlemix(draw, tag):
    """The authors' energy, cut by their graph solver, where jumps are measured at whole cells."""
    case = Case("puzzlemix")
    cells, levels, lam, gamma = case["drawn_" + tag].tolist()
    step = int(16 // cells)

    def ours(lam):
        draw(lam)
        mix = jm.sample_puzzlemix(
            KEY,
            f32(case.saliency),
            x=f32(case.x),
            grid=(int(cells), int(cells)),
            labels=int(levels),
            gamma=gamma,
            pairing=i32(case.index),
        )
        return mix.mask[:, ::step, ::step], mix.lam

    mask, label = run(ours, np.full(4, lam))
    same(mask, case["mask_" + tag], atol=1e-3)
    same(label, case["ratio_" + tag])


def test_move_blocks():
    """Puzzle Mix's blocks, moved by its own plans. A place that no block won turns black there;
    our plan is another one, a permutation.
    """
    case = Case("puzzlemix_transport")
    plans = np.stack([case.plan_80, case.plan_40])
    won, source = plans.any(axis=2), plans.argmax(axis=2)
    ours = jax.vmap(lambda source: jm.move_blocks(f32(case.x), source, grid=(4, 4)))
    moved = np.asarray(jax.jit(ours)(i32(source)))
    black = ~np.kron(won.reshape(2, 4, 4, 4), np.ones((2, 2), bool))
    same(np.where(black[..., None], 0.0, moved), [case.moved_80, case.moved_40])
    assert black.any() and (source != np.arange(16))[won].any()  # something moved
