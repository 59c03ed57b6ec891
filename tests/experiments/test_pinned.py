"""The numbers of three steps of each kind of recipe, from before the training core was one."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import experiments
import jax_mixup as jm
from experiments.core import classify
from experiments.core.step import Recipe, init, train_step
from experiments.models.mlp import MLP
from tests.experiments.pinned import PINNED

MODEL = lambda rngs: MLP(64, 16, 10, dropout=0.25, rngs=rngs)
DRAW = classify.by_shape(partial(jm.sample_mixup, alpha=1.0))


def noisy(key, x, y):
    return x + 0.1 * jax.random.normal(key, x.shape), y


def taught(task):
    """A mixed loss to the teacher's predictions, and cross-entropy."""
    x, y = task.batch
    key_mix, key_model = jax.random.split(task.key)
    mix = jm.sample_mixup(key_mix, y.shape)
    out = task.student(jm.blend(mix, x), train=True, key=key_model)
    target = jm.blend_labels(mix, jax.nn.softmax(task.teacher(x, train=False)))
    agree = jnp.square(jax.nn.softmax(out) - target).mean()
    return agree + classify.cross_entropy(out, y).mean(), {}


mixing = partial(classify.recipe, MODEL, optax.adamw(1e-2), DRAW)
RECIPES = {
    "mixed": lambda: mixing(smoothing=0.1),
    "accumulated": lambda: mixing(accumulate=2, ema=0.9),
    "features": lambda: mixing(prepare=noisy, layer=1, mix_prob=lambda step: jnp.float32(0.5)),
    "taught": lambda: Recipe(MODEL, optax.adamw(1e-2), taught, ema=0.9),
}


@pytest.mark.parametrize("name", RECIPES)
def test_three_steps(name):
    """To 1e-5: other CPUs, and XLA's lower optimisation in these tests, round otherwise."""
    rng, expected = np.random.default_rng(0), PINNED["steps"][name]
    images = jnp.asarray(rng.normal(size=(3, 16, 8, 8, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 10, (3, 16)))
    recipe, losses = RECIPES[name](), []
    state, step = init(recipe, jax.random.key(0)), jax.jit(partial(train_step, recipe))
    for batch in zip(images, labels, strict=True):
        state, scores = step(state, jax.random.key(1), batch)
        losses.append(float(scores["loss"]))
    assert losses == pytest.approx(expected["losses"], rel=1e-5)
    assert float(optax.tree.norm(state.params)) == pytest.approx(expected["norm"], rel=1e-5)


def test_every_study_is_pinned():
    homes = Path(experiments.__file__).parent.glob("*/results")
    studies = {home.parent.name for home in homes} - {"benchmarks", "gallery", "imagenet"}
    assert studies <= PINNED.keys()
