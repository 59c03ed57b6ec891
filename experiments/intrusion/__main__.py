"""When does mixup fail? When a class lies between two others.

The data are three Gaussians in the plane, σ = 0.15: A and B are two units apart, and M lies halfway
on the segment between them or one unit off it, with 1 in 3 or 1 in 10 of 600 training points.
Mixing an A with a B makes points that look like M, with half a label A and half a label B: manifold
intrusion (Guo et al. 2019, arXiv:1809.02499). A small MLP trains by AdamW without weight decay;
partners come from the batch of 50, at random, of the same class, from the five nearest, or of
another class. "by distance" takes partners at random and warps each pair's own λ by the distance of
its points (similarity-kernel mixup, Bouniot et al. 2025, arXiv:2311.01434), at the width that the
authors' code has; "per example" is the same without the warp. All seeds train at once (vmap), each
with the same points, initial weights and order under every method, so that differences are paired.

Pass rule, fixed before the run, for the error on M where it is 1 in 10: on the segment mixup α = 1
loses at least 30 points to plain training, and the paired 95 % interval lies beyond 0; off the
segment it loses less than 1 point; and so does mixing within classes, α = 1, on the segment.

Second pass rule, fixed before its runs, for the same error, on the segment: "by distance" α = 1
loses less than 1 point to plain training, while mixup α = 1 and "per example" α = 1 lose at least
30 points each, and their paired 95 % intervals lie beyond 0.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

import jax_mixup as jm
from experiments.core import classify
from experiments.core.seeds import epoch_trainer
from experiments.core.step import Recipe
from experiments.data.split import Split
from experiments.harness import cli
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, Rule, below, loses_less_than
from experiments.harness.runs import Run, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.intrusion import figures
from experiments.models.mlp import MLP

MAIN, CONTROL = "M 1 in 10, on the segment", "M 1 in 10, beside it"
GROUPS = {"M 1 in 3, on the segment": (0, 3), MAIN: (0, 10), CONTROL: (1, 10)}  # (height, one in)
PAIRINGS = {
    "mixup": lambda key, x, y: jm.permutation(key, y.shape[0]),
    "same class": lambda key, x, y: jm.within_class(key, y),
    "nearest 5": lambda key, x, y: jm.nearest(key, x, k=5),
    "other class": lambda key, x, y: jm.across_class(key, y),
}
ALPHAS = (0.1, 0.2, 0.5, 1, 4, 8)
WIDTH = 0.5  # of the kernel: `tau_std` of the authors' code, and of the library


class Method(NamedTuple):
    """Traced numbers, so that one compiled program trains every method."""

    pairing: float = 0  # which of PAIRINGS
    alpha: float = 0.0  # 0 is plain training
    width: float = 0.0  # above 0 each pair has its own λ, warped by distance; infinity: not warped


METHODS = {"plain": Method()} | {
    f"{name} α={alpha}": Method(i, alpha) for i, name in enumerate(PAIRINGS) for alpha in ALPHAS
}
METHODS |= {f"by distance α={alpha}": Method(alpha=alpha, width=WIDTH) for alpha in ALPHAS}
METHODS |= {"per example α=1": Method(alpha=1.0, width=float("inf"))}
TABLE = Table(
    columns=(
        Column("M", "middle_error"),
        Column("gain", "middle_error", gain=True),
        Column("A and B", "outer_error"),
        Column("NLL", "nll", digits=2),
    ),
    caption="M, A and B: test error in % on M and on the other two classes. gain: points of the "
    "error on M below plain training, paired by seed. NLL: on as many points of each class.",
    methods=("plain", *(name for name in METHODS if name.startswith("mixup") or "=1" in name)),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on three classes in the plane, one of them between the others."""

    out: Path = Path("results/intrusion")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    smoke: cli.Flag = False
    """Two epochs and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 60
    """How long each network trains."""


RULE = Rule(
    "Gain on M, 1 in 10: mixup α=1 {0} on the segment, {1} beside it; same class α=1 {2}. "
    "Pass rule: {verdict}.",
    (
        Claim(MAIN, "mixup α=1", key="middle_error", holds=below(30)),
        Claim(CONTROL, "mixup α=1", key="middle_error", holds=loses_less_than(1)),
        Claim(MAIN, "same class α=1", key="middle_error", holds=loses_less_than(1)),
    ),
)
DISTANCE_RULE = Rule(
    "Gain on M, 1 in 10, on the segment, if λ is warped by the distance of the pair, α=1: {0}; by "
    "the same λ without the warp {1}, by mixup α=1 {2}. Second pass rule: {verdict}.",
    (
        Claim(MAIN, "by distance α=1", key="middle_error", holds=loses_less_than(1)),
        Claim(MAIN, "per example α=1", key="middle_error", holds=below(30)),
        Claim(MAIN, "mixup α=1", key="middle_error", holds=below(30)),
    ),
)


def verdicts(runs: list[Run]) -> str:
    return f"{RULE(runs)} {DISTANCE_RULE(runs)}"


def points(height: float, one_in: int, key: PRNGKeyArray) -> Split:
    """600 training points of A, B and M, all labels right, and 200 test points of each class."""
    middle = 600 // one_in
    y, y_test = (np.repeat(np.arange(3), n) for n in ([300 - middle // 2] * 2 + [middle], 200))
    centres = jnp.array([[-1.0, 0.0], [1.0, 0.0], [0.0, height]])
    x, x_test = (
        centres[labels] + 0.15 * jax.random.normal(key, (len(labels), 2))
        for key, labels in zip(jax.random.split(key), (y, y_test), strict=True)
    )
    return Split(x, jnp.asarray(y), jnp.zeros(600, bool), x_test, jnp.asarray(y_test))


def draw(method: Method, key: PRNGKeyArray, x: Array, y: Array) -> jm.Mix:
    key_pair, key_lam = jax.random.split(key)
    which = jnp.asarray(method.pairing, jnp.int32)
    partner = jax.lax.switch(which, list(PAIRINGS.values()), key_pair, x, y)
    draw = partial(jm.sample_mixup, key_lam, y.shape, alpha=method.alpha, pairing=partner)
    warped = jm.warp_by_distance(draw(per="example"), x, tau_std=method.width)
    return jax.tree.map(partial(jnp.where, method.width > 0), warped, draw())


def recipe_of(method: Method) -> Recipe:
    return classify.recipe(
        make_model=lambda rngs: MLP(2, 64, 3, rngs=rngs),
        optimizer=optax.adamw(3e-3, weight_decay=0.0),
        draw=partial(draw, method),
    )


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, epochs=2, seeds=2)
    trainer = epoch_trainer(recipe_of, batch=50)

    @functools.cache
    def data(group: str, seeds: range) -> Split:
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        return jax.vmap(partial(points, *GROUPS[group]))(keys)

    def work(task: Task) -> list[dict]:
        method, given = METHODS[task.method], data(task.group, task.seeds)
        sizes = {"seeds": task.seeds, "epochs": config.epochs}
        state, scores = trainer.fit(method, given, **sizes, tick=task.tick)
        missed = trainer.apply(method, state, given.x_test).argmax(-1) != given.y_test
        outer, middle = missed[:, :400].mean(axis=1), missed[:, 400:].mean(axis=1)
        final = {"outer_error": outer, "middle_error": middle}
        return seed_results(scores, final, seeds=task.seeds)

    def plot(path: Path, title: str, runs: list[Run], methods: list[str]) -> None:
        names = ("plain", "mixup α=1", "nearest 5 α=1", "by distance α=1")
        lines = [(MAIN, name) for name in (*PAIRINGS, "by distance")]
        lines += [(g, "mixup") for g in GROUPS if g != MAIN]
        points = data(MAIN, range(config.seeds))
        decide = partial(figures.decide, trainer, data=points, epochs=config.epochs)
        decided = {name: decide(METHODS[name]) for name in names}
        shown = {"lines": lines, "alphas": ALPHAS, "key": "middle_error"}
        figures.plot(path, title, runs, methods, decided=decided, data=points, **shown)

    study = Study(
        out=config.out,
        title=f"A class M between two others, {config.seeds} paired seeds, {config.epochs} epochs",
        name="intrusion",
        config=config,
        groups=GROUPS,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        table=TABLE,
        plot=plot,
        rule=None if config.smoke else verdicts,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("intrusion", Config, main, __doc__)
