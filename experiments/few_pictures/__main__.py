"""Does mixing help with few clean pictures, trained long?

ResNet-8 learns 5,000 of CIFAR-10's pictures for 120 epochs, with random crops and flips, by SGD
with momentum 0.9 and a rate that falls from 0.1 along a cosine. Each seed trains on other pictures;
all are tested on the same 10,000. Under each method a seed has the same pictures, weights and
order.

Each of plain training, mixup and CutMix gets a weight decay of its own, chosen from the same
strengths, on 10,000 training pictures that no result trains on: half of them to learn from, half to
test on. Label smoothing has three strengths to choose from, at decay 2e-3; "mixup or CutMix" has
that decay, too, and chooses nothing. CutMix alone mixes a batch with probability ½.

    python -m experiments.few_pictures --data cifar10_jpeg.npz

trains one seed by one method after the other, with checkpoints: the same command goes on from the
newest. Without --data, digits show that everything works.

Gate, fixed before the runs: plain training learns its pictures by heart, which is a training error
below 2 % at the end. Pass rule, fixed before the runs: of mixup and CutMix, the one with the lower
error in the runs that chose the decays counts. Its test error at the last epoch is at least 1 point
lower than plain training's, and the 95 % interval, over seeds and test pictures, lies above 0.
"""

import dataclasses
from functools import partial
from pathlib import Path

from experiments.cifar import few
from experiments.core.methods import Method
from experiments.harness import cli, intervals, plots
from experiments.harness.rules import Claim, Gate, Rule, above, mean_below
from experiments.harness.runs import Run, mean
from experiments.harness.study import run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, SCORES, SCORES_CAPTION, Column, Table

GROUP = "5,000 pictures"
DECAYS = (5e-4, 2e-3, 5e-3)
TUNED = {
    "plain": Method(),
    "mixup α=1": Method(alpha=1.0),
    "CutMix α=1, half": Method(alpha=1.0, cutmix=0.5, instead=1.0),
}
METHODS = TUNED | {
    "label smoothing": Method(),  # the strength that is chosen
    "mixup or CutMix α=1": Method(alpha=1.0, cutmix=0.5, weight_decay=2e-3),
}
OPEN = {
    name: {f"{name}, decay {decay}": method._replace(weight_decay=decay) for decay in DECAYS}
    for name, method in TUNED.items()
} | {
    "label smoothing": {
        f"label smoothing {s}": Method(smoothing=s, weight_decay=2e-3) for s in (0.05, 0.1, 0.2)
    }
}
MIXES = ("mixup α=1", "CutMix α=1, half")
TABLE = Table(
    columns=(*ERRORS, Column("train", "train_right"), *SCORES),
    caption=f"{ERRORS_CAPTION} train: error in % on the training pictures. {SCORES_CAPTION}",
    options="--data cifar10_jpeg.npz",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config(few.Options):
    """Train on few clean pictures, long, and compare methods."""

    out: Path = Path("results/few_pictures")
    """Folder for checkpoints, runs.jsonl, table.md and plot.png."""
    smoke: cli.Flag = False
    """Two epochs on digits, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 120
    """How long each network trains."""


def verdict(runs: list[Run]) -> str:
    """The rule, on the one of mixup and CutMix that was better on other pictures."""
    errors = {name: mean(runs, GROUP, name, "chosen_error")[0] for name in MIXES}
    best = min(MIXES, key=errors.__getitem__)
    rule = Rule(
        f"Pass rule ({best}, the better of mixup and CutMix on other pictures, at least 1 point "
        "below plain training at the last epoch, interval above 0): {0} points, {verdict}.",
        (Claim(GROUP, best, holds=above(1)),),
        interval=intervals.SHARED,
        gate=Gate(
            "plain training's error on its training pictures below 2 %",
            (Claim(GROUP, "plain", over=None, key="train_right", holds=mean_below(2)),),
        ),
    )
    return rule(runs)


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.ready(config, **few.SMALL)
    every = {"every": config.score_every, "interval": intervals.SHARED}
    study = few.study_of(
        "few_pictures", config, GROUP, METHODS, OPEN, table=TABLE,
        plot=partial(plots.curves, main_group=GROUP, **every),
        rule=None if config.smoke else verdict,
    )  # fmt: skip
    return run_study(study)


if __name__ == "__main__":
    cli.main("few_pictures", Config, main, __doc__)
