"""Does mixing scenes help a detector that sees few of them?

Scenes of 32 x 32 pixels hold one to four of scikit-learn's digits, 9 to 16 pixels large, on noise.
A small detector without anchors learns from few training scenes, with random shifts and scales
(flips would make other digits). Mixes of scenes are compared: mixup with λ ~ Beta(1.5, 1.5), where
all boxes of both scenes stay and their losses are weighted by λ or 1 - λ; CutMix, where boxes
shrink to their visible part; mosaic, four scenes in one; and copy-paste, where some digits of
another scene, cut out along their ink, are pasted: 0 to all of them, equally likely.

A third of the digits is set aside: one set of scenes of them tests all seeds. Each seed draws
others for its training scenes, and leaves 300 over. Plain training and copy-paste each choose a
weight decay from the same four, by the AP of other seeds on scenes of what they leave over;
mixup, CutMix and mosaic have plain training's. Seeds are paired: the same scenes, weights and order
under every method. AP is the area below the curve of precision over recall at IoU 0.5, averaged
over the ten classes.

Gate, fixed before the run: plain training over-fits, which is a loss on its training scenes, over
the last quarter of training, below half of that on the test scenes. Pass rule, fixed before the
run: with shifts and scales, copy-paste gains at least 1 point of AP over plain training, and the
95 % interval, over seeds and test scenes, lies above 0. The rule of earlier runs stays: mixup has a
higher AP than plain training, and the paired 95 % interval lies above 0.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.data import digits, scenes
from experiments.data.split import places
from experiments.detection import train
from experiments.detection.train import KINDS, Data, Method, Setting
from experiments.harness import cli, intervals
from experiments.harness.choose import OUTSIDE, Search
from experiments.harness.digits_mlp import TESTS, TRAIN
from experiments.harness.intervals import STUDENT, Interval, mean_interval
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Gain, Gate, Rule, above, mean_below
from experiments.harness.runs import Run, rounded
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table

MAIN = "with shifts and scales"
GROUPS = {MAIN: 1.0}
METHODS = {
    "plain": Method(),
    "mixup": Method(kind=KINDS.index("mixup"), alpha=1.5),
    "CutMix": Method(kind=KINDS.index("CutMix"), alpha=1.0),
    "mosaic": Method(kind=KINDS.index("mosaic")),
    "copy-paste": Method(kind=KINDS.index("copy-paste"), alpha=1.0),
}
DECAYS = (0.1, 1.0, 3.0, 10.0)
OPEN = {
    name: {f"{name}, decay {d:g}": METHODS[name]._replace(weight_decay=d) for d in DECAYS}
    for name in ("plain", "copy-paste")
}
CANDIDATES = {name: method for names in OPEN.values() for name, method in names.items()}
CHECKS = 4  # how often the loss is measured
PARTS = 20  # of the test scenes, for the jackknife
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
    interval=intervals.FIXED_TEST,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train small detectors on scenes of digits, and compare mixes."""

    out: Path = Path("results/detection")
    """Folder for choose.jsonl, runs.jsonl, table.md and plot.png. A stopped run goes on."""
    smoke: cli.Flag = False
    """A few steps on a few scenes and two seeds, into OUT/smoke: shows that all works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    tries: cli.Count = 3
    """Number of other seeds for each candidate."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 2000
    """How long each network trains; a multiple of 4."""
    scenes: cli.Count = 50
    """Number of training scenes."""
    test: cli.Count = 500
    """Number of test scenes."""
    batch: cli.Count = 16
    """Scenes in a step."""


class SceneClaim(Claim):
    """A claim on AP whose interval is also over test scenes, by the jackknife."""

    def gain(self, runs: list[Run], interval: Interval = STUDENT) -> Gain:
        own, other = (
            {
                run["seed"]: run
                for run in runs
                if (run["group"], run["method"]) == (self.group, name)
            }
            for name in (self.method, self.over)
        )
        seeds = sorted(own.keys() & other.keys())
        gains = lambda key: [np.subtract(own[seed][key], other[seed][key]) for seed in seeds]
        without = np.mean(gains("without"), axis=0)
        return Gain(*mean_interval(gains("ap"), interval, (len(without) - 1) * without.var()))


RULE = Rule(
    f"Points of AP that mixup gains {MAIN}: {{0}}. Pass rule of earlier runs (interval above 0): "
    "{verdict}.",
    (Claim(MAIN, "mixup", key="missed"),),
    interval=TABLE.interval,
)
PASTE_RULE = Rule(
    f"Points of AP that copy-paste gains {MAIN}: {{0}}, over seeds and test scenes. Pass rule (at "
    "least 1 point, interval above 0): {verdict}.",
    (SceneClaim(MAIN, "copy-paste", key="ap", holds=above(1)),),
    gate=Gate(
        "plain training's loss on its training scenes below 50 % of that on test scenes",
        (Claim(MAIN, "plain", over=None, key="loss_ratio", holds=mean_below(50)),),
    ),
)


def verdicts(runs: list[Run]) -> str:
    return f"{PASTE_RULE(runs)} {RULE(runs)}"


def drawn(config: Config, seed: int, choosing: bool = False) -> Data:
    """Scenes for training, and scenes of other digits for testing: for results always the same."""
    x, y = digits.digits()
    sizes = {"train": TRAIN, "tests": TESTS, "choosing": choosing}
    mine, other = map(np.asarray, places(jax.random.key(seed), len(y), **sizes))
    test_seed = (seed, 1) if choosing else 0
    trains, ids = scenes.compose(np.random.default_rng(seed), x[mine], y[mine], config.scenes)
    test, _ = scenes.compose(np.random.default_rng(test_seed), x[other], y[other], config.test)
    return Data(trains, ids, test)


def make_work(config: Config) -> tuple[Work, Work]:
    """Functions that train all seeds of one method in one group: for results, and to choose."""
    trainer = train.study_of(Setting(digits.NUM_CLASSES, config.batch, config.steps))

    @functools.cache
    def data(seeds: range, choosing: bool) -> Data:
        every = [drawn(config, seed, choosing) for seed in seeds]
        return jax.tree.map(lambda *parts: np.stack(parts), *every)

    def fitted(method: Method, task: Task) -> tuple[list[scenes.Found], list[scenes.Scenes], dict]:
        """What each seed finds, where it should, and its losses."""
        method, given = method._replace(jitter=GROUPS[task.group]), data(task.seeds, task.choosing)
        sizes = {"steps": config.steps, "every": config.steps // CHECKS, "seeds": task.seeds}
        state, scores = trainer.fit(method, given, **sizes, tick=task.tick)
        found = jax.tree.map(np.asarray, trainer.apply(method, state, given))
        each = lambda tree: [
            jax.tree.map(lambda a, i=i: a[i], tree) for i in range(len(task.seeds))
        ]
        return each(found), each(given.test), scores

    def try_out(task: Task) -> list[dict]:
        found, tests, _ = fitted(CANDIDATES[task.method], task)
        aps = map(scenes.average_precision, found, tests)
        return [
            {"seed": s, "curve": [100 - 100 * ap]} for s, ap in zip(task.seeds, aps, strict=True)
        ]

    def work(task: Task) -> list[dict]:
        best = task.chosen[task.group, task.method if task.method in OPEN else "plain"]
        method = METHODS[task.method]._replace(weight_decay=best.numbers.weight_decay)
        found, tests, scores = fitted(method, task)
        results = [
            {"seed": seed}
            | result_of(found[i], tests[i], scores["train_loss"][i, -1], scores["loss"][i, -1])
            for i, seed in enumerate(task.seeds)
        ]
        results[0]["found"] = [rounded(part[0], 3) for part in found[0]]  # for the figure
        return results

    return work, try_out


def result_of(found: scenes.Found, test: scenes.Scenes, train_loss: float, loss: float) -> dict:
    ap = 100 * scenes.average_precision(found, test)
    without = 100 * np.array(scenes.without_each(found, test, PARTS))
    numbers = {"ap": ap, "missed": 100 - ap, "train_loss": train_loss, "test_loss": loss}
    numbers |= {"loss_ratio": 100 * train_loss / loss, "without": without}
    return {name: rounded(value) for name, value in numbers.items()}


def picture(config: Config, path: Path, title: str, runs: list[Run], methods: list[str]) -> None:
    shown = [run for run in runs if run["seed"] == 0 and run["group"] == MAIN]
    names = ("plain", "mixup", "copy-paste")
    found = {run["method"]: run["found"] for run in shown if run["method"] in names}
    rows = [
        (method, gain.mean, gain.half)
        for method in methods[1:]
        for gain in [Claim(MAIN, method, key="missed").gain(runs, TABLE.interval)]
    ]
    train.picture(path, title, drawn(config, 0), found, rows)


def main(config: Config) -> int:
    """Choose, train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, steps=8, seeds=2, tries=2, scenes=8, test=8, batch=4)
    work, try_out = make_work(config)
    said = lambda job, best: best.name
    study = Study(
        out=config.out,
        title=f"Digits in scenes, {config.seeds} paired seeds, {config.steps} steps",
        name="detection",
        config=config,
        groups=GROUPS,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.steps,
        work=work,
        table=TABLE,
        plot=partial(picture, config),
        rule=None if config.smoke else verdicts,
        search=Search(OPEN, try_out, seeds=config.tries, said=said, other=OUTSIDE),
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("detection", Config, main, __doc__)
