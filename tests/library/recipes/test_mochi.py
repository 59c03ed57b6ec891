"""MoCHi's synthetic hard negatives."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jax_mixup as jm

KEY = jax.random.key(0)


def unit(z):
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def test_the_formula_by_hand(monkeypatch):
    """With these places among the hardest, and these weights."""
    rng = np.random.default_rng(0)
    q, bank = (unit(rng.normal(size=(n, 5))).astype(np.float32) for n in (3, 12))
    places = rng.integers(0, 4, (3, 2 * 6 + 2)).astype(np.int32)
    u = rng.uniform(size=(3, 8)).astype(np.float32)
    monkeypatch.setattr(jax.random, "randint", lambda *_: places)
    monkeypatch.setattr(jax.random, "uniform", lambda *_: u)
    found = jm.mochi(KEY, q, bank, hardest=4, pairs=6, with_query=2)
    for i in range(3):
        hard = sorted(range(12), key=lambda k: -(bank[k] @ q[i]))[:4]
        for k in range(8):
            second = bank[hard[places[i, 6 + k]]]
            first, weight = (bank[hard[places[i, k]]], u[i, k]) if k < 6 else (q[i], u[i, k] / 2)
            wanted = unit(weight * first + (1 - weight) * second)
            np.testing.assert_allclose(found[i, k], wanted, rtol=1e-5, atol=1e-6)


def test_weights_are_uniform():
    """Of orthogonal entries the weights can be read from the result."""
    bank, q = jnp.eye(3)[:2], jnp.tile(jnp.eye(3)[2], (2000, 1))
    found = np.asarray(jm.mochi(KEY, q, bank, hardest=2, pairs=2, with_query=1), np.float64)
    weight = found / found.sum(axis=2, keepdims=True)
    mixed = weight[:, :2].reshape(-1, 3)
    both = mixed[(mixed[:, :2] > 0).all(axis=1)]
    assert abs(len(both) / len(mixed) - 0.5) < 0.05 and (mixed[:, 2] == 0).all()
    assert stats.kstest(both[:, 0], "uniform").pvalue > 1e-4
    assert stats.kstest(2 * weight[:, 2, 2], "uniform").pvalue > 1e-4
    entries = np.argmax(weight[:, 2, :2], axis=1)
    assert abs(entries.mean() - 0.5) < 0.05


def test_only_the_hardest():
    bank = jnp.eye(6)
    q = jnp.asarray(unit(np.array([[6.0, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]])), jnp.float32)
    found = np.asarray(jm.mochi(KEY, q, bank, hardest=3, pairs=64))
    assert (found[0, :, 3:] == 0).all() and (found[1, :, :3] == 0).all()
    assert (found[0, :, :3].max(axis=0) > 0.5).all() and (found[1, :, 3:].max(axis=0) > 0.5).all()
    harder = jm.mochi(KEY, q, bank, hardest=3, pairs=0, with_query=64)
    assert (harder * q[:, None]).sum(-1).mean() > (found * np.asarray(q)[:, None]).sum(-1).mean()


def test_lengths_dtypes_and_gradients():
    rng = np.random.default_rng(0)
    q, bank = (jnp.asarray(unit(rng.normal(size=(n, 8)))) for n in (4, 16))
    for dtype in (jnp.float32, jnp.bfloat16):
        given = q.astype(dtype), bank.astype(dtype)
        found = jm.mochi(KEY, *given, hardest=16, pairs=3, with_query=3)
        assert found.shape == (4, 6, 8) and found.dtype == dtype
        norm = np.linalg.norm(np.asarray(found, np.float32), axis=2)
        np.testing.assert_allclose(norm, 1, atol=1e-6 if dtype == jnp.float32 else 1e-2)
    total = lambda q, n: jm.mochi(KEY, q, n, hardest=2, pairs=1, with_query=1).sum()
    for slope in jax.grad(total, argnums=(0, 1))(q.astype(jnp.float32), bank.astype(jnp.float32)):
        assert (slope == 0).all()
    mixed = jm.mochi(KEY, q.astype(jnp.bfloat16), bank.astype(jnp.float32), hardest=2, pairs=1)
    assert mixed.dtype == jnp.bfloat16


def test_the_empty_places_of_a_queue_are_taken_last():
    q, bank = jnp.eye(4), jax.random.normal(KEY, (9, 4)).at[3:].set(jnp.nan)
    assert np.isfinite(jm.mochi(KEY, q, bank, hardest=3, pairs=32)).all()


def test_mistakes():
    z = jnp.eye(3)
    run = unwrap(jm.mochi)
    with pytest.raises(TypeError, match="bank of dtype int32"):
        run(KEY, z, jnp.ones((3, 3), int), hardest=1, pairs=1)
    with pytest.raises(ValueError, match=r"queries of shape \(3, 3\).*bank of shape \(3, 2\)"):
        run(KEY, z, z[:, :2], hardest=1, pairs=1)
    with pytest.raises(ValueError, match=r"hardest=4.*from 1 to 3"):
        jm.mochi(KEY, z, z, hardest=4, pairs=1)
    with pytest.raises(ValueError, match="pairs=0"):
        jm.mochi(KEY, z, z, hardest=1, pairs=0)
    with pytest.raises(ValueError, match="with_query=-1"):
        jm.mochi(KEY, z, z, hardest=1, pairs=1, with_query=-1)
