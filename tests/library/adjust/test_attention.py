"""Label weights that follow attention."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import seed


def random(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def test_transmix_is_half_area_and_half_attention():
    mix = jm.sample_cutmix(seed(1), (3, 4, 8), per="example")
    attention = random(3, 2, 4)  # of cells of 2 x 2
    found = jax.jit(jm.transmix)(mix, attention)
    for i in range(3):
        own = 0.0
        for row in range(2):
            for column in range(4):
                cell = np.asarray(mix.mask)[i, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                own += cell.mean() * attention[i, row, column]
        expected = (mix.lam[i] + own / attention[i].sum()) / 2
        np.testing.assert_allclose(found.lam[i], expected, rtol=1e-5)
    np.testing.assert_array_equal(found.mask, mix.mask)
    weigh = jax.jit(lambda area, a: jm.transmix(mix, a, area=area).lam)  # traced
    np.testing.assert_allclose(weigh(1.0, attention), mix.lam, rtol=1e-6)
    np.testing.assert_allclose(weigh(0.0, attention), 2 * found.lam - mix.lam, atol=1e-6)
    np.testing.assert_allclose(weigh(0.0, jnp.zeros((3, 2, 4))), mix.lam)  # nothing is attended to
    plain = jm.sample_mixup(seed(2), (3,), per="example")  # its mask is λ wherever one looks
    np.testing.assert_allclose(jm.transmix(plain, attention, area=0.0).lam, plain.lam, rtol=1e-5)


def test_no_gradient_flows_through_attention():
    mix = jm.sample_cutmix(seed(1), (2, 4), per="example")
    square = jnp.full((2, 4, 4), 0.25)
    for weigh, a in (
        (jm.transmix, jnp.ones((2, 4))),
        (lambda mix, a: jm.align_labels(mix, [a], read="mean"), square),
    ):
        gradient = jax.jit(jax.grad(lambda a, weigh=weigh: weigh(mix, a).lam.sum()))(a)
        np.testing.assert_array_equal(gradient, 0)


def test_bad_attention():
    mix = jm.sample_cutmix(seed(1), (2, 4, 4))
    with pytest.raises(ValueError, match="reshape the tokens to their grid"):
        jm.transmix(mix, jnp.ones((2, 16)))
    with pytest.raises(ValueError, match=r"area=2\.0"):
        jm.transmix(mix, jnp.ones((2, 4, 4)), area=2.0)
    with pytest.raises(ValueError, match="mix of 2 examples"):
        jm.transmix(mix, jnp.ones((3, 4, 4)))
    for shape, read in (((2, 16, 16), "cls"), ((2, 9, 9), "cls"), ((2, 17, 16), "mean")):
        with pytest.raises(ValueError, match="for 16 patches"):
            jm.align_labels(mix, [jnp.ones(shape)], read=read)
    with pytest.raises(ValueError, match="read='max'"):
        jm.align_labels(mix, [], read="max")


@pytest.mark.parametrize("extra", [1, 2])
def test_labels_follow_the_layers(extra):
    mix = jm.sample_cutmix(seed(3), (3, 2, 3), lam_law=jm.constant(0.5), per="example")
    tokens = 6 + extra
    scores = np.random.default_rng(1).normal(size=(2, 3, 4, tokens, tokens)).astype(np.float32)
    attentions = list(jax.nn.softmax(jnp.asarray(scores), axis=-1))  # 2 layers, 4 heads
    found = {r: jax.jit(partial(jm.align_labels, read=r))(mix, attentions) for r in ("cls", "mean")}
    for i in range(3):
        # As the authors' code: a label of two classes for each token.
        label = np.zeros((tokens, 2))
        label[:extra, 0] = mix.lam[i]
        label[extra:, 0] = np.asarray(mix.mask)[i].reshape(-1)
        label[:, 1] = 1 - label[:, 0]
        for layer in attentions:
            label = (label + np.asarray(layer)[i].mean(axis=0) @ label) / 2
        np.testing.assert_allclose(label.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(found["cls"].lam[i], label[0, 0], rtol=1e-5)
        np.testing.assert_allclose(found["mean"].lam[i], label[extra:, 0].mean(), rtol=1e-5)


def test_labels_stay_where_tokens_look_at_themselves():
    mix = jm.sample_cutmix(seed(3), (3, 2, 3), lam_law=jm.constant(0.5))
    own = jnp.broadcast_to(jnp.eye(7), (3, 7, 7))
    np.testing.assert_allclose(jm.align_labels(mix, [own, own]).lam, mix.lam)
    pooled = jm.align_labels(mix, [own[:, 1:, 1:]], read="mean")  # no class token
    np.testing.assert_allclose(pooled.lam, mix.lam, rtol=1e-6)
    plain = jm.sample_mixup(seed(2), (3,))
    assert jm.align_labels(plain, [own]) is plain
