"""Ways to train an MLP on half of scikit-learn's digits, for the questions that compare them.

A third of the digits tests, the same for all seeds. Half of all, drawn by seed from the others,
trains. The remaining sixth is for choosing.
"""

import dataclasses
import functools
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, PRNGKeyArray

import jax_mixup as jm
from experiments.core import classify
from experiments.core.classify import Pair
from experiments.core.methods import Method
from experiments.core.seeds import SeedTrainer, epoch_trainer
from experiments.core.step import Recipe
from experiments.data import digits, split
from experiments.harness import cli
from experiments.harness.choose import OUTSIDE, Choice, Search
from experiments.harness.jobs import Job, Task
from experiments.models.mlp import MLP

METHODS = {
    "plain": Method(),
    "weight decay": Method(),  # the one that `search` finds
    "smoothing 0.1": Method(smoothing=0.1),
    "mixup α=0.2": Method(alpha=0.2),
    "mixup α=1": Method(alpha=1.0),
    "mixup α=8": Method(alpha=8.0),
    "CutMix α=1": Method(alpha=1.0, cutmix=1.0),
}
MIXUPS = [name for name in METHODS if name.startswith("mixup")]
TRAIN, TESTS = 898, 599  # which leave 300 for choosing
DECAYS = {str(decay): Method(weight_decay=decay) for decay in (0.03, 0.1, 0.3, 1.0, 3.0)}


@dataclasses.dataclass(frozen=True)
class Config:
    """What the questions about this network have in common."""

    smoke: cli.Flag = False
    """Two epochs and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 80
    """How long each network trains."""


def recipe_of(dropout: float, regmixup: bool, method: Method) -> Recipe:
    """AdamW on a network of two hidden layers, 128 wide."""

    def prepare(key: PRNGKeyArray, x: Array, y: Array) -> Pair:
        x = x + method.noise * jax.random.normal(key, x.shape)
        return twice(x, y) if regmixup else (x, y)

    return classify.recipe(
        make_model=lambda rngs: MLP(64, 128, digits.NUM_CLASSES, dropout=dropout, rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=method.weight_decay),
        draw=partial(mix_second, method.alpha) if regmixup else method.draw,
        prepare=prepare,
        smoothing=method.smoothing,
    )


def twice(x: Array, y: Array) -> Pair:
    """RegMixup's batch (Pinto et al. 2022, arXiv:2206.14502): the batch twice."""
    return jnp.concatenate([x, x]), jnp.concatenate([y, y])


def mix_second(alpha: ArrayLike, key: PRNGKeyArray, x: Array, y: Array) -> jm.Mix:
    """The mix: the first half stays, so that the mean loss is ½ (clean loss + mixup's loss)."""
    mix = jm.sample_mixup(key, x.shape[:1], alpha=alpha, pairing=jm.reverse(groups=2))
    return jm.keep(mix, jnp.arange(len(y)) >= len(y) // 2)


def study_of(dropout: float = 0.0, regmixup: bool = False) -> SeedTrainer:
    """Trainer that vmaps over seeds; methods with the same arguments share it."""
    return _study_of(dropout, regmixup)


@functools.cache  # which would treat a default and the same number, given, as different
def _study_of(dropout: float, regmixup: bool) -> SeedTrainer:
    return epoch_trainer(partial(recipe_of, dropout, regmixup), batch=50)


@partial(jax.jit, static_argnames=("seeds", "choosing"))
def drawn(seeds: range, rate: ArrayLike = 0.0, *, choosing: bool) -> split.Split:
    """Half of the digits for training, others for each seed, a fraction of their labels wrong.

    Args:
      seeds: whose draws, each on a leading axis.
      rate: the fraction of wrong labels.
      choosing: test on the 300 that are left, others for each seed, instead of the 599 that are set
        aside for all.
    """
    x, y = digits.digits()
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    sizes = {"train": TRAIN, "tests": TESTS, "choosing": choosing}
    return jax.vmap(lambda key: split.draw(key, x, y, noise=rate, **sizes))(keys)


def search(
    open_methods: Mapping[str, Mapping[str, Method]],
    rates: Mapping[str, float],
    *,
    score: str,
    seeds: int,
    epochs: int,
    said: bool = True,
) -> Search:
    """Choose the best candidate for each rate by the last `score` outside the test set.

    Args:
      open_methods: method -> candidates by name.
      rates: group -> fraction of wrong labels.
      score: one of `metrics.classification`.
      seeds, epochs: as in the run that this is for.
      said: whether the verdict names what was chosen.
    """
    candidates = {name: m for methods in open_methods.values() for name, m in methods.items()}

    def work(task: Task) -> list[dict]:
        data = drawn(task.seeds, rates[task.group], choosing=True)
        sizes = {"seeds": task.seeds, "epochs": epochs, "tick": task.tick}
        _, scores = study_of().fit(candidates[task.method], data, **sizes)
        curves = zip(task.seeds, scores[score].round(5).tolist(), strict=True)
        return [{"seed": seed, "curve": curve} for seed, curve in curves]

    return Search(
        open_methods,
        work,
        groups=rates,
        facts={"chosen by": score},
        ticks=epochs,
        said=described if said else None,
        other=OUTSIDE,
    )


def described(job: Job, best: Choice) -> str:
    """What was chosen for a group and method."""
    return f"{job[0]}, {job[1]}: {best.name} (lowest after {best.epoch + 1} epochs)"
