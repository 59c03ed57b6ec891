"""Which mixes suit video? Boxes tied over frames, cuts in time, fades; and the mistakes.

Clips of scikit-learn's real digits, 0 to 4, that tremble slowly to the right, left, down or up, 8
frames of 16 x 16 with noise: a small 3-D CNN learns the digit and the motion, by the sum of two
cross-entropies to labels that share one λ. 576 clips for training, 320 of other digits for testing.
All arms but "middle" cut random windows in time and space from clips of 10 frames of 18 x 18; plain
training has a stronger weight decay as well. On top of that half of the batches are mixed, since
so short a training does not learn mixed ones alone (seen with one seed, 1000): by mixup (α = 1),
VideoMix's three cuts (a box in all frames, an interval of frames, a cuboid), a fade over time, and
by two mistakes: λ, or λ and box, drawn anew for each frame.

All seeds are paired: clips, weights, batches, windows are the same under every method.

Pass rule, fixed before the run: a box that is the same in all frames lowers the error on the two
labels together below plain training with random windows, and the error on the motion below that
of a box drawn anew for each frame; both paired 95 % intervals lie above 0.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

import jax_mixup as jm
from experiments.data import moving_digits
from experiments.harness import cli, plots
from experiments.harness import jobs as sweep
from experiments.harness import runs as report
from experiments.video import train as video_train
from experiments.video.train import SAMPLERS, WINDOW, Method

GROUP = "moving digits"
METHODS = {
    "plain": Method(),
    "plain, middle": Method(windows=0.0),
    "plain, weight decay 1": Method(weight_decay=1.0),
    **{name: Method(sampler=i) for i, name in enumerate(SAMPLERS) if i},
}
TABLE = report.Table(
    columns=(
        report.Column("both", "last_error"),
        report.Column("gain", "last_error", gain=True),
        report.Column("digit", "digit"),
        report.Column("digit gain", "digit", gain=True),
        report.Column("motion", "motion"),
        report.Column("motion gain", "motion", gain=True),
    ),
    caption="digit, motion, both: test error in % on the digit, on its motion, on either of them. "
    "Gains: points below plain training with random windows, paired by seed.",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on clips of moving digits, and compare mixes."""

    out: Path = Path("results/video")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    smoke: cli.Flag = False
    """Two steps of a tiny network, into OUT/smoke: shows that everything works, and no more."""
    seeds: int = 5
    """How many paired seeds, two or more."""
    steps: int = 500
    """How long each network trains, in batches of 32."""
    every: int = 50
    """Steps between two tests."""
    train: int = 576
    """Clips to learn from."""
    width: int = 12
    """Channels of the first layer."""


def films() -> dict[str, tuple[np.ndarray, float]]:
    """The frames of a clip, of its partner and of each of their mixes; and λ."""
    clips, _ = moving_digits.split(4, train=2, test=0, noise=0.0)
    x = moving_digits.window(None, jnp.asarray(clips.x), WINDOW)
    films = {"own": (x[0], 1.0), "partner": (x[1], 0.0)}
    for name in list(SAMPLERS)[1:]:
        mix = SAMPLERS[name](jax.random.key(155), x.shape[:-1])
        films[name] = (jm.blend(mix, x)[0], float(mix.lam[0]))
    return {name: (np.asarray(film)[..., 0], lam) for name, (film, lam) in films.items()}


def plot(path: Path, title: str, runs: list[report.Run], methods: list[str]) -> None:
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
        gains = [report.paired(runs, GROUP, methods[0], rows[row], key) for row in places]
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


def judge(runs: list[report.Run]) -> str:
    tied, loose = "box in all frames", "box a frame"
    cases = ("plain", tied, "last_error"), (loose, tied, "motion")
    (both, b), (motion, m) = (report.paired(runs, GROUP, *case) for case in cases)
    return (
        f"Pass rule: a box in all frames, both labels: {both:+.1f} ± {b:.1f} points below plain; "
        f"motion: {motion:+.1f} ± {m:.1f} below a box drawn for each frame. "
        f"{'PASS' if both > b and motion > m else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    if config.smoke:
        config = cli.smoke(config, seeds=2, steps=2, every=1, train=32, width=2)
    console, test = Console(), 32 if config.smoke else 320
    pairs = [moving_digits.split(i, train=config.train, test=test) for i in range(config.seeds)]
    data = jax.tree.map(lambda *arrays: jnp.stack(arrays), *pairs)
    study = video_train.study(steps=config.steps, batch=32, width=config.width)

    def work(job: sweep.Job, tick: Callable[[int], None]) -> list[dict]:
        sizes = {"steps": config.steps, "every": config.every}
        _, scores = study.fit(METHODS[job[1]], data, tick=tick, **sizes)
        return report.seed_results(scores, {})

    settings = {"experiment": "video", "steps": config.steps, "train": config.train}
    path, jobs = config.out / "runs.jsonl", [(GROUP, name) for name in METHODS]
    runs = sweep.run(console, path, settings, jobs, config.seeds, config.steps, work)
    title = f"Moving digits, {config.seeds} paired seeds, {config.steps} steps"
    shown = {"table": TABLE, "plot": plot, "verdict": "" if config.smoke else judge(runs)}
    report.write(config.out, console, title, runs, list(METHODS), **shown)
    return 0


if __name__ == "__main__":
    cli.main("video", Config, main, __doc__)
