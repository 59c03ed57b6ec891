"""Does mixing help on speakers that were never heard? Waveforms or spectrograms, and which labels.

The data are spoken digits of six speakers at 8 kHz (--data: the Free Spoken Digit Dataset as .npz),
padded or cut to 0.64 s. Each seed leaves two speakers out for testing; after six seeds each was
left out twice. A small CNN learns from log-mel spectrograms, which are made inside the step, and
averages over what is not padding. All methods but one shift the clips within their padding and mask
bands of time and frequency (SpecAugment); plain training is also tried with a stronger weight
decay. Mixing comes on top of that, in half of the batches, as runs are short. It mixes waveforms,
also with BC+'s loudness and energy, or log-mel spectrograms, or it uses the masks of SpecMix or
CutMix, where a label's weight is the fraction of valid frames that come from its clip.

"Two digits at once" overlaps each clip with one of another digit, equally loud, which gives two
labels, learned by BCE. Mixed clips then hold up to four digits; their labels are averaged, or their
union is taken.

All seeds are paired: folds, weights, batches, shifts and masks are the same under every method. The
command also writes spectra.png and mixes.wav: two recordings, and their mixes.

Pass rule, fixed before the run: with one digit, mixup of waveforms lowers the last error on unseen
speakers below plain training with the usual augmentation; the paired 95 % interval lies above 0.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from experiments.audio import train
from experiments.audio.train import ROADS, Method
from experiments.core.loop import Stop
from experiments.data import spoken
from experiments.harness import cli, intervals, plots
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import Run, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, Table

ONE, TWO = "one digit", "two digits at once"
ROAD = {name: Method(road=i) for i, name in enumerate(ROADS)}
METHODS = {
    "augmentation": ROAD["plain"],
    "no augmentation": ROAD["plain"]._replace(augment=0.0),
    "weight decay 1": ROAD["plain"]._replace(weight_decay=1.0),
    **{name: ROAD[name] for name in list(ROADS)[1:]},
}
UNION = "mixup waveforms, union"
GROUPS = {
    ONE: [name for name in METHODS if name != UNION],
    TWO: ["augmentation", "mixup waveforms", UNION],
}
TABLE = Table(
    columns=ERRORS,
    caption=f"{ERRORS_CAPTION} The error is the share of digits not found, in clips of the "
    "two speakers left out; of two digits at once, those not among the two largest outputs. The "
    "splits are by speaker: four to train on, two to test on.",
    options="--data spoken_digits_8khz.npz",
    methods=tuple(METHODS),
    interval=intervals.halves(2 / 4),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on spoken digits, and compare methods on speakers that were left out."""

    out: Path = Path("results/audio")
    """Folder for runs.jsonl, table.md and pictures. A stopped run goes on from there."""
    data: Path | None = None
    """The .npz file of recordings."""
    smoke: cli.Flag = False
    """One epoch of a tiny network on generated tones, into OUT/smoke: shows that all works."""
    seeds: cli.Seeds = 6
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 8
    """How long each network trains."""
    batch: cli.Count = 50
    """Clips in a step."""
    width: cli.Count = 8
    """Channels of the first layer."""
    size: Annotated[int, cli.Whole(1280, 1280)] = 5120
    """Length of a clip in samples, a multiple of 1280."""


RULE = Rule(
    "Pass rule (one digit: mixup of waveforms below plain training with augmentation, interval "
    "above 0): {0:.1f} points, {verdict}.",
    (Claim(ONE, "mixup waveforms", over="augmentation"),),
    interval=TABLE.interval,
)


def recordings(config: Config) -> spoken.Recordings:
    if config.smoke:
        return spoken.generated(config.size)
    if config.data is None:
        raise Stop(f"audio got no --data; it needs {spoken.NEEDED}.")
    with cli.one_sentence():
        return spoken.load(str(config.data), config.size)


def make_work(config: Config, folds_of: Callable[[range], Any], steps: int) -> Work:
    """A function that trains all seeds of one method in one group."""

    @functools.cache
    def trainer_of(group: str) -> Any:
        return train.study(group == TWO, steps=steps, batch=config.batch, width=config.width)

    def work(task: Task) -> list[dict]:
        sizes = {"seeds": task.seeds, "steps": steps, "every": steps // config.epochs}
        trainer, method = trainer_of(task.group), METHODS[task.method]
        _, scores = trainer.fit(method, folds_of(task.seeds), **sizes, tick=task.tick)
        return seed_results(scores, {}, seeds=task.seeds)

    return work


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=1, seeds=2, batch=20, width=2, size=1280)
    data = recordings(config)

    @functools.cache
    def folds_of(seeds: range) -> Any:
        return jax.tree.map(jnp.asarray, spoken.folds(data, seeds))

    steps = config.epochs * (folds_of(range(1))[0].y.shape[1] // config.batch)

    def hear(runs: list[Run]) -> str:
        train.hear(config.out, data)
        return "Also written: spectra.png and mixes.wav"

    study = Study(
        out=config.out,
        title=f"Spoken digits, speakers left out, {config.seeds} paired seeds, {config.epochs} "
        "epochs",
        name="audio",
        config=config,
        groups=GROUPS,
        methods=METHODS,
        jobs=[(group, name) for group, names in GROUPS.items() for name in names],
        seeds=config.seeds,
        ticks=steps,
        work=make_work(config, folds_of, steps),
        table=TABLE,
        plot=partial(plots.curves, main_group=ONE, interval=TABLE.interval),
        rule=None if config.smoke else RULE,
        more=hear,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("audio", Config, main, __doc__)
