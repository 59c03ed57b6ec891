"""Does mixing help where every pixel has a class, and some have none?

CamVid's street scenes, 11 classes and void, by --data: that archive's frames are resized to 240 x
180 (bilinear) and JPEG-encoded, and here averaged down by 4, to 60 x 45; of masks each square's
middle pixel is taken. A small U-Net learns random crops and flips by AdamW, with a polynomial rate
and averaged weights: from 1/8 of the 367 training frames' masks; from these with a mean teacher for
the other frames, whose guesses the student must meet on frames that are mixed or, as the baseline,
not; from all masks. mIoU is over the 233 official test frames without void, from one matrix of
counts. All seeds train at once (vmap), each with the same labelled frames, initial weights, crops
and order under every method, so that differences are paired. Weight decay is 0.01: from 1e-4 to 0.1
plain training does not change on the official validation frames (--choose --seeds 2). Nothing was
chosen for mixing.

Pass rule, fixed before the run: with 1/8 of the labels and a mean teacher, CutMix gains at least
1 point of mIoU over the mean teacher without mixing, and the paired 95 % interval lies above 0.
"""

import dataclasses
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from rich.console import Console

from experiments.core import loop
from experiments.core.seeds import SeedTrainer
from experiments.data import camvid
from experiments.harness import choose, cli, plots
from experiments.harness import jobs as sweep
from experiments.harness import runs as report
from experiments.segmentation import figures as pictures
from experiments.segmentation import train as training

FACTOR, CHECKS = 4, 2  # how much smaller than the archive's frames; scores while training
GROUPS = {  # one labelled frame in so many, and whether a teacher labels the others
    "1/8 of the labels": (8, False),
    "1/8 and a mean teacher": (8, True),
    "all labels": (1, False),
}
METHODS = ("plain", "mixup", "CutMix", "CowMix", "ClassMix")
DRAWN = tuple((group, method) for group in [*GROUPS][:2] for method in ("plain", "CutMix"))
POINTS = "points of mIoU, paired"
DECAY = 1e-2
CANDIDATES = {f"weight decay {decay:g}": decay for decay in (1e-4, 1e-2, 1e-1)}  # with --choose
TABLE = report.Table(
    columns=(
        report.Column("mIoU", "miou"),
        report.Column("gain", "miss", gain=True),
        report.Column("rare", "rare"),
        report.Column("accuracy", "accuracy"),
    ),
    caption="mIoU: intersection over union in %, the mean of 11 classes, over the test frames' "
    "pixels that are not void; rare: of the five classes that fill least. gain: points of mIoU "
    "above plain in the same group, paired by seed; with a teacher, plain is the teacher without "
    "mixing, and methods mix the unlabelled frames. accuracy: % of pixels. Frames: bilinear, "
    "JPEG-encoded copies, averaged down to 60 x 45.",
    options="--data camvid_240x180.npz",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Segment CamVid with and without mixing."""

    out: Path = Path("results/segmentation")
    """Where runs.jsonl, table.md and the pictures go. A run that was stopped goes on from there."""
    data: Path | None = None
    """CamVid as a NumPy archive."""
    choose: cli.Flag = False
    """Compare weight decays on validation frames, seeds 1000 and up, instead, into OUT/choose."""
    smoke: cli.Flag = False
    """Four steps on generated scenes, into OUT/smoke: shows that everything works, nothing else."""
    seeds: int = 5
    """How many paired seeds, two or more."""
    steps: int = 800
    """A multiple of 2."""
    batch: int = 4
    """Labelled frames a step, and as many unlabelled ones."""
    widths: tuple[int, ...] = (16, 32, 64)
    """Channels of the U-Net's layers on the way down."""


def scenes_of(config: Config) -> camvid.Scenes:
    if config.smoke:
        return camvid.generated()
    if config.data is None:
        raise loop.Stop(f"segmentation got no --data; {camvid.ORIGIN}.")
    try:
        return camvid.read(config.data, factor=FACTOR)
    except ValueError as error:
        raise loop.Stop(str(error)) from error


def make_work(config: Config, scenes: camvid.Scenes, methods: tuple[str, ...]) -> Callable:
    """The function that trains and scores all seeds of one method in one group."""
    test, first = (scenes.val, choose.FIRST_SEED) if config.choose else (scenes.test, 0)
    crop, seeds = (8, 16) if config.smoke else (40, 56), range(first, first + config.seeds)
    every = config.steps // CHECKS

    @cache
    def study(teacher: bool) -> SeedTrainer:
        sizes = {"widths": config.widths, "steps": config.steps, "batch": config.batch}
        return training.study(methods, teacher=teacher, crop=crop, **sizes)

    def work(job: sweep.Job, tick: Callable[[int], None]) -> list[dict]:
        (share, teacher), method = GROUPS[job[0]], job[1]
        data = training.data_of(scenes, test, seeds, len(scenes.train.images) // share)
        mixing = 0 if config.choose else methods.index(method)
        numbers = training.Numbers(mixing, CANDIDATES.get(method, DECAY))
        ticks = lambda steps: tick(steps // every)
        _, scores = study(teacher).fit(numbers, data, steps=config.steps, every=every, tick=ticks)
        return training.results(scores)

    return work


def judge(runs: list[report.Run]) -> str:
    gain, half = report.paired(runs, "1/8 and a mean teacher", "plain", "CutMix", "miss")
    return (
        "Pass rule (1/8 and a mean teacher: CutMix at least 1 point of mIoU above plain, interval "
        f"above 0): {gain:+.1f} ± {half:.1f}, {'PASS' if gain >= 1 and gain > half else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    if config.smoke:
        config = cli.smoke(config, steps=4, seeds=2, widths=(4,), batch=2)
    if config.steps < CHECKS or config.steps % CHECKS:
        raise loop.Stop(f"--steps got {config.steps}; it needs a multiple of {CHECKS}: take 800.")
    scenes, console = scenes_of(config), Console()
    methods = ("plain", "CutMix") if config.smoke else ("plain",) if config.choose else METHODS
    out, names = (config.out / "choose", CANDIDATES) if config.choose else (config.out, methods)
    jobs = [(g, m) for g in GROUPS for m in names if not (config.choose and GROUPS[g][1])]
    settings = {"experiment": "segmentation", "choose": config.choose, "steps": config.steps}
    settings |= {"batch": config.batch, "widths": list(config.widths)}
    work = make_work(config, scenes, methods)
    runs = sweep.run(console, out / "runs.jsonl", settings, jobs, config.seeds, CHECKS, work)
    shown = "Generated scenes" if config.smoke else "CamVid at 60 x 45"
    title = f"{shown}, {config.seeds} paired seeds, {config.steps} steps"
    plot = None if config.choose else partial(plots.gains, key="miss", xlabel=POINTS)
    verdict = "" if config.choose or config.smoke else judge(runs)
    report.write(out, console, title, runs, [*names], table=TABLE, plot=plot, verdict=verdict)
    if not config.choose:
        pictures.predictions(out / "predictions.png", scenes.test, runs, DRAWN)
        pictures.mixes(out / "mixes.png", scenes.train, training.TEACHER_SAMPLERS)
        console.print("Also written: predictions.png and mixes.png")
    return 0


if __name__ == "__main__":
    cli.main("segmentation", Config, main, __doc__)
