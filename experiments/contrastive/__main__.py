"""Does mixing make better features, when there are no labels at all?

Encoders learn from 898 digits without labels. SimCLR's task is to find the other view of an example
among 64 (views: shifts by a pixel, Gaussian noise, a square cut out); i-Mix, Un-Mix and MixCo add
mixing to it. On the frozen features a linear probe (ridge, in closed form) and the nearest
neighbour learn from n labels. They are compared with a network that was not trained, with the
pixels themselves, and with a network that was trained on the n labels only, with the same views.
All seeds train at once (vmap), each with the same examples, initial weights and batches under every
method, so that differences are paired; the number of steps is the same too. All seeds test on the
same 599 digits, and each draws 898 of the others. Each method's temperature and its probe's penalty
(nine candidates), the penalty alone where nothing was learned (three), and the supervised network's
weight decay (two) are chosen for each n by ten other seeds and the 300 digits that each of them
leaves over. Un-Mix and MixCo see three views of an example in each step, the others two.

--data takes pictures, as cifar10, in place of the digits: a small CNN, crops and flips. That is for
a GPU, and has only been tried briefly.

Pass rule, fixed before the run: with 50 labels i-Mix's linear probe is below SimCLR's, with the
paired 95 % interval of the gain above 0.
"""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from experiments.contrastive import losses, train
from experiments.contrastive.train import Candidate
from experiments.data import few
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import OUTSIDE, Scores, by_last_error
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, Rule
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table

MAIN = "50 labels"
SIZES = (20, 50, 100, 800)  # numbers of labels that the probes learn from, of the digits
PENALTIES = (0.01, 0.1, 1.0)
SEARCH = tuple(itertools.product((0.1, 0.2, 0.5), PENALTIES))
METHODS: dict[str, Any] = {
    name: {f"{name} τ={t}, r={r}": Candidate(name, t, penalty=r) for t, r in SEARCH}
    for name in losses.METHODS
}
METHODS["untrained"] = {
    f"untrained r={r}": Candidate("SimCLR", rate=0.0, penalty=r) for r in PENALTIES
}
METHODS["pixels"] = {f"pixels r={r}": Candidate(penalty=r) for r in PENALTIES}
METHODS["supervised"] = {
    f"supervised, weight decay {w}": Candidate("supervised", decay=w) for w in (1e-4, 1.0)
}
TABLE = Table(
    columns=(
        Column("linear", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("neighbour", "nearest_error"),
        Column("neighbour's gain", "nearest_error", gain=True),
    ),
    caption="linear, neighbour: test error in % of a linear probe and of the nearest neighbour on "
    "frozen features; supervised: of the network itself, and of the neighbour on its features. "
    "gain: points below the first method, paired by seed.",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn features without labels, and probe them."""

    out: Path = Path("results/contrastive")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: str | None = None
    """Pictures that `experiments.data.images` reads, such as cifar10; for a GPU."""
    smoke: cli.Flag = False
    """A few steps of two methods, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(4, 4)] = 1500
    """How long each network trains, a multiple of 4."""


RULE = Rule(
    "Pass rule (50 labels: i-Mix's linear probe below SimCLR's, interval above 0): {0} points, "
    "{verdict}.",
    (Claim(MAIN, "i-Mix", over="SimCLR"),),
    interval=intervals.SHARED,
)


def make_fit(
    config: Config, pool: few.Pool, groups: dict[str, int]
) -> Callable[[Candidate, Task], Scores]:
    """A function that trains and probes all seeds of one candidate with n labels."""
    learner = train.learner(pool, steps=config.steps)

    def fit(how: Candidate, task: Task) -> Scores:
        n = groups[task.group]
        features = learner(how, n, task.seeds, task.choosing)
        hits, near = train.probed(features, n, penalty=how.penalty)
        task.tick(1)
        scores = {"error": 1 - hits.mean(axis=1, keepdims=True)}
        return scores, {"nearest_error": 1 - near.mean(axis=1)}, hits

    return fit


def main(config: Config) -> int:
    """Choose, learn and probe what is missing, then print, write and draw the comparison."""
    config, methods = cli.ready(config, seeds=2, steps=8), METHODS
    with cli.one_sentence():
        pool = few.pool(config.data)
    if config.data is None:
        pool = pool._replace(sizes=SIZES)
    if config.smoke:
        pool = pool._replace(sizes=pool.sizes[:2])
        methods = {name: dict([*METHODS[name].items()][:1]) for name in ("SimCLR", "i-Mix")}
    groups = {f"{n} labels": n for n in pool.sizes}
    search, work = by_last_error(
        methods,
        make_fit(config, pool, groups),
        said=lambda job, best: f"{job[0]}: {best.name}",
        other=OUTSIDE,
    )
    shown = {"panels": {"linear probe": "last_error", "nearest neighbour": "nearest_error"}}
    shown |= {"xlabel": "labels", "ylabel": "test error, %", "log": True}
    plot = partial(plots.against, x=groups, interval=intervals.SHARED, **shown)
    study = Study(
        out=config.out,
        title=f"{pool.title}, features without labels, {config.seeds} paired seeds",
        name="contrastive",
        config=config,
        facts={"pictures": pool.title},
        groups=groups,
        methods=methods,
        seeds=config.seeds,
        ticks=1,
        work=work,
        table=TABLE,
        plot=plot,
        rule=RULE if MAIN in groups and not config.smoke else None,
        search=search,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("contrastive", Config, main, __doc__)
