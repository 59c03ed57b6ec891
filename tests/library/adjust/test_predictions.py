"""Label weights by what the model predicts, by loops in float64."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

CLEAN, MIXED = (2 * np.random.default_rng(1).normal(size=(2, 6, 5))).astype(np.float32)
PARTNER = np.array([1, 2, 2, 0, 5, 4])  # neither mutual nor one to one
LABELS = np.array([0, 3, 3, 1, -1, 4])  # examples 1 and 2 of one class; 4 of none
LAM = np.array([0.3, 0.0, 0.7, 1.0, 0.4, 0.6], np.float32)


def softmax(x):
    e = np.exp(np.asarray(x, np.float64))
    return e / e.sum()


def unit(x):
    return softmax(x) / np.sqrt((softmax(x) ** 2).sum())


def distances(clean, mixed, labels, i):
    """From example i's mix to example i, and to its partner."""
    p = PARTNER[i]
    own, rest = softmax(clean[i]), softmax(clean[p])
    for source, y in ((own, labels[p]), (rest, labels[i])):
        if 0 <= y < len(source):
            source[y] = 0
    return unit(softmax(mixed[i]) - own), unit(softmax(mixed[i]) - rest)


def by_hand(scale):
    expected = []
    for i, p in enumerate(PARTNER):
        own, rest = distances(CLEAN, MIXED, LABELS, i)
        if LABELS[i] < 0 or LABELS[p] < 0:
            expected.append(LAM[i])
            continue
        a = float(LAM[i]) * np.exp(-scale * own[LABELS[i]])
        b = (1 - float(LAM[i])) * np.exp(-scale * rest[LABELS[p]])
        expected.append(a / (a + b))
    return expected


MIX = jm.Mix(jnp.asarray(PARTNER), jnp.asarray(LAM), jnp.asarray(LAM))


def test_the_formula_by_hand():
    weigh = jax.jit(lambda scale: jm.sumix(MIX, CLEAN, MIXED, LABELS, scale=scale))
    for scale in (0.0, 3.0, -3.0, 100.0):
        found = weigh(scale)
        np.testing.assert_allclose(found.lam, by_hand(scale), rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(found.mask, MIX.mask)
    np.testing.assert_allclose(weigh(0.0).lam, LAM, rtol=1e-6)
    stay = [1, 3, 4]  # 0, 1, and of no class
    np.testing.assert_array_equal(np.asarray(weigh(3.0).lam)[stay], LAM[stay])
    default = jm.sumix(MIX, CLEAN, MIXED, LABELS)
    np.testing.assert_allclose(default.lam, weigh(100.0).lam, rtol=1e-4)


def test_the_sign_is_theirs():
    """The label that the model does not find weighs more."""
    sure = 9 * jnp.eye(4)
    mix = jm.Mix(jm.reverse(), jnp.full(4, 0.5), jnp.full(4, 0.5))
    for scale, less in ((2.0, True), (-2.0, False)):
        lam = jm.sumix(mix, sure, sure, jnp.arange(4), scale=scale).lam  # all look like their own
        assert ((lam < 0.4) == less).all() and ((lam > 0.6) != less).all()
        lam = jm.sumix(mix, sure, sure[::-1], jnp.arange(4), scale=scale).lam
        assert ((lam > 0.6) == less).all()
    neither = jm.sumix(mix, sure[:2][jnp.array([0, 0, 1, 1])], 9 * jnp.eye(4)[jnp.array([2] * 4)],
                       jnp.array([0, 0, 1, 1]))  # fmt: skip
    np.testing.assert_allclose(neither.lam, 0.5, atol=1e-3)


def test_a_second_batch_and_gradients():
    other = CLEAN[PARTNER], LABELS[PARTNER]
    found = jm.sumix(MIX, CLEAN, MIXED, LABELS, scale=3.0, other=other)
    np.testing.assert_allclose(found.lam, by_hand(3.0), rtol=1e-4, atol=1e-6)

    def total(clean, mixed, lam):
        mix = jm.Mix(jm.reverse(), lam, lam)
        return (jm.sumix(mix, clean, mixed, LABELS, scale=3.0).lam ** 2).sum()

    *none, some = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(CLEAN, MIXED, jnp.asarray(LAM))
    for gradient in none:
        np.testing.assert_array_equal(gradient, 0)
    assert np.isfinite(some).all() and np.asarray(some).any()
    narrow = jm.sumix(MIX, CLEAN.astype(jnp.bfloat16), MIXED.astype(jnp.float16), LABELS)
    assert narrow.lam.dtype == jnp.float32
    one = jm.sample_mixup(jax.random.key(0), (1,))
    same = jm.sumix(one, CLEAN[:1], MIXED[:1], jnp.array([2]))
    np.testing.assert_allclose(same.lam, one.lam, rtol=1e-5)  # its own partner


def test_mistakes():
    call = unwrap(jm.sumix)
    with pytest.raises(TypeError, match="call argmax"):
        call(MIX, CLEAN, MIXED, np.eye(6))
    with pytest.raises(ValueError, match=r"clean of shape \(6,\); it needs logits \(B, K\)"):
        call(MIX, CLEAN[:, 0], MIXED[:, 0], LABELS)
    with pytest.raises(ValueError, match=r"mixed of shape \(6, 4\); it needs \(6, 5\)"):
        call(MIX, CLEAN, MIXED[:, :4], LABELS)
    with pytest.raises(ValueError, match="mix of 6 examples"):
        call(MIX, CLEAN[:5], MIXED[:5], LABELS)
    with pytest.raises(ValueError, match="other of shape"):
        call(MIX, CLEAN, MIXED, LABELS, other=(CLEAN[:5], LABELS))
