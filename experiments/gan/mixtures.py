"""Mixtures of Gaussians in the plane, and how well samples fit them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from experiments.harness.tables import Column

COLUMNS = (  # of what `measure` gives
    Column("modes", "modes"),
    Column("more", "missed", gain=True),
    Column("SW", "distance", digits=3),
    Column("closer", "distance", digits=3, gain=True),
    Column("good", "good"),
    Column("most modes", "most_modes"),
    Column("least SW", "least_distance", digits=3),
)
CAPTION = (
    "modes: covered at the end, with a tenth of their due within 3σ. SW: sliced Wasserstein-1 "
    "distance to fresh real samples; for real samples what is left by chance. more, closer: modes "
    "above and SW below the first method's, paired by seed. good: samples within 3σ of a mode, %. "
    "most modes, least SW: at the best of all checks, each by itself."
)


class Mixture(NamedTuple):
    """Round Gaussians of one size, each as likely as the others."""

    centres: Float[np.ndarray, "m 2"]
    sigma: float = 0.05


def ring(modes: int = 8, radius: float = 2.0) -> Mixture:
    """Centres evenly on a circle."""
    angle = 2 * np.pi * np.arange(modes) / modes
    return Mixture(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def grid(side: int = 5) -> Mixture:
    """Centres on a square grid, one unit apart."""
    steps = np.arange(side) - (side - 1) / 2
    return Mixture(np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2))


def sample(
    rng: np.random.Generator, mixture: Mixture, shape: tuple[int, ...]
) -> Float[np.ndarray, "*shape 2"]:
    """Draw points."""
    mode = rng.integers(len(mixture.centres), size=shape)
    points = mixture.centres[mode] + mixture.sigma * rng.standard_normal((*shape, 2))
    return points.astype(np.float32)


def sliced_wasserstein(
    x: Float[np.ndarray, "n 2"], y: Float[np.ndarray, "n 2"], *, directions: int = 32
) -> float:
    """Wasserstein-1 distance of the projections on a line, averaged over the line's directions.

    On a line the best transport of equally many points keeps their order. The directions are evenly
    spaced, which in the plane is better than random ones.
    """
    angle = np.pi * np.arange(directions) / directions
    lines = np.stack([np.cos(angle), np.sin(angle)])
    return float(np.abs(np.sort(x @ lines, axis=0) - np.sort(y @ lines, axis=0)).mean())


def coverage(
    x: Float[np.ndarray, "n 2"], mixture: Mixture, *, share: float = 0.1
) -> tuple[int, float]:
    """How many modes have samples, and which fraction of the samples is good.

    A sample is good within 3σ of the nearest centre, where 98.9 % of true ones are. A mode is
    covered when its number of good samples is at least `share` times the expected one, n / m.
    """
    distance = np.linalg.norm(x[:, None] - mixture.centres, axis=-1)
    good = distance.min(axis=1) <= 3 * mixture.sigma
    counts = np.bincount(distance.argmin(axis=1)[good], minlength=len(mixture.centres))
    return int((counts >= share * len(x) / len(mixture.centres)).sum()), float(good.mean())


def measure(
    mixture: Mixture,
    seeds: Sequence[int],
    samples: Float[np.ndarray, "s t n 2"],
    real: Float[np.ndarray, "s n 2"],
) -> list[dict]:
    """A run's results for each seed, from samples at t checks and as many real ones."""
    results = []
    for seed, checks, target in zip(seeds, samples, real, strict=True):
        modes, good = zip(*(coverage(x, mixture) for x in checks), strict=True)
        distances = [round(sliced_wasserstein(x, target), 5) for x in checks]
        results.append(
            {"seed": seed, "modes": modes[-1], "missed": len(mixture.centres) - modes[-1]}
            | {"most_modes": max(modes), "modes_curve": modes, "good": round(100 * good[-1], 2)}
            | {"distance": distances[-1], "least_distance": min(distances)}
            | {"distance_curve": distances}
        )
    return results


def picture(
    path: Path,
    title: str,
    runs: list[dict],
    methods: list[str],
    *,
    mixture: Mixture,
    group: str,
    times: Sequence[str],
) -> None:
    """The group's "samples" during training, a row for each method, over the modes' 3σ.

    Args:
      path, title, runs, methods: as `tables.write` gives them.
      mixture, group: what is shown, and its name.
      times: what the columns, and the elements of "samples", are called.
    """
    kept = {
        run["method"]: run["samples"]
        for run in runs
        if run["group"] == group and "samples" in run and run["method"] in methods
    }
    size = 1.55 * len(times) + 0.3, 1.55 * len(kept) + 0.7
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(kept), len(times), squeeze=False, sharex=True, sharey=True)
    edge = 1.25 * np.abs(mixture.centres).max()
    for row, (method, samples) in zip(axes, kept.items(), strict=True):
        row[0].set_ylabel(method)
        for axis, points in zip(row, samples, strict=True):
            for centre in mixture.centres:
                axis.add_patch(Circle(centre, 3 * mixture.sigma, color="0.8", lw=0))
            axis.scatter(*np.transpose(points), s=2.5, lw=0, color="#0072B2", alpha=0.7)
            axis.set(xlim=(-edge, edge), ylim=(-edge, edge), xticks=(), yticks=(), aspect="equal")
    for axis, time in zip(axes[0], times, strict=True):
        axis.set_title(time, size=10)
    figure.suptitle(f"{title}: {group}, the first seed", size=11)
    figure.savefig(path, dpi=130)
