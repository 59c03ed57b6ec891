"""Does mixup keep a network from memorising wrong labels?

A small MLP learns scikit-learn's 1,797 real digits, half for training and half for testing, while a
share of the training labels is replaced by random ones: plain training, weight decay, dropout,
label smoothing, mixup and CutMix. All seeds train at once (vmap), and each meets the same split,
wrong labels, initial weights and batch order under every method, so that differences are paired.
With --data, CIFAR-10 at 20, 50 and 80 % by the recipe of `experiments.cifar`, in its OUT.

Pass rule, fixed before the run: at 40 % noise, mixup α = 8 beats plain training on the last epoch's
error by at least 4 points, and the paired 95 % interval lies above 0.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console

import jax_mixup as jm
from experiments import cli, plots, report, sweep, train
from experiments.data.digits import digits
from experiments.data.split import split
from experiments.models.mlp import MLP


class Method(NamedTuple):
    """A method as numbers. All but dropout are traced: one program trains every method."""

    alpha: float = 0.0  # λ ~ Beta(α, α); 0 is off, which is plain training
    constant: float = -1.0  # λ itself, where it is not negative
    cutmix: float = 0.0  # probability of CutMix in place of mixup
    smoothing: float = 0.0
    weight_decay: float = 0.0
    dropout: float = 0.0


METHODS = {
    "plain": Method(),
    # Chosen for plain training at 40 % noise among 0.03, 0.1, 0.3, 1 and 3, on ten other seeds.
    "weight decay 1": Method(weight_decay=1.0),
    "label smoothing 0.1": Method(smoothing=0.1),
    "mixup α=1": Method(alpha=1.0),
    "mixup α=8": Method(alpha=8.0),
    "mixup α=32": Method(alpha=32.0),
    "mixup constant ½": Method(constant=0.5),
    "CutMix α=1": Method(alpha=1.0, cutmix=1.0),
}
MORE_METHODS = {  # with --full
    "weight decay 0.3": Method(weight_decay=0.3),
    "label smoothing 0.6": Method(smoothing=0.6),
    "dropout 0.5": Method(dropout=0.5),
    "dropout 0.8": Method(dropout=0.8),
    "mixup α=0.2": Method(alpha=0.2),
    "mixup α=2": Method(alpha=2.0),
    "mixup α=8, dropout 0.3": Method(alpha=8.0, dropout=0.3),
    "CutMix α=8": Method(alpha=8.0, cutmix=1.0),
    "mixup or CutMix α=8": Method(alpha=8.0, cutmix=0.5),
    "mixup α=8, weight decay 1": Method(alpha=8.0, weight_decay=1.0),
}
MEMORISED = (report.Column("right", "train_right"), report.Column("wrong", "train_wrong"))
TABLE = report.Table(
    columns=(*report.ERRORS, *MEMORISED, *report.SCORES),
    caption=f"{report.ERRORS_CAPTION} right, wrong: training error in % on right and on wrong "
    f"labels; high on wrong ones means not memorised. {report.SCORES_CAPTION}",
    options="--full",
    methods=tuple(METHODS),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train with wrong labels, and compare methods."""

    out: Path = Path("results/label_noise")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    full: cli.Flag = False
    """Sweep the rates 0, 20, 40, 60, 80 % and more methods, instead of 0 and 40 %."""
    smoke: cli.Flag = False
    """Two epochs and two seeds, into OUT/smoke: shows that everything works, and nothing else."""
    seeds: int = 10
    """How many paired seeds, two or more."""
    epochs: int = 80
    """How long each network trains."""
    hidden: int = 128
    """Width of both hidden layers."""


def sample(method: Method, key: PRNGKeyArray, shape: tuple[int, ...]) -> jm.Mix:
    """Mixup, CutMix or nothing, chosen by traced numbers."""

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
        drawn = jm.symmetric_beta(key, method.alpha, shape)
        return jnp.where(method.constant >= 0, method.constant, drawn)

    return jm.sample_mixup_or_cutmix(key, shape, lam_law=law, switch_prob=method.cutmix)


def recipe_of(hidden: int, dropout: float, method: Method) -> train.Recipe:
    return train.Recipe(
        make_model=lambda rngs: MLP(64, hidden, 10, dropout=dropout, rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=method.weight_decay),
        draw=train.by_shape(partial(sample, method)),
        smoothing=method.smoothing,
    )


def make_work(config: Config) -> Callable[..., list[dict]]:
    """The function that trains all seeds of one method at one rate."""
    images, labels = digits()
    keys = jax.vmap(jax.random.key)(jnp.arange(config.seeds))
    halves = jax.vmap(
        lambda key, rate: split(key, images, labels, train=898, noise=rate), (0, None)
    )
    study_of = functools.cache(
        lambda p: sweep.seeds(partial(recipe_of, config.hidden, p), batch=50)
    )

    def work(method: Method, rate: float, tick: Callable[[int], None]) -> list[dict]:
        data, study = halves(keys, rate), study_of(method.dropout)
        state, scores = study.fit(method, data, epochs=config.epochs, tick=tick)
        missed = study.logits(method, state, data.x).argmax(-1) != data.y
        share = lambda rows: (missed & rows).sum(1) / rows.sum(1)  # NaN where no label is wrong
        final = {"train_right": share(~data.wrong), "train_wrong": share(data.wrong)}
        return report.seed_results(scores, final)

    return work


def judge(runs: list[report.Run]) -> str:
    gain, half = report.paired(runs, "40 % noise", "plain", "mixup α=8")
    return (
        "Pass rule (40 % noise: mixup α=8 at least 4 points below plain, interval above 0): "
        f"{gain:.1f} ± {half:.1f} points, {'PASS' if gain >= 4 and gain - half > 0 else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.smoke(config, epochs=2, seeds=2) if config.smoke else config
    console, work = Console(), make_work(config)
    methods = METHODS | (MORE_METHODS if config.full else {})
    rates = {f"{n} % noise": n / 100 for n in ((0, 20, 40, 60, 80) if config.full else (0, 40))}
    jobs = [(group, method) for group in rates for method in methods]
    settings = {"experiment": "label_noise", "epochs": config.epochs, "hidden": config.hidden}
    one = lambda job, tick: work(methods[job[1]], rates[job[0]], tick)
    path = config.out / "runs.jsonl"
    runs = sweep.run(console, path, settings, jobs, config.seeds, config.epochs, one)
    title = f"Digits with wrong labels, {config.seeds} paired seeds, {config.epochs} epochs"
    shown = {"table": TABLE, "plot": partial(plots.curves, main_group="40 % noise")}
    shown["verdict"] = "" if config.smoke else judge(runs)
    report.write(config.out, console, title, runs, list(methods), **shown)
    return 0


if __name__ == "__main__":
    cli.main("label_noise", Config, main, __doc__)
