"""Which of the family's methods help most, for the same number of steps?

All methods of `experiments.family.methods`, one network (four convolutions, width 8), AdamW with a
cosine to 0, a batch of 50. Seeds are paired: the same split, initial weights and batches under each
method, 600 steps. Digits: 400 of scikit-learn's for training, the rest for testing. With --data
pictures, too, scaled to 16 x 16: 5,000 for training and 2,000 for testing, crops and flips; six
epochs, which underfit. Nothing is tuned: options are the papers' or the defaults, so that a low
rank says no more than that.

Equal steps are not equal cost: what a method costs beside is in README's table. mixup inference and
RecursiveMix are not here, as they are no way to train or carry a state; nor is what needs a
transformer's attention.

There is no pass rule. The table is ranked; what cannot be told from the best is named.
"""

import dataclasses
from pathlib import Path

import numpy as np
from rich.console import Console

from experiments.core import loop
from experiments.family import methods as family_methods
from experiments.family import train
from experiments.family.methods import PLAIN
from experiments.family.train import CHECKS, DECAYS
from experiments.harness import cli, plots
from experiments.harness import jobs as sweep
from experiments.harness import runs as report

OPTIONS = "--data cifar10_jpeg.npz"
TABLE = report.Table(
    columns=(
        report.Column("last", "last_error"),
        report.Column("gain", "last_error", gain=True),
        report.Column("best", "best_error"),
        report.Column("NLL", "nll", 3),
    ),
    caption="last: test error at the last step in %. gain: points below plain training, paired by "
    "seed. best: at the best of ten times, chosen on the test set. NLL: at the last step. Methods "
    "are in the order of their mean error over the groups, each relative to plain training's.",
    options=OPTIONS,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Rank all methods on digits, and on pictures."""

    out: Path = Path("results/family")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    data: str | None = None
    """Pictures beside digits: what `experiments.data.images` reads, as cifar10."""
    smoke: cli.Flag = False
    """20 steps, two seeds, four methods, into OUT/smoke: shows that everything works."""
    seeds: int = 5
    """How many paired seeds, two or more."""
    methods: tuple[str, ...] = ()
    """Only these beside plain training; none is all."""


def told_apart(runs: list[report.Run], group: str, methods: list[str]) -> str:
    """The best method of a group, and which others may be as good."""
    error = lambda name: np.mean([*report.by_seed(runs, group, name, "last_error").values()])
    best = min(methods, key=error)
    gaps = {m: report.paired(runs, group, m, best) for m in methods if m != best}
    alike = [m for m, (gap, half) in gaps.items() if not gap > half]
    gains = {m: report.paired(runs, group, PLAIN, m) for m in methods if m != PLAIN}
    better = sum(gain > half for gain, half in gains.values())
    worse = sum(-gain > half for gain, half in gains.values())
    return (
        f"{group}: lowest {best}; its interval does not tell it from {', '.join(alike) or 'none'}. "
        f"Of {len(gains)} methods {better} gain over plain training and {worse} lose, each by its "
        f"own 95 % interval; of as many without effect, about {len(gains) / 20:.0f} would."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the ranking."""
    if config.smoke:
        few = ("mixup", "ResizeMix", "SaliencyMix")
        config = cli.smoke(config, seeds=2, methods=config.methods or few)
    try:
        groups = train.pools(config.data, smoke=config.smoke)
    except (OSError, ValueError) as error:
        raise loop.Stop(str(error)) from error
    names = [*family_methods.table(1), *DECAYS]
    if unknown := sorted(set(config.methods) - set(names)):
        raise loop.Stop(f"family got the methods {unknown}; it needs some of {names}.")
    methods = [m for m in names if m == PLAIN or m in (config.methods or names)]
    works = {group: train.make_work(pool, config.seeds) for group, pool in groups.items()}
    work = lambda job, tick: works[job[0]](job[1], tick)
    jobs = [(group, method) for group in groups for method in methods]
    console, settings = Console(), {"experiment": "family", "smoke": config.smoke}
    path = config.out / "runs.jsonl"
    runs = sweep.run(console, path, settings, jobs, config.seeds, CHECKS, work)
    mean = lambda group, m: np.mean([*report.by_seed(runs, group, m, "last_error").values()])
    relative = lambda m: np.mean([mean(group, m) / mean(group, PLAIN) for group in groups])
    ranked = [PLAIN, *sorted((m for m in methods if m != PLAIN), key=relative)]
    title = f"The family, {config.seeds} paired seeds"
    verdict = "" if config.smoke else "\n\n".join(told_apart(runs, g, methods) for g in groups)
    shown = {"table": TABLE, "plot": plots.gains, "verdict": verdict}
    report.write(config.out, console, title, runs, ranked, **shown)
    return 0


if __name__ == "__main__":
    cli.main("family", Config, main, __doc__)
