"""Repositories that mix in their loader, and DeepMind's: the page's code gives their numbers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jax_mixup as jm
from tests.library.migrating.cases import Case, shown
from tests.library.parity.cases import KEY, f32, i32, same


def of(case, title, **more):
    """The page's names after its code ran on the inputs of this case."""
    return shown(title, key=KEY, images=f32(case.x), labels=i32(case.ids), **more)


@pytest.mark.parametrize("name", ["init2winit", "algoperf"])
def test_mixup_tf(name, draw):
    case = Case(name)
    draw(case.lam)
    ours = of(case, "init2winit and AlgoPerf")
    same(ours["x"], case.mixed)
    same(ours["y"][:, : case.labels.shape[1]], case.labels)
    assert (ours["y"][:, case.labels.shape[1] :] == 0).all()


def test_init2winit_in_jax(draw):
    """It reverses; an alpha of 0 is NaN there."""
    case = Case("init2winit")
    draw(case.reverse_lam)
    x, y = jm.mixup(KEY, f32(case.x), i32(case.ids), alpha=0.5, num_classes=10)
    same(x, case.reverse)
    same(y, case.reverse_labels)
    assert np.isnan(case.reverse_off).all()


def test_small_alphas():
    """Theirs is λ = ½ where both gammas underflow, and always where alpha is 0."""
    case = Case("init2winit")
    np.testing.assert_allclose(case.half[:4], [1, 0.1756, 0.0310, 0.00017], atol=5e-5)
    assert not case.nan.any()
    lam = jax.vmap(lambda alpha: jm.symmetric_beta(KEY, alpha, (100_000,)))(f32(case.alphas))
    assert (lam[0] == 1).all()  # off
    assert (lam[1:] == 0.5).mean() < 1e-4
    expected = 1 / (4 * (2 * case.alphas[1:] + 1))
    np.testing.assert_allclose(lam[1:].var(axis=1), expected, rtol=0.01)
    assert abs(case.variance[1] / expected[0] - 1) > 0.15


def test_audax(draw, monkeypatch):
    case = Case("audax")
    draw(case.lam)
    monkeypatch.setattr(jm, "permutation", lambda *_: i32(case.index))
    ours = of(case, "audax", model=lambda x: f32(case.logits))
    same(jm.blend(ours["mix"], f32(case.x)), case.mixed)
    same(jm.blend_labels(ours["mix"], f32(case.several)), case.labels)
    same(ours["loss"], case.each.mean())


def test_audax_has_no_loss_with_a_gradient():
    """Theirs is the mean of the batch, times each λ: no number, and not the loss of the pairs."""
    case = Case("audax")
    assert str(case.error).startswith("Gradient only defined for scalar-output functions")
    np.testing.assert_allclose([case.loss.mean(), case.each.mean()], [2.27, 2.11], atol=0.005)
    mix = jm.Mix(i32(case.index), f32(case.lam), f32(case.lam))

    def ours(logits):
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        return jm.pair_loss(mix, cross_entropy, logits, i32(case.ids)).mean()

    assert np.abs(jax.grad(ours)(f32(case.logits))).max() > 0.01


def test_datarax(draw, monkeypatch):
    """Boxes are the same where their sides are whole, and labels where they are even."""
    case = Case("datarax")
    monkeypatch.setattr(jm, "permutation", lambda *_: i32(case.index))
    draw(0.5, [0.0, 0.0])
    ours = of(case, "datarax")
    same(ours["x"], case.mixed)
    same(ours["y"], case.labels)
    for i, (lam, column, row) in enumerate(case.drawn[:4]):
        draw(f32(lam), np.array([row, column]) / 8)
        ours = of(case, "datarax")
        same(ours["x_cut"], case.cut[i])
        if i != 1:
            same(ours["y_cut"], case.cut_labels[i])


def test_datarax_gives_other_weights_than_its_pixels(draw):
    case, own = Case("datarax"), np.arange(4)
    pixels = (case.cut == case.x).all(axis=-1).mean(axis=(2, 3))
    weights = case.cut_labels[:, own, case.ids]
    np.testing.assert_allclose(weights[[1, -1], 0], [0.9297, 0.65], atol=1e-4)
    np.testing.assert_array_equal(pixels[[1, -1], 0], [0.90625, 0.5625])
    worst = [[0.053, 0.228], [0.0135, 0.0526], [0.0019, 0.0079]]
    np.testing.assert_allclose(case.errors, worst, atol=5e-4)
    np.testing.assert_array_equal(case.mixed_ids, [2.5, 4, 5.5, 3])
    np.testing.assert_array_equal(case.mixed_bytes[:, 0], [148, 105, 243, 40])
    draw(case.drawn[:, 0], case.drawn[:, :0:-1].T / 8)
    mix = jm.sample_cutmix(KEY, (8, 8, 8), per="example")
    np.testing.assert_array_equal(mix.lam, mix.mask.mean((1, 2)))
    half = jm.Mix(i32(case.index), jnp.full(1, 0.5), jnp.full(4, 0.5))
    whole = jm.blend(half, jnp.asarray(case.bytes), dtype=jnp.uint8)
    np.testing.assert_array_equal(whole[:, 0], [20, 105, 115, 40])


def test_adversarial_robustness(draw):
    """Also with any order of the images, and with each image once."""
    case = Case("adversarial_robustness")
    order = np.ravel(2 * case.order[:, None] + np.arange(2))
    for i, (lam, row, column) in enumerate(case.drawn):
        draw(f32(lam), (np.array([row, column]) + 0.5) / [8, 12])
        ours = of(case, "adversarial_robustness")
        same(ours["x"], case.repeated_0[i])
        same(ours["p"], case.repeated_1[i])
        for name, pairing in (("rolled", jm.roll()), ("any", i32(order))):
            options = {"box": "even", "pairing": pairing, "num_classes": 10}
            x, p = jm.cutmix(KEY, f32(case.x), i32(case.ids), **options)
            same(x, case[f"{name}_0"][i])
            same(p, case[f"{name}_1"][i])


def of_nfnets(case, draw, drawn, example, other, model=None):
    """The page's names, where `example` is mixed with `other`, by mixup and then by CutMix."""
    n = len(example) // 2
    column, row, cut = drawn.T
    lam = np.concatenate([case.ratio[:n], cut])
    centre = np.zeros((2, 2 * n))
    centre[:, n:] = np.stack([(row + 0.5) / 8, (column + 0.5) / 12])
    draw(f32(lam), np.concatenate([np.full((2, 2 * n), 0.5), centre]))
    images, ids = f32(case.x), i32(case.ids)
    given = {"images": images[example], "labels": ids[example]}
    given |= {"images2": images[other], "labels2": ids[other]}
    return shown("nfnets", key=KEY, model=model or (lambda x: jnp.eye(10)[:4]), **given)


def test_nfnets(draw):
    """Theirs keeps the inside of the box of the example whose label comes first: what is the
    example there is the partner here.
    """
    case = Case("nfnets")
    ours = of_nfnets(case, draw, case.drawn[4:6], np.array([0, 1, 6, 7]), np.array([2, 3, 4, 5]))
    same(ours["x"], case.my_mixup_cutmix_images)
    ratio, n = case.my_mixup_cutmix_ratio, len(ours["x"]) // 2
    same(ours["mix"].lam, np.concatenate([ratio[:n], 1 - ratio[n:]]))
    first, second = (np.eye(10)[case[f"my_mixup_cutmix_{x}"]] for x in ("labels", "mix_labels"))
    soft = ratio[:, None] * first + (1 - ratio[:, None]) * second
    same(ours["y"], 0.9 * soft + 0.01)


def test_nfnets_alone(draw):
    """my_mixup, and my_cutmix on boxes of any size: example i of the first half meets i of the
    second half.
    """
    case, batch = Case("nfnets"), f32(Case("nfnets").x)
    mix = jm.Mix(jm.roll(4), f32(case.ratio), f32(case.ratio))
    same(jm.blend(mix, batch)[:4], case.my_mixup_images)
    column, row, lam = case.drawn[:4].T
    draw(f32(lam), np.stack([(row + 0.5) / 8, (column + 0.5) / 12]))
    mix = jm.sample_cutmix(KEY, (4, 8, 12), box="even", per="example")
    same(jm.blend(mix, batch[4:], other=batch[:4]), case.my_cutmix_images)
    same(1 - mix.lam, case.my_cutmix_ratio)


def test_nfnets_scores_the_smaller_part():
    """A mask of theirs keeps a third of the example that alone counts for accuracy."""
    case = Case("nfnets")
    np.testing.assert_allclose(case.kept, [0.299, 0.317], atol=5e-4)
    np.testing.assert_allclose([1 - own_weight(size) for size in (32, 224)], case.kept, atol=0.006)


def own_weight(size):
    sampler = partial(jm.sample_cutmix, shape=(20_000, size, size), box="even", per="example")
    return jax.jit(lambda key: sampler(key).lam.mean())(KEY)
