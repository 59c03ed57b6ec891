"""Does mixing help on speakers that were never heard? Waveforms or spectrograms, and which labels.

Spoken digits of six speakers, 8 kHz (--data: the Free Spoken Digit Dataset as .npz), padded or cut
to 0.64 s. Each seed leaves two speakers out, to be tested on; after six seeds each was left out
twice. A small CNN learns from log-mel spectrograms, which are made inside the step, and averages
over what is no padding. All arms but one shift the clips in their padding and mask bands of time
and frequency (SpecAugment); plain training has a stronger weight decay as well. Mixing comes on top
of that, in half of the batches, as runs are short: of waveforms, with BC+'s loudness and energy
too, of log-mel spectrograms, and by SpecMix's or CutMix's masks, whose labels weigh as much as
valid frames come from each clip.

"Two digits at once" overlaps each clip with one of another digit, equally loud: two labels, learned
by BCE. Mixed clips then hold up to four digits; their labels are averaged, or their union.

All seeds are paired: folds, weights, batches, shifts and masks are the same under every method.
Writes spectra.png and mixes.wav too: two recordings, and their mixes.

Pass rule, fixed before the run: with one digit, mixup of waveforms lowers the last error on unseen
speakers below plain training with the usual augmentation; the paired 95 % interval lies above 0.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from rich.console import Console

from experiments.audio import train
from experiments.audio.train import ROADS, Method
from experiments.core.loop import Stop
from experiments.data import spoken
from experiments.harness import cli, plots
from experiments.harness import jobs as sweep
from experiments.harness import runs as report

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
TABLE = report.Table(
    columns=report.ERRORS,
    caption=f"{report.ERRORS_CAPTION} The error is the share of digits not found, in clips of the "
    "two speakers left out; of two digits at once, those not among the two largest outputs. Seeds "
    "share speakers, so that their intervals are a little too narrow.",
    options="--data spoken_digits_8khz.npz",
    methods=tuple(METHODS),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on spoken digits, and compare methods on speakers left out."""

    out: Path = Path("results/audio")
    """Where runs.jsonl, table.md and pictures go. A run that was stopped goes on from there."""
    data: Path | None = None
    """The .npz file of recordings."""
    smoke: cli.Flag = False
    """One epoch of a tiny network on generated tones, into OUT/smoke: shows that all works."""
    seeds: int = 6
    """How many paired seeds, two or more."""
    epochs: int = 8
    """How long each network trains."""
    batch: int = 50
    """Clips a step."""
    width: int = 8
    """Channels of the first layer."""
    size: int = 5120
    """Samples of a clip, a multiple of 1280."""


def judge(runs: list[report.Run]) -> str:
    gain, half = report.paired(runs, ONE, "augmentation", "mixup waveforms")
    return (
        "Pass rule (one digit: mixup of waveforms below plain training with augmentation, interval "
        f"above 0): {gain:.1f} ± {half:.1f} points, {'PASS' if gain - half > 0 else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    if config.smoke:
        config = cli.smoke(config, epochs=1, seeds=2, batch=20, width=2, size=1280)
    elif config.data is None:
        raise Stop(f"audio got no --data; it needs {spoken.NEEDED}.")
    smoke, size = config.smoke, config.size
    data = spoken.generated(size) if smoke else spoken.load(str(config.data), size)
    folds = jax.tree.map(jnp.asarray, spoken.folds(data, config.seeds))
    epoch, console = folds[0].y.shape[1] // config.batch, Console()
    sizes = {"batch": config.batch, "width": config.width}
    steps = config.epochs * epoch
    studies = {group: train.study(group == TWO, steps=steps, **sizes) for group in GROUPS}

    def work(job: sweep.Job, tick: Callable[[int], None]) -> list[dict]:
        done = {"steps": steps, "every": epoch, "tick": tick}
        _, scores = studies[job[0]].fit(METHODS[job[1]], folds, **done)
        return report.seed_results(scores, {})

    settings = {"experiment": "audio", "epochs": config.epochs, "size": size} | sizes
    jobs = [(group, name) for group, names in GROUPS.items() for name in names]
    path = config.out / "runs.jsonl"
    runs = sweep.run(console, path, settings, jobs, config.seeds, steps, work)
    train.hear(config.out, data)
    title = f"Spoken digits, speakers left out, {config.seeds} paired seeds, {config.epochs} epochs"
    shown = {"table": TABLE, "plot": partial(plots.curves, main_group=ONE)}
    shown["verdict"] = "" if smoke else judge(runs)
    report.write(config.out, console, title, runs, list(METHODS), **shown)
    return 0


if __name__ == "__main__":
    cli.main("audio", Config, main, __doc__)
