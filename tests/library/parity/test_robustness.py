"""Calibration and robustness against the authors' code, which `make_robustness` ran."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from jax_mixup.recipes import pixmix
from tests.library.parity.cases import KEY, Case, cross_entropy, f32, i32, run, same


def test_rankmixup():
    case = Case("rankmixup")

    def ours(clean, mixed, soft, apart):
        ndcg = jm.rankmixup_loss(clean, list(mixed), list(soft))
        mrl = lambda soft: jm.rankmixup_loss(clean, [mixed[0]], [soft], form="mrl")
        return ndcg, mrl(soft[0]), mrl(apart)

    ndcg, mrl, apart = run(ours, case.clean, case.mixed, case.soft, case.apart)
    same(ndcg.mean(), case.mndcg)
    same(apart.mean(), case.mrl_apart)  # no mix of one class
    # Their mask and their hinges, [B] and [B, 1], are multiplied to [B, B] before the mean.
    on = case.soft[0].max(axis=1) != 1
    same(on.mean() * apart.mean(), case.mrl)
    same(mrl, np.where(on, apart, 0))


def test_sumix():
    """With the batch size as `scale`, as theirs."""
    case = Case("sumix")
    for lam, weights, losses, total in zip(
        case.lam, case.weights, case.losses, case.total, strict=True
    ):

        def ours(clean, mixed, v, seen, lam):
            mix = jm.Mix(i32(case.index), lam[None], jnp.broadcast_to(lam, (6,)))
            labels = i32(case.y)
            adjusted = jm.sumix(mix, clean, mixed, labels, scale=6.0)
            loss = jm.pair_loss(adjusted, cross_entropy, mixed, labels)
            penalty = jm.sumix_penalty(mix, clean, mixed, (v, seen), labels, scale=6.0)
            return adjusted.lam, loss, penalty

        found = run(ours, case.clean, case.mixed, case.v, case.seen, lam)
        same(found[0], weights)
        first, second, own, rest = losses
        same(found[1], weights * first + (1 - weights) * second)
        same(found[2], lam * own + (1 - lam) * rest)
        # Their criterion gives means, so that only the mean of the weights matters.
        weight = weights.mean()
        expected = weight * first.mean() + (1 - weight) * second.mean() + 0.5 * found[2].mean()
        same(expected, total)


def test_mixupmp():
    """Theirs is the mean over 2B examples, the mixed ones weighed by r: half of ours."""
    case = Case("mixupmp")
    for ratio, lam, chosen, index, theirs in zip(
        case.ratio, case.lam, case.chosen, case.index, case.loss, strict=True
    ):
        assert sorted(chosen) == list(range(8))  # all, in another order

        def ours(x, matrix, lam, ratio, chosen=chosen, index=index):
            x, y = x[chosen], i32(case.y)[chosen]
            mix = jm.Mix(i32(index), lam, lam)
            logits = jnp.concatenate([x, jm.blend(mix, x)]) @ matrix
            return jm.regmixup_loss(mix, cross_entropy, logits, y, eta=ratio).mean() / 2

        same(run(ours, case.x, case.matrix, lam, ratio), theirs, atol=1e-5)


def test_pixmix(monkeypatch):
    """With the uniform numbers that give what they drew: a ~ Beta(β, 1) is the β-th root of one."""
    case = Case("pixmix")
    assert set(case.rounds) == {0, 1, 2, 3, 4}
    is_sum = np.where(case.is_sum, 0.0, 1.0)
    gentle = np.asarray(case.gentle)
    a, b = np.moveaxis(case.draws, -1, 0)
    high = np.where(gentle < 0.5, a, 1 - a)  # their second a is 1 + Beta(1, β)
    drawn = np.stack([case.of_view, is_sum, gentle, high**3, (1 - b) ** 3])
    numbers = iter([np.stack([case.start, (case.rounds + 0.5) / 5]), *np.moveaxis(drawn, 2, 0)])

    def given(key, shape):
        array = f32(next(numbers))
        assert array.shape == shape
        return array

    monkeypatch.setattr(pixmix, "uniforms", given)
    images, fractals, views = (f32(x / 255) for x in (case.images, case.fractals, case.views))
    with jax.disable_jit():  # so that the loop runs round by round
        found = jm.pixmix(KEY, images, fractals, lambda key, x: views)
    np.testing.assert_allclose(found, case.mixed, atol=2e-5)
    assert (np.asarray(found) != images).any(axis=(1, 2, 3)).mean() > 0.8


def test_augmix():
    """As HOWTO.md does it, and the loss of their step."""
    case = Case("augmix")

    def ours(images, views, weights, m):
        chains = sum(weights[:, i, None, None, None] * views[:, i] for i in range(3))
        mix = jm.Mix(jm.reverse(), 1 - m, jnp.ones(4))
        return (jm.blend(mix, images, other=chains) - f32(case.mean)) / f32(case.std)

    with jax.numpy_rank_promotion("allow"):
        same(run(ours, case.images, case.views, case.weights, case.m), case.mixed, atol=2e-5)
    loss = run(lambda logits: jm.jsd_loss(list(logits)), case.logits)
    same(12 * loss.mean(), case.loss, atol=1e-5)
