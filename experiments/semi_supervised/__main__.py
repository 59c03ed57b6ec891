"""Does mixing examples without labels help, when few have one?

The data are two moons with 6 labels of 2,000 points, and scikit-learn's digits with 50 of 898, with
the classes as balanced as possible; the others are unlabelled. MixMatch and interpolation
consistency (ICT) are compared with training on the labels alone, supervised mixup, pseudo-labels,
and a mean teacher, which is consistency without mixing. A small MLP trains by AdamW; the digits are
shifted by a pixel, and both data sets get Gaussian noise, except under supervised methods that are
better without. Under every method the averaged weights (EMA) are scored, and the weight of what is
learned from unlabelled examples rises along a ramp. All seeds train at once (vmap), each with the
same examples, initial weights and batches under every method, so that differences are paired; the
numbers of steps and of labelled examples in a step are the same too. All seeds test on the same
third of the data (599 digits, 1,333 points), and each draws half of all from the others. Each
method's numbers are chosen by ten other seeds and what each of them leaves over (300, 667): from
four candidates for the supervised methods, two for pseudo-labels, three for each other.

--data takes pictures, as cifar10, in place of both, with 250 labels: a small CNN, crops and flips.
That is for a GPU, on which it has only been tried briefly.

Pass rule, fixed before the run: with 50 labels, both MixMatch and ICT are below supervised training
by at least 2 points of the last error, and the better of them is below the mean teacher, each with
its paired 95 % interval above 0.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from experiments.harness import cli, intervals, plots
from experiments.harness.choose import OUTSIDE, Scores, by_last_error
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, Rule, above
from experiments.harness.runs import Run, paired
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, SCORES, SCORES_CAPTION, Table
from experiments.semi_supervised import losses, train
from experiments.semi_supervised.losses import Numbers
from experiments.semi_supervised.train import DIGITS, MOONS

LOSSES = {
    "supervised": losses.supervised,
    "supervised mixup": losses.supervised,
    "pseudo-labels": losses.pseudo_labels,
    "mean teacher": losses.mean_teacher,
    "ICT": losses.ict,
    "MixMatch": losses.mixmatch,
}
WEIGHTS = (3.0, 10.0, 30.0)
CANDIDATES = {
    "supervised": [Numbers(weight_decay=w, augmented=a) for w in (0.0, 0.3) for a in (0.0, 1.0)],
    "supervised mixup": [Numbers(alpha=a, augmented=b) for a in (0.2, 1.0) for b in (0.0, 1.0)],
    "pseudo-labels": [Numbers(weight=w) for w in (0.3, 1.0)],
    "mean teacher": [Numbers(weight=w) for w in WEIGHTS],
    "ICT": [Numbers(weight=w, alpha=1.0) for w in WEIGHTS],
    "MixMatch": [Numbers(weight=w, alpha=0.75) for w in WEIGHTS],
}
METHODS: dict[str, Any] = {
    name: {losses.described(name, n): (LOSSES[name], n) for n in candidates}
    for name, candidates in CANDIDATES.items()
}
TABLE = Table(
    columns=(*ERRORS, *SCORES),
    caption=f"{ERRORS_CAPTION} {SCORES_CAPTION}",
    interval=intervals.SHARED,
)
EVERY = 50  # steps between two scores


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn from few labels and many examples without."""

    out: Path = Path("results/semi_supervised")
    """Folder for runs.jsonl, table.md and pictures. A stopped run goes on from there."""
    data: str | None = None
    """Pictures that `experiments.data.images` reads, such as cifar10; for a GPU."""
    smoke: cli.Flag = False
    """A few steps of two methods, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(EVERY, EVERY)] = 1500
    """How long each network trains, a multiple of 50."""


def verdict(runs: list[Run]) -> str:
    """The pass rule's, for the better of the two methods that mix."""
    gains = {m: paired(runs, DIGITS, "supervised", m)[0] for m in ("ICT", "MixMatch")}
    best = max(gains, key=gains.__getitem__)
    rule = Rule(
        "Pass rule (50 labels: MixMatch and ICT at least 2 points below supervised, the better of "
        "them below the mean teacher, intervals above 0): {0}, {1}; "
        f"{best} over the mean teacher {{2}}: {{verdict}}.",
        (
            Claim(DIGITS, "MixMatch", over="supervised", holds=above(2)),
            Claim(DIGITS, "ICT", over="supervised", holds=above(2)),
            Claim(DIGITS, best, over="mean teacher"),
        ),
        interval=intervals.SHARED,
    )
    return rule(runs)


def main(config: Config) -> int:
    """Choose, train what is missing, then print, write and draw the comparison."""
    config, methods = cli.ready(config, seeds=2, steps=2 * EVERY), METHODS
    with cli.one_sentence():
        groups = train.groups_of(config.data)
    if config.smoke:
        methods = {name: dict([*METHODS[name].items()][:1]) for name in ("supervised", "MixMatch")}
        groups = dict([*groups.items()][:1])
    checks = config.steps // EVERY
    fit = partial(train.Fit(groups), checks=checks, every=EVERY)

    def scores(numbers: Any, task: Task) -> Scores:
        sizes = {"seeds": task.seeds, "choosing": task.choosing, "tick": task.tick}
        found = fit(task.group, *numbers, **sizes)
        return found.scores, {}, found.hits

    def draw_moons(runs: list[Run]) -> str:
        best = {run["method"]: run["chosen"] for run in runs if run["group"] == MOONS}
        again = partial(fit, MOONS, seeds=range(config.seeds), choosing=False)
        found = {name: again(*methods[name][best[name]]) for name in methods}
        train.draw_moons(config.out / "moons.png", found)
        return "Also written: moons.png"

    search, work = by_last_error(
        methods, scores, said=lambda job, best: f"{job[0]}: {best.name}", other=OUTSIDE
    )
    study = Study(
        out=config.out,
        title=f"Few labels, {config.seeds} paired seeds, {config.steps} steps (an epoch: {EVERY})",
        name="semi_supervised",
        config=config,
        facts={"groups": [*groups]},
        groups=groups,
        methods=methods,
        seeds=config.seeds,
        ticks=checks,
        work=work,
        table=TABLE,
        plot=partial(plots.curves, main_group=[*groups][-1], interval=intervals.SHARED),
        rule=verdict if DIGITS in groups else None,
        search=search,
        more=draw_moons if MOONS in groups else None,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("semi_supervised", Config, main, __doc__)
