"""Does mixup keep a network from memorising wrong labels?

A small MLP learns half of scikit-learn's 1,797 real digits, with a fraction of the training labels
replaced by random ones. The methods are plain training, weight decay, dropout, label smoothing,
mixup and CutMix. All seeds train at once (vmap), and each has the same examples, wrong labels,
initial weights and batch order under every method, so that differences are paired. All seeds test
on the same 599 digits, which are never trained on. Weight decay is chosen for each rate of noise,
from five candidates, by ten other seeds and the 300 digits that each of them leaves over; the other
methods are as their names say.

With --data, networks train on CIFAR-10 at 20, 50 and 80 % noise by `experiments.cifar`, with its
recipe, options and OUT. For PreAct ResNet-18 on a GPU, in pieces of ten minutes, repeat this
command until it prints the table:

    timeout -s TERM 560 python -m experiments.label_noise --data cifar10 --model preact18 \\
        --epochs 200 --seeds 2

Pass rule, fixed before the run: at 40 % noise, mixup α = 8 beats plain training on the last epoch's
error by at least 4 points, and the paired 95 % interval lies above 0.
"""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from experiments.cifar import __main__ as cifar
from experiments.core.methods import Method
from experiments.harness import cli, digits_mlp, intervals, plots
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule, above
from experiments.harness.runs import seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, SCORES, SCORES_CAPTION, Column, Table

METHODS = {
    "plain": Method(),
    "weight decay": Method(),  # the one that `digits_mlp.search` finds
    "label smoothing 0.1": Method(smoothing=0.1),
    "dropout 0.5": Method(dropout=0.5),
    "mixup α=1": Method(alpha=1.0),
    "mixup α=8": Method(alpha=8.0),
    "mixup α=32": Method(alpha=32.0),
    "mixup constant ½": Method(alpha=float("inf")),
    "CutMix α=1": Method(alpha=1.0, cutmix=1.0),
}
MORE_METHODS = {  # with --full
    "label smoothing 0.6": Method(smoothing=0.6),
    "dropout 0.8": Method(dropout=0.8),
    "mixup α=0.2": Method(alpha=0.2),
    "mixup α=2": Method(alpha=2.0),
    "mixup α=8, dropout 0.3": Method(alpha=8.0, dropout=0.3),
    "mixup α=8, weight decay 1": Method(alpha=8.0, weight_decay=1.0),
    "CutMix α=8": Method(alpha=8.0, cutmix=1.0),
    "mixup or CutMix α=8": Method(alpha=8.0, cutmix=0.5),
}
ON_CIFAR = ("ERM 1e-4", "mixup", *cifar.NOISY_METHODS)
MEMORISED = (Column("right", "train_right"), Column("wrong", "train_wrong"))
TABLE = Table(
    columns=(*ERRORS, *MEMORISED, *SCORES),
    caption=f"{ERRORS_CAPTION} right, wrong: training error in % on right and on wrong "
    f"labels; high on wrong ones means not memorised. {SCORES_CAPTION}",
    options="--full",
    methods=tuple(METHODS),
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config(digits_mlp.Config):
    """Train with wrong labels, and compare methods."""

    out: Path = Path("results/label_noise")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    full: cli.Flag = False
    """Sweep the rates 0, 20, 40, 60, 80 % and more methods, instead of 0 and 40 %."""
    data: str | None = None
    """Pictures for `experiments.cifar` in place of digits: a file, a folder, or a name."""
    model: str = "cnn"
    """Of experiments/models, for pictures."""


RULE = Rule(
    "Pass rule (40 % noise: mixup α=8 at least 4 points below plain, interval above 0): "
    "{0:.1f} points, {verdict}.",
    (Claim("40 % noise", "mixup α=8", holds=above(4)),),
    interval=intervals.SHARED,
)


def make_work(config: Config, methods: dict[str, Method], rates: dict[str, float]) -> Work:
    """A function that trains all seeds of one method at one rate."""

    def work(task: Task) -> list[dict]:
        best = task.chosen.get((task.group, task.method))
        method = methods[task.method] if best is None else best.numbers
        data = digits_mlp.drawn(task.seeds, rates[task.group], choosing=task.choosing)
        trainer = digits_mlp.study_of(method.dropout)
        sizes = {"seeds": task.seeds, "epochs": config.epochs}
        state, scores = trainer.fit(method, data, **sizes, tick=task.tick)
        missed = trainer.apply(method, state, data.x).argmax(-1) != data.y
        right, wrong = (missed & ~data.wrong).sum(1), (missed & data.wrong).sum(1)
        final = {"train_right": right / (~data.wrong).sum(1)}
        final["train_wrong"] = wrong / data.wrong.sum(1)  # NaN where no label is wrong
        hits = trainer.apply(method, state, data.x_test).argmax(-1) == data.y_test
        return seed_results(scores, final, seeds=task.seeds, hits=np.asarray(hits))

    return work


def on_cifar(config: Config) -> int:
    """The paper's table of wrong labels: a run of `experiments.cifar` for each rate."""
    for noise in (0.2, 0.5, 0.8):
        options = {"data": config.data, "models": (config.model,), "bf16": config.model != "cnn"}
        options |= {"methods": ON_CIFAR, "seeds": config.seeds, "epochs": config.epochs}
        cifar.main(cifar.Config(out=config.out / f"{noise:.0%}", noise=noise, **options))
    return 0


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=2, seeds=2)
    if config.data is not None:
        return on_cifar(config)
    sizes = {"seeds": config.seeds, "epochs": config.epochs}
    methods = METHODS | (MORE_METHODS if config.full else {})
    percents = (0, 20, 40, 60, 80) if config.full else (0, 40)
    rates = {f"{percent} % noise": percent / 100 for percent in percents}
    decays = {"weight decay": digits_mlp.DECAYS}
    study = Study(
        out=config.out,
        title=f"Digits with wrong labels, {config.seeds} paired seeds, {config.epochs} epochs",
        name="label_noise",
        config=config,
        groups=rates,
        methods=methods,
        seeds=config.seeds,
        ticks=config.epochs,
        work=make_work(config, methods, rates),
        table=TABLE,
        plot=partial(plots.curves, main_group="40 % noise", interval=intervals.SHARED),
        rule=None if config.smoke else RULE,
        search=digits_mlp.search(decays, rates, score="error", said=not config.smoke, **sizes),
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("label_noise", Config, main, __doc__)
