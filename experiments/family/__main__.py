"""Which of the family's methods help most, for the same number of steps?

All methods of `experiments.family.methods` train one network (four convolutions, width 8) by AdamW
with a cosine schedule to 0 and batches of 50. Seeds are paired: the same split, initial weights and
batches under each method, 600 steps. On digits, 400 of scikit-learn's are for training and the rest
for testing. With --data the methods also train on pictures, scaled to 16 x 16: 5,000 for training
and 2,000 for testing, with crops and flips, for six epochs, which underfit. Nothing is tuned:
options are the papers' or the defaults, so that a low rank says no more than that.

Equal steps are not equal cost: README's table shows what a method costs besides. mixup inference
and RecursiveMix are left out, as the first is not a way to train and the second carries a state
from step to step; so are methods that need a transformer's attention.

There is no pass rule. The table is ranked, and the methods that do not differ significantly from
the best one are named.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path

import numpy as np

from experiments.core import loop
from experiments.family import train
from experiments.family.methods import PLAIN, table
from experiments.family.train import CHECKS, DECAYS
from experiments.harness import cli, intervals, plots
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, above, below
from experiments.harness.runs import Run, by_seed
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table

SMOKE_METHODS = ("mixup", "ResizeMix", "SaliencyMix")
TABLE = Table(
    columns=(
        Column("last", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("best", "best_error"),
        Column("NLL", "nll", 3),
    ),
    caption="last: test error at the last step in %. gain: points below plain training, paired by "
    "seed. best: at the best of ten times, chosen on the test set. NLL: at the last step. Methods "
    "are in the order of their mean error over the groups, each relative to plain training's.",
    interval=intervals.halves(2000 / 5000, {"digits, 400": 1397 / 400}),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Rank all methods on digits, and on pictures."""

    out: Path = Path("results/family")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: str | None = None
    """Pictures besides digits, which `experiments.data.images` reads, such as cifar10."""
    smoke: cli.Flag = False
    """20 steps, two seeds, four methods, into OUT/smoke: shows that everything works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    methods: tuple[str, ...] = ()
    """Only these methods besides plain training; all by default."""


def mean_error(runs: list[Run], group: str, method: str) -> float:
    return float(np.mean([*by_seed(runs, group, method, "last_error").values()]))


def told_apart(runs: list[Run], group: str, methods: list[str]) -> str:
    """The best method of a group, and which others may be as good."""
    best = min(methods, key=lambda method: mean_error(runs, group, method))
    others = [m for m in methods if m != best]
    worse_than_best = {m: Claim(group, best, over=m).gain(runs, TABLE.interval) for m in others}
    alike = [m for m, gap in worse_than_best.items() if not above()(gap)]
    claims = [Claim(group, m, over=PLAIN) for m in methods if m != PLAIN]
    gains = [claim.gain(runs, TABLE.interval) for claim in claims]
    better, worse = sum(map(above(), gains)), sum(map(below(), gains))
    return (
        f"{group}: lowest {best}; its interval does not tell it from {', '.join(alike) or 'none'}. "
        f"Of {len(gains)} methods {better} gain over plain training and {worse} lose, each by its "
        f"own 95 % interval; of as many without effect, about {len(gains) / 20:.0f} would."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the ranking."""
    config = cli.ready(config, seeds=2, methods=config.methods or SMOKE_METHODS)
    names = [*table(1), *DECAYS]
    if unknown := sorted(set(config.methods) - set(names)):
        raise loop.Stop(f"family got the methods {unknown}; it needs some of {names}.")
    with cli.one_sentence():
        groups = train.pools(config.data, smoke=config.smoke)
    methods = [m for m in names if m == PLAIN or m in (config.methods or names)]
    work_of = functools.cache(lambda group, seeds: train.make_work(groups[group], seeds))

    def work(task: Task) -> list[dict]:
        return work_of(task.group, task.seeds)(task.method, task.tick)

    def ranked(runs: list[Run]) -> list[str]:
        """In the order of their errors relative to plain training's."""

        def relative(method: str) -> float:
            errors = [[mean_error(runs, group, m) for m in (method, PLAIN)] for group in groups]
            return float(np.mean([mixed / plain for mixed, plain in errors]))

        return [PLAIN, *sorted((m for m in methods if m != PLAIN), key=relative)]

    def rule(runs: list[Run]) -> str:
        return "\n\n".join(told_apart(runs, group, methods) for group in groups)

    study = Study(
        out=config.out,
        title=f"The family, {config.seeds} paired seeds",
        name="family",
        config=config,
        facts={"groups": [*groups]},
        groups=groups,
        methods=methods,
        seeds=config.seeds,
        ticks=CHECKS,
        work=work,
        table=TABLE,
        plot=partial(plots.gains, interval=TABLE.interval),
        rule=None if config.smoke else rule,
        ranked=ranked,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("family", Config, main, __doc__)
