"""Which mixes suit video? Boxes tied over frames, cuts in time, fades; and the mistakes.

The clips show scikit-learn's real digits, 0 to 4, that tremble slowly to the right, left, down or
up, in 8 frames of 16 x 16 with noise. A small 3-D CNN learns the digit and the motion, by the sum
of two cross-entropies to labels that have the same λ. 576 clips are for training, and 320 of other
digits for testing. All methods but "middle" cut random windows in time and space from clips of 10
frames of 18 x 18; plain training is also tried with a stronger weight decay. On top of that half of
the batches are mixed, since so short a training does not learn mixed ones alone (seen with one
seed, 1000). The mixes are mixup (α = 1), VideoMix's three cuts (a box in all frames, an interval of
frames, a cuboid), a fade over time, and two mistakes: λ, or λ and box, drawn again for each frame.

All seeds are paired: clips, weights, batches and windows are the same under every method.

Pass rule, fixed before the run: a box that is the same in all frames lowers the error on the two
labels together below plain training with random windows, and the error on the motion below that of
a box drawn again for each frame; both paired 95 % intervals lie above 0.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jax_mixup as jm
from experiments.data import moving_digits
from experiments.harness import cli, intervals, plots
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import Run, paired, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.video import train
from experiments.video.train import SAMPLERS, WINDOW, Method

GROUP = "moving digits"
METHODS = {
    "plain": Method(),
    "plain, middle": Method(windows=0.0),
    "plain, weight decay 1": Method(weight_decay=1.0),
    **{name: Method(sampler=i) for i, name in enumerate(SAMPLERS) if i},
}
TABLE = Table(
    columns=(
        Column("both", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("digit", "digit"),
        Column("digit gain", "digit", gain=True),
        Column("motion", "motion"),
        Column("motion gain", "motion", gain=True),
    ),
    caption="digit, motion, both: test error in % on the digit, on its motion, on either of them. "
    "Gains: points below plain training with random windows, paired by seed.",
    interval=intervals.halves(320 / 576),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on clips of moving digits, and compare mixes."""

    out: Path = Path("results/video")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    smoke: cli.Flag = False
    """Two steps of a tiny network, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    steps: cli.Count = 500
    """How long each network trains, in batches of 32."""
    every: cli.Count = 50
    """Steps between two evaluations."""
    train: cli.Count = 576
    """Number of training clips."""
    width: cli.Count = 12
    """Channels of the first layer."""


RULE = Rule(
    "Pass rule: a box in all frames, both labels: {0} points below plain; motion: {1} below a box "
    "drawn for each frame. {verdict}.",
    (
        Claim(GROUP, "box in all frames"),
        Claim(GROUP, "box in all frames", over="box a frame", key="motion"),
    ),
    interval=TABLE.interval,
)


def films() -> dict[str, tuple[np.ndarray, float]]:
    """The frames of a clip, of its partner and of each of their mixes; and λ."""
    clips, _ = moving_digits.split(4, train=2, test=0, noise=0.0)
    x = moving_digits.window(None, jnp.asarray(clips.x), WINDOW)
    films = {"own": (x[0], 1.0), "partner": (x[1], 0.0)}
    for name in list(SAMPLERS)[1:]:
        mix = SAMPLERS[name](jax.random.key(155), x.shape[:-1])
        films[name] = (jm.blend(mix, x)[0], float(mix.lam[0]))
    return {name: (np.asarray(film)[..., 0], lam) for name, (film, lam) in films.items()}


def plot(path: Path, title: str, runs: list[Run], methods: list[str]) -> None:
    """Left: the frames of each mix. Right, in the same rows: its gains on the two labels."""
    shown = films()
    rows = [*shown, *(name for name in methods[1:] if name not in shown)]
    figure = Figure(figsize=(11, 0.75 * len(rows) + 1), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1), sharey=True)
    for row, (film, lam) in enumerate(shown.values()):
        strip = np.concatenate(np.pad(film, ((0, 0), (0, 0), (0, 1)), constant_values=1), axis=1)
        extent = (0, len(film), row + 0.46, row - 0.46)
        left.imshow(strip, "gray", extent=extent, aspect="auto", vmin=0, vmax=1)
        left.text(len(film) + 0.05, row, f"{lam:.0%}", va="center", size=9)
    for shift, key, colour in ((-0.15, "digit", "#0072B2"), (0.15, "motion", "#D55E00")):
        places = [row for row, name in enumerate(rows) if name in methods[1:]]
        against = partial(paired, runs, GROUP, methods[0], key=key, interval=TABLE.interval)
        gains = [against(rows[row]) for row in places]
        style = {"fmt": "o", "color": colour, "ms": 5, "capsize": 2, "label": key}
        mean, half = zip(*gains, strict=True)
        right.errorbar(mean, np.add(places, shift), xerr=half, **style)
    left.set(xlim=(0, 8.7), ylim=(len(rows) - 0.5, -0.5), xticks=[], title="frames; share of own")
    left.set_yticks(range(len(rows)), rows)
    right.set(xlabel="points of error below plain, paired", title="gain on each label")
    right.axvline(0, color=plots.FIRST, lw=1)
    right.grid(axis="x", alpha=0.25)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{title} (mean, 95 % interval)", size=11)
    figure.savefig(path, dpi=110)


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.ready(config, seeds=2, steps=2, every=1, train=32, width=2)
    trainer = train.study(steps=config.steps, batch=32, width=config.width)

    @functools.cache
    def data(seeds: range) -> Any:
        sizes = {"train": config.train, "test": 32 if config.smoke else 320}
        pairs = [moving_digits.split(seed, **sizes) for seed in seeds]
        return jax.tree.map(lambda *arrays: jnp.stack(arrays), *pairs)

    def work(task: Task) -> list[dict]:
        sizes = {"seeds": task.seeds, "steps": config.steps, "every": config.every}
        _, scores = trainer.fit(METHODS[task.method], data(task.seeds), tick=task.tick, **sizes)
        return seed_results(scores, {}, seeds=task.seeds)

    study = Study(
        out=config.out,
        title=f"Moving digits, {config.seeds} paired seeds, {config.steps} steps",
        name="video",
        config=config,
        groups=[GROUP],
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.steps,
        work=work,
        table=TABLE,
        plot=plot,
        rule=None if config.smoke else RULE,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("video", Config, main, __doc__)
