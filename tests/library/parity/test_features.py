"""Mixing hidden features, and at test time, against the code of their authors."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.parity.cases import KEY, Case, f32, i32, mixup, run, same


def test_mixstyle():
    case = Case("mixstyle")

    def ours(lam):
        mix = jm.Mix(i32(case.index), lam, lam)
        return jm.blend_moments(mix, f32(case.x), axes=(1, 2), epsilon=1e-6, detach=True)

    same(run(ours, case.lam), case.mixed, atol=1e-5)


def test_moex():
    case = Case("moex")
    axes = {"pono": (-1,), "instance": (1, 2), "layer": (1, 2, 3)}

    def ours(x):
        swap = jm.Mix(i32(case.index), jnp.zeros(1), jnp.full(4, 0.9))
        blend = lambda axes: jm.blend_moments(swap, x, axes=axes, epsilon=1e-5)
        return {name: blend(taken) for name, taken in axes.items()}

    for name, mixed in run(ours, case.x).items():
        same(mixed, case[name], atol=2e-5)


def test_noisy_feature_mixup(monkeypatch):
    case = Case("nfm")
    strength = np.repeat([[case.beta_mult], [case.beta_add]], 6, axis=1)

    def ours(strength, uniform, normal):
        uniforms = lambda key, shape, *_: strength if shape == (2, 6) else 2 * uniform - 1
        monkeypatch.setattr(jax.random, "uniform", uniforms)
        monkeypatch.setattr(jax.random, "normal", lambda *_: normal)
        mixed = jm.blend(mixup(case.index, case.lam), f32(case.x))
        return jm.add_noise(KEY, mixed, additive=0.4, multiplicative=0.2)

    same(run(ours, strength, case.uniform, case.normal), case.mixed)


def test_mixup_inference(monkeypatch):
    """With examples of the predicted class, one at a time."""
    case = Case("mixupinference")

    def ours(w, pick):
        monkeypatch.setattr(
            jax.random, "categorical", lambda key, logits, axis: logits.argmax(axis)
        )
        monkeypatch.setattr(jax.random, "uniform", lambda *_: pick / 2 + 0.1)
        pool = f32(case.x), f32(case.pool), i32(case.labels)
        predict = lambda x: jax.nn.relu(x) @ w
        return jm.mixup_inference(KEY, predict, *pool, which="predicted", samples=1)

    same(run(ours, case.w, case.pick), case.probability, atol=1e-5)
