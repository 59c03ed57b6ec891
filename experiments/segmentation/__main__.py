"""Does mixing help where every pixel has a class, and some have none?

The data are CamVid's street scenes, 11 classes and void, by --data. The archive's frames are
resized to 240 x 180 (bilinear) and JPEG-encoded, and here averaged down by 4, to 60 x 45; of the
masks each square's middle pixel is taken. A small U-Net learns random crops and flips by AdamW,
with a polynomial rate and averaged weights, in three settings: from 1/8 of the 367 training frames'
masks; from these and a mean teacher for the other frames, whose guesses the student must match on
frames that are mixed or, as the baseline, not; and from all masks. mIoU is over the 233 official
test frames without void, from one matrix of counts. All seeds train at once (vmap), each with the
same labelled frames, initial weights, crops and order under every method, so that differences are
paired. Weight decay is 0.01: from 1e-4 to 0.1 plain training does not change on the official
validation frames (--choose --seeds 2). Nothing was chosen for mixing.

Pass rule, fixed before the run: with 1/8 of the labels and a mean teacher, CutMix gains at least 1
point of mIoU over the mean teacher without mixing, and the paired 95 % interval lies above 0.
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
from experiments.harness.choose import FIRST_SEED
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule, above
from experiments.harness.runs import Run
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.segmentation import figures, train

FACTOR, CHECKS = 4, 2  # how much smaller than the archive's frames; scores while training
GROUPS = {  # one labelled frame in this many, and whether a teacher labels the others
    "1/8 of the labels": (8, False),
    "1/8 and a mean teacher": (8, True),
    "all labels": (1, False),
}
METHODS = ("plain", "mixup", "CutMix", "CowMix", "ClassMix")
DRAWN = tuple((group, method) for group in [*GROUPS][:2] for method in ("plain", "CutMix"))
POINTS = "points of mIoU, paired"
DECAY = 1e-2
CANDIDATES = {f"weight decay {decay:g}": decay for decay in (1e-4, 1e-2, 1e-1)}  # with --choose
TABLE = Table(
    columns=(
        Column("mIoU", "miou"),
        Column("gain", "miss", gain=True),
        Column("rare", "rare"),
        Column("accuracy", "accuracy"),
    ),
    caption="mIoU: intersection over union in %, the mean of 11 classes, over the test frames' "
    "pixels that are not void; rare: of the five classes that fill least. gain: points of mIoU "
    "above plain in the same group, paired by seed; with a teacher, plain is the teacher without "
    "mixing, and methods mix the unlabelled frames. accuracy: % of pixels. Frames: bilinear, "
    "JPEG-encoded copies, averaged down to 60 x 45.",
    options="--data camvid_240x180.npz",
    interval=intervals.FIXED_TEST,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Segment CamVid with and without mixing."""

    out: Path = Path("results/segmentation")
    """Folder for runs.jsonl, table.md and the pictures. A stopped run goes on from there."""
    data: Path | None = None
    """CamVid as a NumPy archive."""
    choose: cli.Flag = False
    """Instead compare weight decays on validation frames, seeds 1000 and up, into OUT/choose."""
    smoke: cli.Flag = False
    """Four steps on generated scenes, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 800
    """Number of training steps, a multiple of 2."""
    batch: cli.Count = 4
    """Labelled frames in a step, and as many unlabelled ones."""
    widths: tuple[cli.Count, ...] = (16, 32, 64)
    """Channels of the U-Net's layers on the way down."""


RULE = Rule(
    "Pass rule (1/8 and a mean teacher: CutMix at least 1 point of mIoU above plain, interval "
    "above 0): {0}, {verdict}.",
    (Claim("1/8 and a mean teacher", "CutMix", key="miss", holds=above(1)),),
)


def scenes_of(config: Config) -> camvid.Scenes:
    if config.smoke:
        return camvid.generated()
    if config.data is None:
        raise loop.Stop(f"segmentation got no --data; {camvid.ORIGIN}.")
    with cli.one_sentence():
        return camvid.read(config.data, factor=FACTOR)


def make_work(config: Config, scenes: camvid.Scenes, methods: tuple[str, ...]) -> Work:
    """A function that trains and scores all seeds of one method in one group."""
    test = scenes.val if config.choose else scenes.test
    crop, every = (8, 16) if config.smoke else (40, 56), config.steps // CHECKS

    @functools.cache
    def trainer_of(teacher: bool) -> SeedTrainer:
        sizes = {"widths": config.widths, "steps": config.steps, "batch": config.batch}
        return train.study(methods, teacher=teacher, crop=crop, **sizes)

    def work(task: Task) -> list[dict]:
        part, teacher = GROUPS[task.group]
        labelled = len(scenes.train.images) // part
        data = train.data_of(scenes, test, task.seeds, labelled)
        mixing = 0 if config.choose else methods.index(task.method)
        numbers = train.Numbers(mixing, CANDIDATES.get(task.method, DECAY))
        tick = lambda steps: task.tick(steps // every)
        sizes = {"seeds": task.seeds, "steps": config.steps, "every": every}
        _, scores = trainer_of(teacher).fit(numbers, data, **sizes, tick=tick)
        return train.results(task.seeds, scores)

    return work


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, steps=4, seeds=2, widths=(4,), batch=2)
    scenes, choosing = scenes_of(config), config.choose
    methods = ("plain", "CutMix") if config.smoke else ("plain",) if choosing else METHODS
    out = config.out / "choose" if choosing else config.out

    def draw(runs: list[Run]) -> str:
        figures.predictions(out / "predictions.png", scenes.test, runs, DRAWN)
        figures.mixes(out / "mixes.png", scenes.train, train.TEACHER_SAMPLERS)
        return "Also written: predictions.png and mixes.png"

    shown = "Generated scenes" if config.smoke else "CamVid at 60 x 45"
    study = Study(
        out=out,
        title=f"{shown}, {config.seeds} paired seeds, {config.steps} steps",
        name="segmentation",
        config=config,
        groups=[group for group, (_, teacher) in GROUPS.items() if not (choosing and teacher)],
        methods=CANDIDATES if choosing else methods,
        seeds=config.seeds,
        first_seed=FIRST_SEED if choosing else 0,
        ticks=CHECKS,
        work=make_work(config, scenes, methods),
        table=TABLE,
        plot=None if choosing else partial(plots.gains, key="miss", xlabel=POINTS),
        rule=None if choosing or config.smoke else RULE,
        more=None if choosing else draw,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("segmentation", Config, main, __doc__)
