"""Does a look from dusk help a network that knows masks by day only?

CamVid's street scenes are of four videos, of which one was taken at dusk. A small U-Net learns the
masks of the 305 training frames by day. Of the 62 training frames at dusk it may use the pictures,
not the masks. It is tested on the 62 test frames at dusk, which are the later half of the same
video, and on the 171 test frames by day. FDA (`jm.blend_amplitude`) gives each crop by day the low
frequencies' amplitudes of a random crop at dusk.

FDA reaches to 0.05 of the shorter side, which its authors take, and, for comparison, to their 0.01
(which at this size is the mean of each channel alone) and 0.09. FACT blends amplitudes of frames by
day. Moments, the mean and deviation of each channel, are taken from a crop at dusk, which is colour
transfer. Without dusk pictures are: random brightness and contrast, whose strength is chosen on the
101 official validation frames, which are by day, by other seeds, from 0.2, 0.4 and 0.8; and each
crop, or test frame, standardised by its own mean and deviation. The upper bound knows the masks at
dusk, too. Masks at dusk choose nothing.

Frames are averaged down to 60 x 45 as in `segmentation`, whose crops, flips, AdamW and averaged
weights are taken as they are. All seeds train at once (vmap), each with the same weights, crops and
order under every method that has the same masks, so that differences are paired.

    python -m experiments.domain_shift --data camvid_240x180.npz

Gate, fixed before the run: the shift hurts: at dusk plain training is at least 10 points of mIoU
below training that also has the masks at dusk. Pass rule, fixed before the run: at dusk, FDA with
low = 0.05 gains at least 2 points of mIoU over plain training, and the paired 95 % interval lies
above 0; and the intervals of its gains over random brightness and contrast, its strength chosen,
and over standardised frames do not lie below 0.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Annotated

from experiments.core import loop
from experiments.core.seeds import SeedTrainer
from experiments.data import camvid
from experiments.domain_shift import figures, frames, train
from experiments.domain_shift.frames import Domains
from experiments.domain_shift.train import Method
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import Choice, Search
from experiments.harness.jobs import Job, Task, Work
from experiments.harness.rules import Claim, Gate, Rule, above, not_below
from experiments.harness.runs import Run, checksum, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table

FACTOR, CHECKS = 4, 4  # how much smaller than the archive's frames; scores while training
GROUP = "masks by day, tested at dusk"
LIGHT, ALONE, FDA, BOUND = "brightness, contrast", "standardised", "FDA 0.05", "dusk masks, too"
STRENGTHS = {f"strength {s}": Method("light", s) for s in (0.2, 0.4, 0.8)}
METHODS = {
    "plain": Method(),
    LIGHT: Method("light"),  # the strength that is chosen
    ALONE: Method(alone=True),
    FDA: Method("FDA", 0.05),
    "FDA 0.01": Method("FDA", 0.01),
    "FDA 0.09": Method("FDA", 0.09),
    "FACT by day": Method("FACT"),
    "moments of dusk": Method("moments"),
    BOUND: Method(masks=True),
}
POINTS = "points of mIoU at dusk, paired"
TABLE = Table(
    columns=(
        Column("dusk", "dusk_miou"),
        Column("gain", "last_error", gain=True),
        Column("day", "day_miou"),
        Column("gain, day", "day_error", gain=True),
        Column("accuracy", "dusk_accuracy"),
    ),
    caption="dusk, day: intersection over union in %, the mean of 11 classes, over the test "
    "frames' pixels that are not void. Gains: points of each above plain training, paired by seed. "
    "accuracy: % of pixels at dusk. Frames: bilinear, JPEG-encoded copies, averaged down to "
    "60 x 45.",
    options="--data camvid_240x180.npz",
    interval=intervals.FIXED_TEST,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Segment CamVid at dusk from masks by day."""

    out: Path = Path("results/domain_shift")
    """Folder for choose.jsonl, runs.jsonl, table.md and the pictures. A stopped run goes on."""
    data: Path | None = None
    """CamVid as a NumPy archive."""
    smoke: cli.Flag = False
    """Four steps on generated scenes, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 6
    """Number of paired seeds, at least two."""
    tries: cli.Count = 2
    """Number of other seeds for each strength that is tried."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 2400
    """Number of training steps, a multiple of 4."""
    batch: cli.Count = 4
    """Crops with masks in a step, and as many at dusk."""
    widths: tuple[cli.Count, ...] = (16, 32, 64)
    """Channels of the U-Net's layers on the way down."""


RULE = Rule(
    f"Points of mIoU at dusk that FDA 0.05 gains: over plain {{0}}, over {LIGHT} {{1}}, over "
    f"{ALONE} {{2}}. Pass rule (at least 2 over plain, interval above 0; neither of the other "
    "intervals below 0): {verdict}.",
    (
        Claim(GROUP, FDA, holds=above(2)),
        *(Claim(GROUP, FDA, over=name, holds=not_below()) for name in (LIGHT, ALONE)),
    ),
    interval=intervals.FIXED_TEST,
    gate=Gate(
        "points of mIoU at dusk from plain training to knowing the masks at dusk, at least 10",
        (Claim(GROUP, BOUND, holds=lambda gain: gain.mean >= 10),),
    ),
)


def domains_of(config: Config) -> Domains:
    if config.smoke:
        return frames.generated()
    if config.data is None:
        raise loop.Stop(f"domain_shift got no --data; {camvid.ORIGIN}.")
    with cli.one_sentence():
        return frames.read(config.data, factor=FACTOR)


def searched(config: Config, domains: Domains) -> tuple[Search, Work]:
    """The search for the strength of light, and the study's work."""
    crop, every = (8, 16) if config.smoke else (40, 56), config.steps // CHECKS

    @functools.cache
    def trainer() -> SeedTrainer:
        sizes = {"widths": config.widths, "steps": config.steps, "batch": config.batch}
        return train.trainer_of(crop=crop, **sizes)

    def fit(method: Method, task: Task) -> list[dict]:
        data = train.data_of(domains, method, task.seeds, choosing=task.choosing)
        sizes = {"seeds": task.seeds, "steps": config.steps, "every": every}
        tick = lambda steps: task.tick(steps // every)
        _, scores = trainer().fit(train.numbers_of(method), data, **sizes, tick=tick)
        judged = "day_miou" if task.choosing else "dusk_miou"
        scores |= {"error": 1 - scores[judged], "day_error": 1 - scores["day_miou"]}
        return seed_results(scores, {}, seeds=task.seeds)

    def work(task: Task) -> list[dict]:
        choice = task.chosen.get((task.group, task.method))
        results = fit(METHODS[task.method] if choice is None else choice.numbers, task)
        return [result | ({"chosen": choice.name} if choice else {}) for result in results]

    def said(job: Job, best: Choice) -> str:
        return f"{job[1]}, {best.name}"

    search = Search(
        {LIGHT: STRENGTHS},
        lambda task: fit(STRENGTHS[task.method], task),
        seeds=config.tries,
        said=said,
        other="seeds, by held-out frames by day",
    )
    return search, work


def main(config: Config) -> int:
    """Choose, train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, steps=4, seeds=2, widths=(4,), batch=2)
    domains = domains_of(config)
    search, work = searched(config, domains)

    def draw(runs: list[Run]) -> str:
        figures.looks(
            config.out / "looks.png", domains, METHODS | {LIGHT: STRENGTHS["strength 0.4"]}
        )
        return "Also written: looks.png"

    shown = "Generated scenes" if config.smoke else "CamVid at 60 x 45"
    study = Study(
        out=config.out,
        title=f"{shown}, {config.seeds} paired seeds, {config.steps} steps",
        name="domain_shift",
        config=config,
        facts={"data": checksum(domains.train.images)},
        groups=[GROUP],
        methods=METHODS,
        seeds=config.seeds,
        ticks=CHECKS,
        work=work,
        table=TABLE,
        plot=partial(plots.gains, xlabel=POINTS, interval=intervals.FIXED_TEST),
        rule=None if config.smoke else RULE,
        search=search,
        more=draw,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("domain_shift", Config, main, __doc__)
