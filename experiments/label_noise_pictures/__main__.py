"""Does mixup keep a network from memorising wrong labels of pictures?

ResNet-8 learns 5,000 of CIFAR-10's pictures, 40 % of whose labels are replaced by random ones, for
60 epochs without augmentation, by SGD with momentum 0.9 and a rate that falls from 0.1 along a
cosine. Each seed trains on other pictures; all are tested on the same 10,000. Under each method a
seed has the same pictures, wrong labels, weights and order.

All methods have weight decay 1e-4, but "weight decay", whose strength is chosen, as is that of
dropout, on 10,000 training pictures that no result trains on, half of them to learn from and half,
with right labels, to test on. For mixup nothing is chosen: α = 8 and 32 are both shown. The decays
are those between plain training and the strength at which nothing is learned: of 0.001, 0.003, 0.01
and 0.03, tried first on the same pictures, all but the last memorise, and that one learns little.

    python -m experiments.label_noise_pictures --data cifar10_jpeg.npz

trains one seed by one method after the other, with checkpoints: the same command goes on from the
newest. Without --data, digits show that everything works.

Gate, fixed before the runs: plain training memorises, which is an error on its own wrong training
labels below 30 % at the end. Pass rule, fixed before the runs: at the last epoch, the test
error of mixup α = 8 is at least 5 points lower than that of the chosen weight decay, and the 95 %
interval, over seeds and test pictures, lies above 0.
"""

import dataclasses
from functools import partial
from pathlib import Path

from experiments.cifar import few
from experiments.core.methods import Method
from experiments.harness import cli, intervals, plots
from experiments.harness.rules import Claim, Gate, Rule, above, mean_below
from experiments.harness.study import run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, SCORES, SCORES_CAPTION, Column, Table

GROUP = "40 % noise"
NOISE = 0.4
DECAYS = {str(decay): Method(weight_decay=decay) for decay in (0.001, 0.01, 0.015, 0.02)}
DROPOUTS = {str(rate): Method(weight_decay=1e-4, dropout=rate) for rate in (0.2, 0.4, 0.6, 0.8)}
METHODS = {
    "plain": Method(weight_decay=1e-4),
    "weight decay": Method(),  # the one that is chosen, as for dropout
    "dropout": Method(),
    "mixup α=8": Method(alpha=8.0, weight_decay=1e-4),
    "mixup α=32": Method(alpha=32.0, weight_decay=1e-4),
    "CutMix α=1": Method(alpha=1.0, cutmix=1.0, weight_decay=1e-4),
}
OPEN = {
    "weight decay": {f"weight decay {name}": method for name, method in DECAYS.items()},
    "dropout": {f"dropout {name}": method for name, method in DROPOUTS.items()},
}
TABLE = Table(
    columns=(
        *ERRORS,
        Column("right", "train_right"),
        Column("wrong", "train_wrong"),
        *SCORES,
    ),
    caption=f"{ERRORS_CAPTION} right, wrong: training error in % on right and on wrong labels; "
    f"high on wrong ones means not memorised. {SCORES_CAPTION}",
    options="--data cifar10_jpeg.npz",
    interval=intervals.SHARED,
)
RULE = Rule(
    "Pass rule (mixup α=8 at least 5 points below the chosen weight decay at the last epoch, "
    "interval above 0): {0} points, {verdict}.",
    (Claim(GROUP, "mixup α=8", over="weight decay", holds=above(5)),),
    interval=intervals.SHARED,
    gate=Gate(
        "plain training's error on its wrong training labels below 30 %",
        (Claim(GROUP, "plain", over=None, key="train_wrong", holds=mean_below(30)),),
    ),
)


@dataclasses.dataclass(frozen=True)
class Config(few.Options):
    """Train on pictures with wrong labels, and compare methods."""

    out: Path = Path("results/label_noise_pictures")
    """Folder for checkpoints, runs.jsonl, table.md and plot.png."""
    smoke: cli.Flag = False
    """Two epochs on digits, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 60
    """How long each network trains."""
    augment: bool = False
    """Whether pictures are cropped and flipped at random."""


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.ready(config, **few.SMALL)
    every = {"every": config.score_every, "interval": intervals.SHARED}
    study = few.study_of(
        "label_noise_pictures", config, GROUP, METHODS, OPEN, noise=NOISE, table=TABLE,
        plot=partial(plots.curves, main_group=GROUP, **every), rule=None if config.smoke else RULE,
    )  # fmt: skip
    return run_study(study)


if __name__ == "__main__":
    cli.main("label_noise_pictures", Config, main, __doc__)
