"""The comparison of the whole family, and its costs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from experiments.benchmarks import costs
from experiments.core import loop
from experiments.core.seeds import batch_trainer
from experiments.core.step import Recipe, init, train_step
from experiments.data import digits
from experiments.family import __main__ as family
from experiments.family import methods as family_methods
from experiments.models.family import Classifier, WithPolicy
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here


def runs(errors):
    return [
        {"group": "g", "method": method, "seed": seed, "last_error": error}
        for method, values in errors.items()
        for seed, error in enumerate(values)
    ]


def test_what_cannot_be_told_from_the_best_is_named():
    found = runs({
        "plain": [10.0, 11.0, 12.0, 13.0],
        "good": [5.0, 6.1, 7.0, 8.1],
        "as good": [5.2, 6.0, 7.1, 8.0],
        "worse": [6.0, 7.0, 8.1, 9.0],
        "bad": [12.0, 13.1, 14.0, 15.1],
    })  # fmt: skip
    text = family.told_apart(found, "g", ["plain", "good", "as good", "worse", "bad"])
    assert "lowest good; its interval does not tell it from as good." in text
    assert "Of 4 methods 3 gain over plain training and 1 lose" in text


def test_unknown_methods_are_refused(tmp_path):
    with pytest.raises(loop.Stop, match=r"methods \['mixdown'\]; it needs some of \['plain'"):
        family.main(family.Config(out=tmp_path, methods=("mixdown",)))


def test_a_teacher_is_not_what_is_scored():
    def recipe_of(ema, rate):
        loss = lambda task: (jnp.square(task.student(task.batch)).sum(), {})
        make_model = lambda rngs: nnx.Linear(2, 1, rngs=rngs)
        return Recipe(make_model, optax.sgd(rate), loss, ema=ema)

    batch_of, score = lambda key, x: x, lambda model, x: {"out": model(x).sum()}
    options = {"seeds": [0], "steps": 4, "every": 2, "tick": lambda n: None}

    def out(ema, **how):
        trainer = batch_trainer(partial(recipe_of, ema), batch_of, score, **how)
        state, scores = trainer.fit(0.05, jnp.ones((1, 3, 2)), **options)
        assert trainer.apply(0.05, state, jnp.ones((1, 3, 2)))["out"] == scores["out"][0, -1]
        return scores["out"]

    np.testing.assert_array_equal(out(0.9, averaged=False), out(None))
    assert (out(0.9) != out(None)).all()


def step_of(name, x, y):
    policy = WithPolicy if name == "AdaMixUp" else Classifier
    loss = family_methods.table(100)[name]
    recipe = Recipe(
        lambda rngs: policy(x.shape[-1], rngs=rngs),
        optax.adamw(1e-3),
        lambda task: (loss(task, *task.batch), {}),
        ema=0.99 if "Auto" in name else None,
    )

    def step(key):
        state = init(recipe, key)
        return state, *train_step(recipe, state, key, (x, y))

    return step


@pytest.mark.parametrize(
    "name", [pytest.param("AutoMix", marks=pytest.mark.slow), "manifold mixup"]
)
def test_a_step_learns_what_it_should(name):
    x, y = (jnp.asarray(a[:8]) for a in digits.digits())
    before, after, scores = jax.jit(step_of(name, x, y))(jax.random.key(0))
    assert np.isfinite(scores["loss"])
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), before.params, after.params)
    largest = lambda part: max(jax.tree.leaves(part))
    assert largest(moved["net"]) > 5e-4
    # Weight decay alone moves what has no gradient, a hundredth as far.
    assert (largest(moved["block"]) > 5e-4) == (name == "AutoMix")


@pytest.mark.slow
@pytest.mark.parametrize("name", family_methods.table(1))
def test_every_loss_traces_on_digits_and_on_pictures(name):
    for shape in ((50, 8, 8, 1), (50, 32, 32, 3)):
        step = step_of(name, jnp.ones(shape), jnp.zeros(50, jnp.int32))
        _, _, scores = jax.eval_shape(step, jax.random.key(0))
        assert scores["loss"].shape == ()


@pytest.mark.slow
def test_smoke(tmp_path):
    assert family.main(family.Config(out=tmp_path, smoke=True, methods=("mixup",))) == 0
    pinned.check("family", tmp_path / "smoke")
    assert (tmp_path / "smoke/table.md").exists() and (tmp_path / "smoke/plot.png").exists()
    lines = (tmp_path / "smoke/runs.jsonl").read_text().splitlines()
    assert len(lines) == 4  # plain and mixup, two seeds


def test_the_cost_table_says_who_misses_the_goal():
    names = {row.split("|")[0] for row in costs.limits()}
    assert names <= set(costs.CASES) and set(costs.APART) | set(costs.FOLLOW) <= names
    results = {row: {"ratio": limit} for row, limit in costs.limits().items()}
    assert costs.judge(results).startswith("Goal: at most 2 x mixup per batch from the key alone")
    assert costs.judge(results).endswith("GuidedMixup 5; SnapMix 6. Met.")
    over = {"RICAP|batch": 3.1, "FMix|example": 57.0, "SnapMix|None": 48.7}
    results |= {row: {"ratio": ratio} for row, ratio in over.items()}
    found = costs.judge(results)
    for text in ("RICAP per batch 3.10 (3)", "FMix per example 57.00 (10)", "SnapMix 48.70 (6)"):
        assert text in found.partition("Missed by ")[2]


def test_costs_smoke(tmp_path):
    assert costs.main(costs.Config(out=tmp_path, smoke=True)) == 0
    table = (tmp_path / "smoke/table.md").read_text()
    assert "| mixup | key | 0 | 1.00 |" in table and "| SaliencyMix | saliency |" in table
