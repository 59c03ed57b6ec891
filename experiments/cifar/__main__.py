"""Do mixup and CutMix generalise better than plain training on CIFAR?

The recipe is that of the mixup paper's code, as recipe.py says: 200 epochs of SGD, one λ ~ Beta(1,
1) for a batch, weight decay 1e-4 on all parameters; plain training (ERM) is also tried with 5e-4.
All seeds are paired: the same images, initial weights and order for each method.

Pass rule, fixed before the runs: mixup's mean test error at the last epoch is 18 % or more below
that of ERM at its better weight decay.

--data is an .npz file or a folder that `experiments.data.images.load` reads, or a data set that
`python -m experiments.data.prepare cifar10` (or cifar100) put into --folder. Without it, digits
show that everything works. Each run saves checkpoints in OUT, and the same command goes on from the
newest. On a GPU that is available for ten minutes at a time, repeat

    timeout -s TERM 560 python -m experiments.cifar --data cifar10 --models preact18 --bf16 \\
        --methods "ERM 5e-4" mixup --seeds 2 --out results/cifar_preact18

until it prints the table. With `--noise 0.5 --out results/cifar_noise50` half of the training
labels are random.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from experiments.cifar import recipe
from experiments.core import loop
from experiments.core.methods import Method
from experiments.harness import cli, intervals, plots
from experiments.harness.jobs import Task
from experiments.harness.rules import passed
from experiments.harness.runs import Run, by_seed, defining
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, SCORES, SCORES_CAPTION, Column, Table
from experiments.models import MODELS

Usual = Literal["ERM 5e-4", "ERM 1e-4", "mixup", "CutMix", "mixup or CutMix"]
ForNoise = Literal["mixup α=2", "mixup α=8", "mixup α=32", "dropout 0.5", "mixup α=8, dropout 0.3"]
METHODS: dict[str, Method] = {
    "ERM 5e-4": Method(weight_decay=5e-4),
    "ERM 1e-4": Method(weight_decay=1e-4),
    "mixup": Method(alpha=1.0, weight_decay=1e-4),
    "CutMix": Method(alpha=1.0, cutmix=1.0, weight_decay=1e-4),
    "mixup or CutMix": Method(alpha=1.0, cutmix=0.5, weight_decay=1e-4),
}
NOISY_METHODS: dict[str, Method] = {
    "mixup α=2": Method(alpha=2.0, weight_decay=1e-4),
    "mixup α=8": Method(alpha=8.0, weight_decay=1e-4),
    "mixup α=32": Method(alpha=32.0, weight_decay=1e-4),
    "dropout 0.5": Method(dropout=0.5, weight_decay=1e-4),
    "mixup α=8, dropout 0.3": Method(alpha=8.0, dropout=0.3, weight_decay=1e-4),
}
CUT = 0.18  # the pass rule's
TABLE = Table(
    interval=intervals.SHARED,
    columns=(*ERRORS, Column("train", "train_right"), *SCORES),
    caption=f"{ERRORS_CAPTION} train: error in % on training images with right labels. "
    f"{SCORES_CAPTION}",
    options="--data cifar10_jpeg.npz --subset 5000 --test 2000 --epochs 15 "
    '--methods "ERM 5e-4" mixup',
)


@dataclasses.dataclass(frozen=True)
class Config(recipe.Options):
    """Train on CIFAR-10 or CIFAR-100, or on pictures like them, and compare methods."""

    out: Path = Path("results/cifar")
    """Folder for checkpoints, runs.jsonl, table.md and plot.png."""
    smoke: cli.Flag = False
    """Two epochs of two methods on digits, into OUT/smoke: shows that everything works."""
    models: tuple[str, ...] = ("cnn",)
    """Models of experiments/models: cnn, preact18, preact34, wrn28_10, densenet190_40, ..."""
    methods: tuple[Usual | ForNoise, ...] = get_args(Usual)
    """Methods to compare; gains are over the first."""
    seeds: cli.Seeds = 3
    """Number of paired seeds, at least two."""
    noise: float = 0.0
    """Fraction of the training labels to replace by random ones."""


def verdict(runs: list[Run], model: str) -> str:
    """The pass rule's verdict, if its methods ran."""
    seeds = {name: by_seed(runs, model, name, "last_error").values() for name in METHODS}
    errors = {name: np.mean(list(values)) for name, values in seeds.items() if values}
    plain = sorted((error, name) for name, error in errors.items() if "ERM" in name)
    if not plain or "mixup" not in errors:
        return ""
    (error, name), mixed = plain[0], errors["mixup"]
    cut = float(1 - mixed / error)
    return (
        f"Pass rule ({model}: mixup's mean error at least {CUT:.0%} below that of the better ERM, "
        f"which is {name}): {error:.2f} % to {mixed:.2f} %, {cut:.1%} less, {passed(cut >= CUT)}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    small = {"data": None, "subset": 384, "epochs": 2, "seeds": 2, "methods": ("ERM 5e-4", "mixup")}
    config = cli.ready(config, **small)
    if unknown := sorted(set(config.models) - set(MODELS)):
        raise loop.Stop(f"--models got {unknown}; it needs some of {', '.join(MODELS)}.")
    data = recipe.read(config)
    title = recipe.title(config, data)
    facts = {"data": title}
    train_all = recipe.make_work(config, data, config.out, defining("cifar", config, facts))

    def work(task: Task) -> list[Run]:
        method = (METHODS | NOISY_METHODS)[task.method]
        return train_all(task, task.group, method, noise=config.noise)

    def rule(runs: list[Run]) -> str:
        return "\n".join(verdict(runs, model) for model in config.models)

    noise = f", {config.noise:.0%} of the labels random" if config.noise else ""
    study = Study(
        out=config.out,
        title=f"{title}{noise}, {config.seeds} paired seeds, {config.epochs} epochs",
        name="cifar",
        config=config,
        facts=facts,
        one_by_one=True,
        groups=config.models,
        methods=config.methods,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        table=TABLE,
        plot=partial(plots.curves, main_group=config.models[0], interval=TABLE.interval),
        rule=None if config.smoke else rule,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("cifar", Config, main, __doc__)
