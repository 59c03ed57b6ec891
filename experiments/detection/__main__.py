"""Does mixing scenes help a detector that sees few of them?

Scenes of 32 x 32 pixels hold one to four of scikit-learn's digits, 9 to 16 pixels large, on noise;
the test scenes hold other digits. A small detector without anchors, 200 training scenes. The
field's mixes: mixup with λ ~ Beta(1.5, 1.5), where all boxes of both scenes stay, their losses
weighted by λ or 1 - λ; CutMix, where boxes shrink to what is seen; mosaic, four scenes in one. Each
alone, and with the usual augmentation for such scenes, random shifts and scales (flips would make
other digits).

All have the same detector, steps and weight decay, and nothing was chosen for mixing. Seeds are
paired: the same digits, scenes, weights and order under every method. AP: area below the curve of
precision over recall at IoU 0.5, averaged over the ten classes.

Pass rule, fixed before the run: with shifts and scales, mixup has a higher AP than plain training,
and the paired 95 % interval lies above 0.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from experiments.core import loop
from experiments.data import digits, scenes
from experiments.detection import train
from experiments.detection.train import KINDS, Data, Method, Setting
from experiments.harness import cli
from experiments.harness import jobs as sweep
from experiments.harness import runs as report

GROUPS = {"scenes as they are": 0.0, "with shifts and scales": 1.0}
MAIN = "with shifts and scales"
METHODS = {
    "plain": Method(),
    "mixup": Method(kind=KINDS.index("mixup"), alpha=1.5),
    "CutMix": Method(kind=KINDS.index("CutMix"), alpha=1.0),
    "mosaic": Method(kind=KINDS.index("mosaic")),
}
CHECKS = 4  # how often the loss is measured
TABLE = report.Table(
    columns=(
        report.Column("AP", "ap"),
        report.Column("gain", "missed", gain=True),
        report.Column("train loss", "train_loss", digits=2),
        report.Column("test loss", "test_loss", digits=2),
    ),
    caption="AP: average precision at IoU 0.5 in %, mean over classes, on test scenes. gain: "
    "points of AP above the first method, paired by seed. train loss: over the last quarter, on "
    "what is trained on.",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train small detectors on scenes of digits, and compare mixes."""

    out: Path = Path("results/detection")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    smoke: cli.Flag = False
    """A few steps on a few scenes and two seeds, into OUT/smoke: shows that all works."""
    seeds: int = 5
    """How many paired seeds, two or more."""
    steps: int = 1000
    """How long each network trains; a multiple of 4."""
    scenes: int = 200
    """To learn from."""
    test: int = 200
    """To test on."""
    batch: int = 16
    """Scenes a step."""


def drawn(config: Config, seed: int) -> Data:
    """Half of the digits for training scenes, the others for those to test on."""
    x, y = digits.digits()
    rng = np.random.default_rng(seed)
    mine, other = np.split(rng.permutation(len(y)), [len(y) // 2])
    make = lambda rows, count: scenes.compose(rng, x[rows], y[rows], count)
    return Data(make(mine, config.scenes), make(other, config.test))


def make_work(config: Config) -> Callable[..., list[dict]]:
    """The function that trains all seeds of one method in one group."""
    study = train.study_of(Setting(digits.NUM_CLASSES, config.batch, config.steps))

    @functools.cache
    def data() -> Data:
        every = [drawn(config, seed) for seed in range(config.seeds)]
        return jax.tree.map(lambda *parts: np.stack(parts), *every)

    def work(job: sweep.Job, tick: Callable[[int], None]) -> list[dict]:
        group, name = job
        method = METHODS[name]._replace(jitter=GROUPS[group])
        length = {"steps": config.steps, "every": config.steps // CHECKS}
        state, scores = study.fit(method, data(), **length, tick=tick)
        found = jax.tree.map(np.asarray, study.apply(method, state, data()))
        results = []
        for seed in range(config.seeds):
            mine, test = jax.tree.map(lambda a, seed=seed: a[seed], (found, data().test))
            ap = 100 * scenes.average_precision(mine, test)
            numbers = {"ap": ap, "missed": 100 - ap, "test_loss": scores["loss"][seed, -1]}
            numbers["train_loss"] = scores["train_loss"][seed, -1]
            results.append({"seed": seed} | {k: report.rounded(v) for k, v in numbers.items()})
        first = jax.tree.map(lambda a: a[0, 0], found)  # what is drawn
        results[0]["found"] = [report.rounded(part, 3) for part in first]
        return results

    return work


def paired(runs: list[report.Run], group: str, method: str) -> tuple[float, float]:
    return report.paired(runs, group, "plain", method, "missed")


def picture(config: Config, path: Path, title: str, runs: list[report.Run]) -> None:
    shown = [run for run in runs if run["seed"] == 0 and run["group"] == MAIN]
    found = {run["method"]: run["found"] for run in shown if run["method"] in ("plain", "mixup")}
    names = {group: ", shifts" if strength else "" for group, strength in GROUPS.items()}
    rows = [(m + names[g], *paired(runs, g, m)) for g in GROUPS for m in list(METHODS)[1:]]
    train.picture(path, title, drawn(config, 0), found, rows)


def judge(runs: list[report.Run]) -> str:
    gain, half = paired(runs, MAIN, "mixup")
    return (
        f"Points of AP that mixup gains {MAIN}: {gain:+.1f} ± {half:.1f}. Pass rule (interval "
        f"above 0): {'PASS' if gain - half > 0 else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    smaller = {"steps": 8, "seeds": 2, "scenes": 8, "test": 8, "batch": 4}
    config = cli.smoke(config, **smaller) if config.smoke else config
    if config.steps < CHECKS or config.steps % CHECKS:
        raise loop.Stop(f"--steps got {config.steps}; it needs a multiple of {CHECKS}: take 1000.")
    sizes = {name: getattr(config, name) for name in ("steps", "scenes", "test", "batch")}
    settings, console = {"experiment": "detection"} | sizes, Console()
    jobs = [(group, name) for group in GROUPS for name in METHODS]
    path, work, seeds = config.out / "runs.jsonl", make_work(config), config.seeds
    runs = sweep.run(console, path, settings, jobs, seeds, config.steps, work)
    title = f"Digits in scenes, {seeds} paired seeds, {config.steps} steps"
    plot = lambda path, title, runs, methods: picture(config, path, title, runs)
    shown = {"table": TABLE, "plot": plot, "verdict": "" if config.smoke else judge(runs)}
    report.write(config.out, console, title, runs, list(METHODS), **shown)
    return 0


if __name__ == "__main__":
    cli.main("detection", Config, main, __doc__)
