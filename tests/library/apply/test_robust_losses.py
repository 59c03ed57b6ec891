"""Losses for calibration and robustness, by loops in float64."""

from inspect import unwrap

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.adjust.test_predictions import CLEAN, LABELS, LAM, MIXED, PARTNER, distances

LOGITS = (3 * np.random.default_rng(0).normal(size=(4, 6, 5))).astype(np.float32)
SOFT = np.random.default_rng(1).dirichlet(np.ones(5), (3, 6)).astype(np.float32)


def softmax(x):
    e = np.exp(np.asarray(x, np.float64) - np.max(x))
    return e / e.sum()


def ndcg(clean, mixed, weights):
    """1 - the ratio of two sums over the order of the weights, for one example."""
    order = sorted(range(len(weights)), key=lambda j: -weights[j])
    gain, ideal = softmax(clean).max(), 1.0
    for place, j in enumerate(order, start=2):
        gain += softmax(mixed[j]).max() / np.log2(place + 1)
        ideal += weights[j] / np.log2(place + 1)
    return 1 - min(gain / ideal, ideal / gain)


def test_mndcg_by_hand():
    clean, mixed = LOGITS[0], LOGITS[1:]
    soft = SOFT.copy()
    soft[0, 2] = soft[1, 2]  # of the same weight: the first comes first
    soft[:, 3] = np.eye(5)[1]  # of one class
    found = jax.jit(jm.rankmixup_loss)(clean, list(mixed), list(soft))
    expected = [ndcg(clean[i], mixed[:, i], soft[:, i].max(-1)) for i in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.dtype == jnp.float32 and (np.asarray(found) >= 0).all()
    one = jm.rankmixup_loss(clean, [mixed[0]], [soft[0]])
    expected = [ndcg(clean[i], mixed[:1, i], soft[:1, i].max(-1)) for i in range(6)]
    np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)


def test_mndcg_is_zero_where_confidences_are_the_weights():
    weights = np.array([[0.9, 0.8], [0.6, 0.7]], np.float32)
    logits = np.log(np.stack([weights, 1 - weights], -1))
    sure = jnp.array([[90.0, 0.0]] * 2)
    soft = np.stack([1 - weights, weights], -1)  # of another class: only the size counts
    np.testing.assert_allclose(jm.rankmixup_loss(sure, list(logits), list(soft)), 0, atol=1e-6)
    swapped = jm.rankmixup_loss(sure, list(logits[::-1]), list(soft))
    assert (np.asarray(swapped) > 1e-3).all()


def test_mrl_by_hand():
    clean, mixed, soft = LOGITS[0], LOGITS[1:], SOFT.copy()
    soft[1, 2], soft[0, 3] = np.eye(5)[4], [0.3, 0.7 - 1e-7, 1e-7, 0, 0]
    loss = jax.jit(lambda margin: jm.rankmixup_loss(clean, list(mixed), list(soft), form="mrl",
                                                    margin=margin))  # fmt: skip
    for margin in (2.0, 0.0):
        expected = np.zeros(6)
        for i in range(6):
            for j in range(3):
                if soft[j, i].max() < 1:
                    expected[i] += max(mixed[j, i].max() - clean[i].max() + margin, 0) / 3
        np.testing.assert_allclose(loss(margin), expected, rtol=1e-5)
    same = jm.blend_labels(
        jm.sample_mixup(jax.random.key(0), (6,)), jnp.zeros(6, int), num_classes=5
    )
    np.testing.assert_array_equal(jm.rankmixup_loss(clean, [9 + clean], [same], form="mrl"), 0)


def test_jsd_by_hand():
    views = LOGITS[:3].copy()
    views[0, 1, 2] = views[2, 1, 2] = views[1, 1, 3] = -np.inf
    views[:, 4, 0] = -np.inf
    found = jax.jit(jm.jsd_loss)(list(views))
    expected = []
    for i in range(6):
        p = np.stack([softmax(view[i]) for view in views])
        mean = p.mean(0)
        expected.append(
            sum(v[c] * np.log(v[c] / mean[c]) for v in p for c in range(5) if v[c] > 0) / 3
        )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    gradient = jax.jit(jax.grad(lambda x: jm.jsd_loss(list(x)).sum()))(views)
    chex.assert_tree_all_finite(gradient)
    assert np.asarray(gradient[:, 0]).any(axis=1).all()  # all views learn
    np.testing.assert_allclose(jm.jsd_loss([views[0]] * 4), 0, atol=1e-6)
    halves = jm.jsd_loss([x.astype(jnp.bfloat16) for x in jnp.asarray(LOGITS[:2])])
    assert halves.dtype == jnp.float32


def penalty(scale, v, seen, q=None):
    unit = lambda x: softmax(x) / np.linalg.norm(softmax(x))
    expected = []
    for i, p in enumerate(PARTNER):
        own, rest = distances(CLEAN, MIXED, LABELS, i)
        loss = 0.0
        for weight, d, u, y in (
            (LAM[i], own, v[i], LABELS[i]),
            (1 - LAM[i], rest, v[p], LABELS[p]),
        ):
            z = np.exp(-(unit(u) + unit(seen[i]) + scale * d))
            loss -= weight * np.log(softmax(z)[y]) if 0 <= y < 5 else 0
        expected.append(loss)
    return expected


def test_the_penalty_by_hand():
    mix = jm.Mix(jnp.asarray(PARTNER), jnp.asarray(LAM), jnp.asarray(LAM))
    v, seen = LOGITS[1], LOGITS[2]
    loss = jax.jit(lambda clean, uncertainty, scale: jm.sumix_penalty(
        mix, clean, MIXED, uncertainty, LABELS, scale=scale))  # fmt: skip
    for scale in (0.0, 3.0, 100.0):
        found = loss(CLEAN, (v, seen), scale)
        np.testing.assert_allclose(found, penalty(scale, v, seen), rtol=1e-5)
    gradient = jax.grad(lambda *x: loss(*x, 1.0).sum(), argnums=(0, 1))(CLEAN, (v, seen))
    np.testing.assert_array_equal(gradient[0], 0)
    assert all(np.asarray(g).any() for g in gradient[1])
    other = CLEAN[PARTNER], v[PARTNER], LABELS[PARTNER]
    found = jm.sumix_penalty(mix, CLEAN, MIXED, (v, seen), LABELS, scale=3.0, other=other)
    np.testing.assert_allclose(found, penalty(3.0, v, seen), rtol=1e-5)


def test_a_batch_of_one():
    one = [x[:1] for x in (LOGITS[0], LOGITS[1])]
    assert jm.jsd_loss(one).shape == (1,)
    assert jm.rankmixup_loss(one[0], one[1:], [SOFT[0, :1]]).shape == (1,)
    mix = jm.sample_mixup(jax.random.key(0), (1,))
    loss = jm.sumix_penalty(mix, one[0], one[0], (one[1], one[1]), jnp.array([2]))
    assert loss.shape == (1,) and np.isfinite(loss).all()


def test_mistakes():
    clean, mixed, soft = LOGITS[0], list(LOGITS[1:]), list(SOFT)
    with pytest.raises(ValueError, match="form='both'; it needs one of 'mrl', 'mndcg'"):
        jm.rankmixup_loss(clean, mixed, soft, form="both")
    for wrong in ((clean, mixed, soft[:2]), (clean, [], []), (clean[0], mixed, soft)):
        with pytest.raises(ValueError, match=r"a list of logits.*\[mixed\]"):
            unwrap(jm.rankmixup_loss)(*wrong)
    with pytest.raises(ValueError, match=r"mixed of shape \(5, 5\); it needs \(6, 5\)"):
        unwrap(jm.rankmixup_loss)(clean, [mixed[0][:5]], soft[:1])
    with pytest.raises(ValueError, match=r"jsd_loss got 1 arrays.*jnp.split"):
        jm.jsd_loss([clean])
    with pytest.raises(ValueError, match=r"0 arrays"):
        jm.jsd_loss([])
    with pytest.raises(ValueError, match=r"logits of shape \(5, 5\)"):
        unwrap(jm.jsd_loss)([clean, clean[:5]])
    mix = jm.sample_mixup(jax.random.key(0), (6,))
    with pytest.raises(ValueError, match=r"uncertainty of shape \(6, 4\)"):
        unwrap(jm.sumix_penalty)(mix, clean, clean, (clean[:, :4], clean), jnp.zeros(6, int))
