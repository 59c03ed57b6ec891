"""Mixing at test time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import seed

KEY = jax.random.key(0)
POOL = jnp.repeat(jnp.eye(4), jnp.array([1, 2, 3, 0]), axis=0)  # classes 0 to 2; 3 is not there
CLASSES = jnp.array([0, 1, 1, 2, 2, 2])


def infer(which, x, lam=0.5, samples=400, labels=CLASSES):
    """The mean of what was mixed in: `predict` shows its input."""
    seen = []

    def predict(x):
        jax.debug.callback(lambda x: seen.append(np.asarray(x)), x, ordered=True)
        return 9 * x

    run = jax.jit(partial(jm.mixup_inference, predict=predict, which=which, samples=samples))
    p = run(seed(which), x=x, pool=POOL, labels=labels, lam=lam)
    jax.block_until_ready(p)
    jax.effects_barrier()
    return np.asarray(p), np.stack(seen[1:])


def test_inference_mixes_with_the_classes_it_says():
    x = jnp.eye(4)[jnp.array([0, 1, 2, 3])]
    p, seen = infer("other", x, lam=0.25)
    np.testing.assert_allclose(seen.sum(axis=2), 1, rtol=1e-6)
    for row, others in enumerate([(1, 2), (0, 2), (0, 1), (0, 1, 2)]):
        taken = (seen[:, row] - 0.25 * np.asarray(x)[row]) / 0.75
        for k in range(4):  # each class as often, however many examples it has
            share = 1 / len(others) if k in others else 0
            assert abs(taken[:, k].mean() - share) <= 5 * np.sqrt(share * (1 - share) / 400)
    logits = 9 * seen.astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(p, expected.mean(axis=0), rtol=1e-5)
    _, same = infer("predicted", x, lam=0.25, samples=3)
    np.testing.assert_allclose(same, np.broadcast_to(x, (3, 4, 4)), atol=1e-6)  # 3: none, as it is


def test_inference_of_a_pool_that_lacks_everything_else():
    x = jnp.eye(4)[:1]
    _, seen = infer("other", x, samples=2, labels=jnp.array([0, 7, -1, 7, -1, 7]))
    np.testing.assert_array_equal(seen, np.broadcast_to(x, (2, 1, 4)))
    arguments = (KEY, lambda x: x, x, POOL, CLASSES)
    with pytest.raises(ValueError, match="which='all'; it needs one of"):
        jm.mixup_inference(*arguments, which="all")
    with pytest.raises(ValueError, match="samples=0"):
        jm.mixup_inference(*arguments, samples=0)
    with pytest.raises(ValueError, match=r"lam=1.5; it needs a number in \[0, 1\]"):
        jm.mixup_inference(*arguments, lam=1.5)
    with pytest.raises(ValueError, match=r"labels of shape \(5,\); it needs \(6,\)"):
        jm.mixup_inference(KEY, lambda x: x, x, POOL, CLASSES[:5])
    with pytest.raises(TypeError, match="call argmax"):
        jm.mixup_inference(KEY, lambda x: x, x, POOL, CLASSES.astype(float))
