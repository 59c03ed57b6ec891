"""Mixtures of Gaussians in the plane, and how well samples fit them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


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


def spiral(modes: int = 20, turns: float = 1.5, radius: float = 2.0) -> Mixture:
    """Centres on a spiral, at equal steps of the squared radius: about equally far apart."""
    share = np.sqrt((np.arange(modes) + 1) / modes)[:, None]
    angle = 2 * np.pi * turns * share
    return Mixture(radius * share * np.concatenate([np.cos(angle), np.sin(angle)], axis=1))


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
    """How many modes have samples, and which share of the samples is good.

    A sample is good within 3σ of the nearest centre, where 98.9 % of true ones are. A mode is
    covered when it has at least `share` of its due, n / m, in good samples.
    """
    distance = np.linalg.norm(x[:, None] - mixture.centres, axis=-1)
    good = distance.min(axis=1) <= 3 * mixture.sigma
    counts = np.bincount(distance.argmin(axis=1)[good], minlength=len(mixture.centres))
    return int((counts >= share * len(x) / len(mixture.centres)).sum()), float(good.mean())
