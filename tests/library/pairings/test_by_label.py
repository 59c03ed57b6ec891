"""Pairings by labels."""

import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.statistics import KEYS, close, frequencies

LABELS = jnp.array([4, 0, 4, 2, 0, 4, -1])
SAME = np.asarray(LABELS)[:, None] == np.asarray(LABELS)[None, :]
COUNTS = SAME.sum(axis=1)


def test_within_class():
    others = SAME & ~np.eye(7, dtype=bool)
    expected = np.where(COUNTS[:, None] > 1, others / np.maximum(COUNTS - 1, 1)[:, None], np.eye(7))
    close(frequencies(lambda key: jm.within_class(key, LABELS), 7), expected)
    assert sorted(jm.within_class(KEYS[0], LABELS).tolist()) == list(range(7))


def test_across_class():
    expected = ~SAME / (~SAME).sum(axis=1, keepdims=True)
    close(frequencies(lambda key: jm.across_class(key, LABELS), 7), expected)
    assert jm.across_class(KEYS[0], jnp.zeros(3, jnp.int32)).tolist() == [0, 1, 2]


def test_class_balanced():
    expected = 1 / COUNTS / len(set(LABELS.tolist()))
    close(frequencies(lambda key: jm.class_balanced(key, LABELS), 7), expected[None, :])


def test_by_label_kernel():
    y = np.array([[0.0, 0], [1, 0], [1, 1], [3, 0]], np.float32)
    d2 = ((y[:, None] - y[None, :]) ** 2).sum(axis=-1)
    kernel = np.exp(-d2 / (2 * 0.8**2))
    expected = kernel / kernel.sum(axis=1, keepdims=True)
    close(frequencies(lambda key: jm.by_label_kernel(key, jnp.asarray(y), 0.8), 4), expected)
    near = jnp.array([10_000.0, 10_000.5, 20_000.0])  # no cancellation far from zero
    assert jm.by_label_kernel(KEYS[0], near, 1e-3).tolist() == [0, 1, 2]
