"""Losses, each against loops, and their dtypes."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import mixed
from tests.library.x64 import enable_x64

KEY = jax.random.key(0)
MIX = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))


def cross_entropy(logits, ids):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), ids[:, None], axis=1)[:, 0]


def log_p(logits, target, without=None):
    """log of a softmax over all classes but one, by hand."""
    kept = [np.exp(o) for k, o in enumerate(np.asarray(logits, np.float64)) if k != without]
    return float(logits[target]) - np.log(np.sum(kept))


def test_regmixup_is_both_losses():
    x, labels = jax.random.normal(KEY, (5, 3)), jnp.array([0, 2, 1, 1, 0])
    mix = mixed([0.5, 0.1, 1.0, 0.9, 0.5])
    logits = jnp.concatenate([x, jm.blend(mix, x)])
    clean = [-log_p(o, y) for o, y in zip(logits[:5], labels, strict=True)]
    both = [
        -lam * log_p(o, y) - (1 - lam) * log_p(o, p)
        for o, lam, y, p in zip(logits[5:], mix.lam, labels, labels[::-1], strict=True)
    ]
    total = jax.jit(partial(jm.regmixup_loss, mix, cross_entropy))
    for eta in (1.0, 0.3):
        expected = np.asarray(clean) + eta * np.asarray(both)
        np.testing.assert_allclose(total(logits, labels, eta=eta), expected, rtol=1e-5)
    # The authors' code: one criterion over 2B rows, whose first half has one label twice.
    first, second = jnp.tile(labels, 2), jnp.concatenate([labels, labels[::-1]])
    lam = 0.7
    theirs = lam * cross_entropy(logits, first) + (1 - lam) * cross_entropy(logits, second)
    ours = jm.regmixup_loss(mixed([lam] * 5), cross_entropy, logits, labels)
    np.testing.assert_allclose(ours.mean() / 2, theirs.mean(), rtol=1e-5)


def test_regmixup_of_trees_tuples_and_bad_outputs():
    square = lambda outputs, target: {"s": (outputs["o"] - target) ** 2}
    mixes = (mixed([0.5, 0.5]), mixed([0.25, 0.25]))
    outputs = {"o": jnp.array([1.0, 2.0, 3.0, 4.0], jnp.bfloat16)}
    loss = jm.regmixup_loss(mixes, square, outputs, jnp.array([0.0, 1.0], jnp.bfloat16), eta=0.5)
    assert loss["s"].dtype == jnp.float32  # 1 + ½ (9/8 + 7·4/8), 1 + ½ (9/8 + 7·16/8)
    np.testing.assert_array_equal(loss["s"], [3.3125, 8.5625])
    with pytest.raises(ValueError, match="needs twice as many"):
        jm.regmixup_loss(mixed([0.5] * 3), cross_entropy, jnp.ones((4, 2)), jnp.zeros(3, int))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_decoupled_is_their_formula(power):
    logits = 3 * jax.random.normal(KEY, (6, 4))
    labels = jnp.array([0, 2, 1, 1, 3, 0])  # rows 0 and 5, 2 and 3 are of one class
    lam = np.array([0.3, 0.3, 0.5, 0.5, 0.9, 0.3], np.float32)
    expected = []
    for o, share, a, b in zip(logits, lam, labels, labels[::-1], strict=True):
        loss = -share * log_p(o, a) - (1 - share) * log_p(o, b)
        if a != b:
            loss -= 0.1 * share**power * log_p(o, a, without=b)
            loss -= 0.1 * (1 - share) ** power * log_p(o, b, without=a)
        expected.append(loss)
    got = jax.jit(jm.decoupled_loss, static_argnames="power")(
        mixed(lam), logits, labels, eta=jnp.float32(0.1), power=power
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_decoupled_is_cross_entropy_where_nothing_is_mixed():
    logits, labels = jax.random.normal(KEY, (4, 3)), jnp.array([0, 1, 2, 0])

    @partial(jax.jit, static_argnames="power")
    def loss(logits, lam, labels=labels, eta=0.1, power=0.5):
        return jm.decoupled_loss(mixed(lam), logits, labels, eta=eta, power=power)

    gradient = jax.jit(jax.grad(lambda logits, lam: loss(logits, lam).sum(), (0, 1)))
    plain = jax.jit(cross_entropy)
    for lam, ids in ((jnp.ones(4), labels), (jnp.zeros(4), labels[::-1])):
        np.testing.assert_allclose(loss(logits, lam), plain(logits, ids), rtol=1e-5)
        chex.assert_tree_all_finite(gradient(logits, lam))
    half = jnp.full(4, 0.5)
    one = jm.decoupled_loss(mixed([0.5]), logits[:1], labels[:1])  # its own partner
    np.testing.assert_allclose(one, cross_entropy(logits[:1], labels[:1]), rtol=1e-5)
    np.testing.assert_array_equal(loss(logits, half, jnp.full(4, -1)), 0)
    assert jax.eval_shape(loss, logits.astype(jnp.bfloat16), half).dtype == jnp.float32
    # The two classes do not compete: raising both leaves φ of each as the rest has it.
    rest = jnp.array([[50.0, 50.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    got = loss(rest, half, jnp.array([0, 0, 1, 1]), 1e6)
    assert float(got[0]) == pytest.approx(np.log(2), rel=1e-4) and got[1] > 9e5
    with pytest.raises(TypeError, match="call argmax"):
        jm.decoupled_loss(mixed([0.5] * 4), logits, jnp.eye(4))


def test_mixupe_is_their_code():
    logits = 2 * jax.random.normal(KEY, (40, 3))
    labels = jnp.arange(40) % 3
    expected, alpha = [], 2.0
    for o, y in zip(np.asarray(logits, np.float64), labels, strict=True):
        p = np.exp(o) / np.exp(o).sum()
        term = sum((float(k == y) - p[k]) * o[k] for k in range(3))
        mean = (alpha + 1) / ((alpha + 1) + alpha)
        expected.append(-(1 - mean) * term if term < 0.1 else 0)
    penalty = jax.jit(partial(jm.mixupe_penalty, logits, labels, threshold=0.1))
    np.testing.assert_allclose(penalty(alpha=alpha), expected, rtol=1e-4, atol=1e-6)
    assert 0 < np.count_nonzero(expected) < 40
    np.testing.assert_array_equal(penalty(alpha=0.0), 0)
    gradient = jax.jit(
        jax.grad(lambda o: jm.mixupe_penalty(o, labels, alpha=1.0, threshold=0.1).sum())
    )(logits)
    np.testing.assert_array_equal(gradient.any(axis=1), np.asarray(expected) != 0)
    with pytest.raises(ValueError, match=r"alpha=-1\.0"):
        jm.mixupe_penalty(logits, labels, alpha=-1)
    with pytest.raises(TypeError, match="call argmax"):
        jm.mixupe_penalty(logits, jnp.eye(40), alpha=1.0)


def test_a_mix_of_a_mix_as_the_docstring_says():
    first = jm.sample_mixup(jax.random.key(1), (4,), per="example")
    second = jm.sample_mixup(jax.random.key(2), (4,), per="example", pairing=jm.roll())
    ids, logits = jnp.array([0, 1, 2, 3]), jax.random.normal(KEY, (4, 4))

    def ce(logits, ids):
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), ids[:, None], 1)[:, 0]

    soft = jm.blend_labels(second, jm.blend_labels(first, ids, num_classes=4))
    expected = -(soft * jax.nn.log_softmax(logits)).sum(axis=1)
    pairs = {"own": ids, "other": jm.take_partner(first, ids), "lam": first.lam}
    of_pair = lambda o, t: t["lam"] * ce(o, t["own"]) + (1 - t["lam"]) * ce(o, t["other"])
    np.testing.assert_allclose(jm.pair_loss(second, of_pair, logits, pairs), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_losses_come_out_wide(dtype):
    with enable_x64(dtype == "float64"):
        outputs = jnp.full(2, 300.0, dtype)  # squares overflow half precision in a mean, not alone
        mix = jm.Mix(jm.reverse(), jnp.array([0.75], jnp.float32), jnp.full(2, 0.7, jnp.float32))
        loss = jm.pair_loss(mix, lambda o, t: o + 0 * t, outputs, outputs)
        assert loss.dtype == (jnp.float64 if dtype == "float64" else jnp.float32)
        np.testing.assert_allclose(loss, 300.0, rtol=1e-6)
        reg = jm.regmixup_loss(mix, lambda o, t: o, jnp.concatenate([outputs] * 2), outputs)
        assert reg.dtype == loss.dtype
        np.testing.assert_allclose(reg, 600.0, rtol=1e-6)


def test_half_precision_losses_are_weighed_in_float32():
    own, other = jnp.array([1.0, 256.0], jnp.bfloat16), jnp.array([3.0, 100.0], jnp.bfloat16)
    loss = jm.pair_loss(MIX, lambda o, t: t, None, own, other=other)
    np.testing.assert_array_equal(loss, [1.5, 217.0])
