"""Does mixing scenes help a detector that sees few of them?

Scenes of 32 x 32 pixels hold one to four of scikit-learn's digits, 9 to 16 pixels large, on noise;
the test scenes hold other digits. A small detector without anchors learns from 200 training scenes.
The usual mixes of scenes are compared: mixup with λ ~ Beta(1.5, 1.5), where all boxes of both
scenes stay and their losses are weighted by λ or 1 - λ; CutMix, where boxes shrink to their visible
part; and mosaic, four scenes in one. Each is tried alone, and with the usual augmentation for such
scenes, random shifts and scales (flips would make other digits).

All methods have the same detector, steps and weight decay, and nothing was chosen for mixing. Seeds
are paired: the same digits, scenes, weights and order under every method. AP is the area below the
curve of precision over recall at IoU 0.5, averaged over the ten classes.

Pass rule, fixed before the run: with shifts and scales, mixup has a higher AP than plain training,
and the paired 95 % interval lies above 0.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.data import digits, scenes
from experiments.detection import train
from experiments.detection.train import KINDS, Data, Method, Setting
from experiments.harness import cli, intervals
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import Run, rounded
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table

GROUPS = {"scenes as they are": 0.0, "with shifts and scales": 1.0}
MAIN = "with shifts and scales"
METHODS = {
    "plain": Method(),
    "mixup": Method(kind=KINDS.index("mixup"), alpha=1.5),
    "CutMix": Method(kind=KINDS.index("CutMix"), alpha=1.0),
    "mosaic": Method(kind=KINDS.index("mosaic")),
}
CHECKS = 4  # how often the loss is measured
TABLE = Table(
    columns=(
        Column("AP", "ap"),
        Column("gain", "missed", gain=True),
        Column("train loss", "train_loss", digits=2),
        Column("test loss", "test_loss", digits=2),
    ),
    caption="AP: average precision at IoU 0.5 in %, mean over classes, on test scenes. gain: "
    "points of AP above the first method, paired by seed. train loss: over the last quarter, on "
    "what is trained on.",
    interval=intervals.halves(),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train small detectors on scenes of digits, and compare mixes."""

    out: Path = Path("results/detection")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    smoke: cli.Flag = False
    """A few steps on a few scenes and two seeds, into OUT/smoke: shows that all works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 1000
    """How long each network trains; a multiple of 4."""
    scenes: cli.Count = 200
    """Number of training scenes."""
    test: cli.Count = 200
    """Number of test scenes."""
    batch: cli.Count = 16
    """Scenes in a step."""


RULE = Rule(
    f"Points of AP that mixup gains {MAIN}: {{0}}. Pass rule (interval above 0): {{verdict}}.",
    (Claim(MAIN, "mixup", key="missed"),),
    interval=TABLE.interval,
)


def drawn(config: Config, seed: int) -> Data:
    """Scenes for training from half of the digits, and for testing from the others."""
    x, y = digits.digits()
    rng = np.random.default_rng(seed)
    mine, other = np.split(rng.permutation(len(y)), [len(y) // 2])
    return Data(
        scenes.compose(rng, x[mine], y[mine], config.scenes),
        scenes.compose(rng, x[other], y[other], config.test),
    )


def make_work(config: Config) -> Work:
    """A function that trains all seeds of one method in one group."""
    trainer = train.study_of(Setting(digits.NUM_CLASSES, config.batch, config.steps))

    @functools.cache
    def data(seeds: range) -> Data:
        every = [drawn(config, seed) for seed in seeds]
        return jax.tree.map(lambda *parts: np.stack(parts), *every)

    def work(task: Task) -> list[dict]:
        method = METHODS[task.method]._replace(jitter=GROUPS[task.group])
        sizes = {"steps": config.steps, "every": config.steps // CHECKS, "seeds": task.seeds}
        given, results = data(task.seeds), []
        state, scores = trainer.fit(method, given, **sizes, tick=task.tick)
        found = jax.tree.map(np.asarray, trainer.apply(method, state, given))
        for i, seed in enumerate(task.seeds):
            mine, test = jax.tree.map(lambda a, i=i: a[i], (found, given.test))
            ap = 100 * scenes.average_precision(mine, test)
            numbers = {"ap": ap, "missed": 100 - ap, "test_loss": scores["loss"][i, -1]}
            numbers["train_loss"] = scores["train_loss"][i, -1]
            results.append({"seed": seed} | {k: rounded(v) for k, v in numbers.items()})
        first = jax.tree.map(lambda a: a[0, 0], found)  # for the figure
        results[0]["found"] = [rounded(part, 3) for part in first]
        return results

    return work


def picture(config: Config, path: Path, title: str, runs: list[Run], methods: list[str]) -> None:
    shown = [run for run in runs if run["seed"] == 0 and run["group"] == MAIN]
    found = {run["method"]: run["found"] for run in shown if run["method"] in ("plain", "mixup")}
    rows = [
        (method + ", shifts" * bool(strength), gain.mean, gain.half)
        for group, strength in GROUPS.items()
        for method in methods[1:]
        for gain in [Claim(group, method, key="missed").gain(runs, TABLE.interval)]
    ]
    train.picture(path, title, drawn(config, 0), found, rows)


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, steps=8, seeds=2, scenes=8, test=8, batch=4)
    study = Study(
        out=config.out,
        title=f"Digits in scenes, {config.seeds} paired seeds, {config.steps} steps",
        name="detection",
        config=config,
        groups=GROUPS,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.steps,
        work=make_work(config),
        table=TABLE,
        plot=partial(picture, config),
        rule=None if config.smoke else RULE,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("detection", Config, main, __doc__)
