"""Does mixing help where few frames have masks?

The data are CamVid's street scenes, 11 classes and void, by --data. The archive's frames are
resized to 240 x 180 (bilinear) and JPEG-encoded, and here averaged down by 2, to 120 x 90; of the
masks each square's bottom right pixel is taken. Of the 367 training frames 45 have masks, others
for each seed. A small U-Net learns random crops and flips by AdamW, with a polynomial rate and
averaged weights: from the 45 frames alone, or also from a mean teacher, whose guesses for the other
frames the student must match on frames that are mixed or, as the baseline, not. mIoU is over the
233 official test frames without void, from one matrix of counts. Under each method a seed has the
same labelled frames, initial weights, crops and order, so that differences are paired.

Weight decay is chosen for training on the 45 frames alone, from four, by another seed and the 101
official validation frames; all methods take it. Nothing was chosen for the teacher or for mixing.

    python -m experiments.segmentation --data camvid_240x180.npz

Gate, fixed before the runs: there is something to learn and to teach: from the 45 frames alone the
five rarest classes get more than 5 % IoU, and the teacher without mixing has no lower mIoU than no
teacher. Pass rule, fixed before the runs: CutMix with a teacher gains at least 1 point of mIoU over
the teacher without mixing, and the paired 95 % interval lies above 0.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Annotated

from experiments.core import loop
from experiments.core.seeds import SeedTrainer
from experiments.data import camvid
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import Search
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Gate, Rule, above
from experiments.harness.runs import Run, checksum
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.segmentation import figures, train

FACTOR, CHECKS = 2, 8  # how much smaller than the archive's frames; scores while training
PART = 8  # one frame in this many has a mask
GROUP = "1/8 of the masks"
Methods = dict[str, tuple[bool, str]]  # whether a teacher labels the other frames; how is mixed
METHODS: Methods = {
    "no teacher": (False, "plain"),
    "no teacher, CutMix": (False, "CutMix"),
    "teacher": (True, "plain"),
    "teacher, CutMix": (True, "CutMix"),
    "teacher, ClassMix": (True, "ClassMix"),
}
MORE_METHODS: Methods = {  # with --full
    "no teacher, mixup": (False, "mixup"),
    "no teacher, CowMix": (False, "CowMix"),
    "no teacher, ClassMix": (False, "ClassMix"),
    "teacher, mixup": (True, "mixup"),
    "teacher, CowMix": (True, "CowMix"),
}
POINTS = "points of mIoU, paired"
DECAYS = {f"weight decay {decay:g}": decay for decay in (1e-2, 1e-1, 3e-1, 1.0)}
TABLE = Table(
    columns=(
        Column("mIoU", "miou"),
        Column("gain", "miss", gain=True),
        Column("rare", "rare"),
        Column("accuracy", "accuracy"),
    ),
    caption="mIoU: intersection over union in %, the mean of 11 classes, over the test frames' "
    "pixels that are not void; rare: of the five classes that fill least. gain: points of mIoU "
    "above the first method, paired by seed. Without a teacher, methods mix the labelled frames, "
    "with one the others. accuracy: % of pixels. Frames: bilinear, JPEG-encoded copies, averaged "
    "down to 120 x 90.",
    options="--data camvid_240x180.npz",
    interval=intervals.FIXED_TEST,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Segment CamVid from few masks, with and without mixing."""

    out: Path = Path("results/segmentation")
    """Folder for runs.jsonl, table.md and the pictures. A stopped run goes on from there."""
    data: Path | None = None
    """CamVid as a NumPy archive."""
    full: cli.Flag = False
    """Also mixup and CowMix, and ClassMix without a teacher."""
    smoke: cli.Flag = False
    """Eight steps on generated scenes, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 4000
    """Number of training steps, a multiple of 8."""
    batch: cli.Count = 4
    """Labelled frames in a step, and as many unlabelled ones."""
    widths: tuple[cli.Count, ...] = (16, 32, 64, 128)
    """Channels of the U-Net's layers on the way down."""


RULE = Rule(
    "Pass rule (CutMix with a teacher at least 1 point of mIoU above the teacher alone, interval "
    "above 0): {0}, {verdict}.",
    (Claim(GROUP, "teacher, CutMix", over="teacher", key="miss", holds=above(1)),),
    interval=intervals.FIXED_TEST,
    gate=Gate(
        "without a teacher more than 5 % IoU of the rare classes; the teacher's gain in points of "
        "mIoU not below 0",
        (
            Claim(GROUP, "no teacher", over=None, key="rare", holds=lambda g: g.mean > 5),
            Claim(GROUP, "teacher", over="no teacher", key="miss", holds=lambda g: g.mean >= 0),
        ),
    ),
)


def scenes_of(config: Config) -> camvid.Scenes:
    if config.smoke:
        return camvid.generated()
    if config.data is None:
        raise loop.Stop(f"segmentation got no --data; {camvid.ORIGIN}.")
    with cli.one_sentence():
        return camvid.read(config.data, factor=FACTOR)


def searched(config: Config, scenes: camvid.Scenes, methods: Methods) -> tuple[Search, Work]:
    """The search for the weight decay, and the study's work."""
    crop, every = (8, 16) if config.smoke else (80, 112), config.steps // CHECKS

    @functools.cache
    def trainer_of(teacher: bool) -> SeedTrainer:
        sizes = {"widths": config.widths, "steps": config.steps, "batch": config.batch}
        return train.study(teacher=teacher, crop=crop, **sizes)

    def fit(task: Task, method: tuple[bool, str], decay: float) -> list[Run]:
        teacher, sampler = method
        test = scenes.val if task.choosing else scenes.test
        data = train.data_of(scenes, test, task.seeds, len(scenes.train.images) // PART)
        numbers = train.Numbers(train.NAMES.index(sampler), decay)
        tick = lambda steps: task.tick(steps // every)
        sizes = {"seeds": task.seeds, "steps": config.steps, "every": every}
        _, scores = trainer_of(teacher).fit(numbers, data, **sizes, tick=tick)
        return train.results(task.seeds, scores)

    def try_out(task: Task) -> list[Run]:
        return fit(task, methods["no teacher"], DECAYS[task.method])

    def work(task: Task) -> list[Run]:
        best = task.chosen[GROUP, "no teacher"]
        results = fit(task, methods[task.method], best.numbers)
        return [result | {"chosen": best.name} for result in results]

    said = lambda job, best: best.name
    other = "frames, for training without a teacher"
    return Search({"no teacher": DECAYS}, try_out, seeds=1, said=said, other=other), work


def main(config: Config) -> int:
    """Choose, train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, steps=8, seeds=2, widths=(4,), batch=2)
    scenes, methods = scenes_of(config), METHODS | (MORE_METHODS if config.full else {})
    search, work = searched(config, scenes, methods)

    def draw(runs: list[Run]) -> str:
        figures.predictions(config.out / "predictions.png", scenes.test, runs, METHODS)
        figures.mixes(config.out / "mixes.png", scenes.train, train.TEACHER_SAMPLERS)
        return "Also written: predictions.png and mixes.png"

    shown = "Generated scenes" if config.smoke else "CamVid at 120 x 90"
    study = Study(
        out=config.out,
        title=f"{shown}, {config.seeds} paired seeds, {config.steps} steps",
        name="segmentation",
        config=config,
        facts={"data": checksum(scenes.train.images)},
        groups=[GROUP],
        methods=methods,
        seeds=config.seeds,
        ticks=CHECKS,
        work=work,
        one_by_one=True,
        table=TABLE,
        plot=partial(plots.gains, key="miss", xlabel=POINTS, interval=intervals.FIXED_TEST),
        rule=None if config.smoke else RULE,
        search=search,
        more=draw,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("segmentation", Config, main, __doc__)
