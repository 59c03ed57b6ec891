"""What in mixup does the work? Each method changes one thing.

The data and the MLP are those of `label_noise`: half of scikit-learn's 1,797 digits, with 40 % of
the training labels replaced by random ones, or none. What changes is who is mixed with whom in the
batch of 50 (partners by the given labels, right or wrong, or by distance), the distribution of λ,
what is mixed, and in which layer. Weight decay, dropout, label smoothing and input noise are
compared too. "One label" keeps the example's own label and draws λ ~ Beta(α + 1, α), whose expected
loss is that of mixup. "Weight law" draws w = λ(1 - κ) + κ(1 - λ) with λ ~ U(0, 1). Each seed has
the same split, wrong labels, initial weights and order under every method.

Pass rule, fixed before the run, for the last epoch's error at 40 % noise and α = 1: inputs only is
worse than mixup, by a paired 95 % interval above 0, and so is argmax; one label is within 2 points
of mixup, or its interval holds 0. Intervals are those for random halves of one data set.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.ablation import variants
from experiments.ablation.variants import ANY, MIXED, PARTNERS, one_label, variant
from experiments.core import classify
from experiments.core.seeds import epoch_trainer
from experiments.core.step import Recipe
from experiments.data.digits import digits
from experiments.data.split import Split, split
from experiments.harness import cli, intervals, plots
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule, within
from experiments.harness.runs import Run, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, SCORES, SCORES_CAPTION, Column, Table


class Method(NamedTuple):
    """A method as numbers. All but dropout are traced: one program trains all others."""

    variant: variants.Variant = variants.Variant()
    layer: float = 0
    weight_decay: float = 0.0
    smoothing: float = 0.0
    noise: float = 0.0  # standard deviation of the noise on the inputs
    dropout: float = 0.0


INPUTS = variant(1, mixed="inputs only")
METHODS = {
    "plain": Method(),
    # The best for plain training at 40 % noise, on other seeds: see `label_noise`.
    "weight decay 1": Method(weight_decay=1.0),
    "dropout 0.5": Method(dropout=0.5),
    **{f"label smoothing {e}": Method(smoothing=e) for e in (0.05, 0.1, 0.2)},
    **{f"input noise {s}": Method(noise=s) for s in (0.05, 0.1, 0.2)},
    "mixup α=1": Method(variant(1)),
    "λ per pair": Method(variant(1, "reversed", "per pair")),
    "λ per example": Method(variant(1, lam="per example")),
    **{name: Method(variant(1, name)) for name in list(PARTNERS)[2:]},
    **{name: Method(variant(1, mixed=name)) for name in list(MIXED)[1:]},
    "one label": Method(one_label(1)),
    "inputs only, nearest 5": Method(variant(1, "nearest 5", mixed="inputs only")),
    **{f"inputs only, smoothing {e}": Method(INPUTS, smoothing=e) for e in (0.05, 0.1, 0.2, 0.4)},
    **{f"layer {i}": Method(variant(1), layer=i) for i in (1, 2)},
    "any layer": Method(variant(1), layer=ANY),
    **{f"weight law κ={k}": Method(variant(k, lam="weight law")) for k in (0.1, 0.25, 0.5)},
    "mixup α=8": Method(variant(8)),
    **{f"{name}, α=8": Method(variant(8, mixed=name)) for name in list(MIXED)[1:]},
    "one label, α=8": Method(one_label(8)),
    "any layer, α=8": Method(variant(8), layer=ANY),
}
for name in ("mixup α=1", "inputs only", "argmax", "one label", "mixup α=8"):
    METHODS[f"{name}, weight decay 1"] = METHODS[name]._replace(weight_decay=1.0)
SHOWN = tuple(name for name in METHODS if ", " not in name)  # in the picture and in README.md
MAIN, GROUPS = "40 % noise", {"40 % noise": 0.4, "0 % noise": 0.0}
TABLE = Table(
    columns=(
        *ERRORS,
        Column("wrong", "train_wrong"),
        *SCORES,
    ),
    caption=f"Rows without α: α = 1. {ERRORS_CAPTION} wrong: training error in % on wrong "
    f"labels; high means not memorised. {SCORES_CAPTION}",
    methods=SHOWN,
    interval=intervals.halves(),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on digits with mixup changed in one place at a time."""

    out: Path = Path("results/ablation")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    smoke: cli.Flag = False
    """Two epochs and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 60
    """How long each network trains."""


RULE = Rule(
    "40 % noise, points above mixup α=1: inputs only {0}, argmax {1}, one label {2}. "
    "Pass rule: {verdict}.",
    (
        Claim(MAIN, "mixup α=1", over="inputs only"),
        Claim(MAIN, "mixup α=1", over="argmax"),
        Claim(MAIN, "mixup α=1", over="one label", holds=within(2, or_interval=True)),
    ),
    interval=TABLE.interval,
)


def recipe_of(dropout: float, method: Method) -> Recipe:
    return classify.recipe(
        make_model=lambda rngs: variants.AnyLayerMLP(64, 128, 10, dropout=dropout, rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=method.weight_decay),
        draw=partial(variants.draw, method.variant),
        prepare=lambda key, x, y: (x + method.noise * jax.random.normal(key, x.shape), y),
        smoothing=method.smoothing,
        layer=jnp.asarray(method.layer),
    )


def make_work(config: Config) -> Work:
    """A function that trains all seeds of one method in one group."""
    trainers = {rate: epoch_trainer(partial(recipe_of, rate), batch=50) for rate in (0.0, 0.5)}

    @functools.cache
    def data(group: str, seeds: range) -> Split:
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        half = partial(split, train=898, noise=GROUPS[group])
        x, y = digits()
        return jax.vmap(lambda key: half(key, x, y))(keys)

    def work(task: Task) -> list[dict]:
        given, method = data(task.group, task.seeds), METHODS[task.method]
        trainer = trainers[method.dropout]  # dropout's draws would slow all other methods
        sizes = {"seeds": task.seeds, "epochs": config.epochs}
        state, scores = trainer.fit(method, given, **sizes, tick=task.tick)
        missed = trainer.apply(method, state, given.x).argmax(-1) != given.y
        wrong = (missed & given.wrong).sum(1) / given.wrong.sum(1)  # NaN where none is
        return seed_results(scores, {"train_wrong": wrong}, seeds=task.seeds)

    return work


def plot(path: Path, title: str, runs: list[Run], methods: list[str]) -> None:
    plots.gains(path, title, runs, list(SHOWN), interval=TABLE.interval)


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=2, seeds=2)
    study = Study(
        out=config.out,
        title=f"Mixup changed in one place, digits, {config.seeds} paired seeds",
        name="ablation",
        config=config,
        groups=GROUPS,
        methods=[name for name in METHODS if not (config.smoke and METHODS[name].dropout)],
        seeds=config.seeds,
        ticks=config.epochs,
        work=make_work(config),
        table=TABLE,
        plot=plot,
        rule=None if config.smoke else RULE,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("ablation", Config, main, __doc__)
