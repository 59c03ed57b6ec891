"""How well generated digits fit real ones, by a small classifier of the real ones."""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from matplotlib.figure import Figure

from experiments.core import classify
from experiments.core.epochs import train_epochs
from experiments.core.step import init, scored_model
from experiments.data import digits, split
from experiments.harness.tables import Column
from experiments.models.mlp import MLP

Images = Float[np.ndarray, "n 8 8 1"]
SURE = 0.9  # a good sample's class has this probability
COLUMNS = (  # of what `measure` gives
    Column("Fréchet", "distance", digits=2),
    Column("closer", "distance", digits=2, gain=True),
    Column("classes", "classes"),
    Column("KL", "kl", digits=3),
    Column("good", "good"),
    Column("least Fréchet", "least_distance", digits=2),
)
CAPTION = (
    "Fréchet: distance of the features' Gaussians from held-out digits', with the features of a "
    "small network that tells digits apart (not FID, whose network is Inception); for real samples "
    "what is left by chance. closer: below the first method's, paired by seed. classes: with a "
    "tenth of their due in good samples. KL: of the classes' shares from the held-out digits', in "
    "nats. good: the network is 90 % sure of a class, % of samples. All at the end; least Fréchet: "
    "at the best check."
)


class Scorer(NamedTuple):
    """A trained classifier, and its outputs on held-out digits."""

    look: Callable[[Images], tuple[Array, Array]]  # the last hidden features, the probabilities
    features: Float[np.ndarray, "n f"]
    shares: Float[np.ndarray, "k"]
    accuracy: float


@functools.cache
def data() -> split.Split:
    """The digits to learn from, and 600 held-out ones to compare with."""
    x, y = digits.digits()
    return split.split(jax.random.key(0), x, y, train=len(x) - 600)


@functools.cache
def scorer() -> Scorer:
    """Train the classifier, on what the GANs learn from."""
    recipe = classify.recipe(
        lambda rngs: MLP(64, 32, digits.NUM_CLASSES, rngs=rngs),
        optax.adamw(2e-3, weight_decay=0.1),
    )
    part, (key_init, key_run) = data(), jax.random.split(jax.random.key(1))
    fit = jax.jit(partial(train_epochs, recipe, batch=50, epochs=60))
    state, _ = fit(init(recipe, key_init), key_run, part)

    @jax.jit
    def look(x: Array) -> tuple[Array, Array]:
        model, kept = scored_model(recipe, state), []

        def tap(layer: int, features: Array) -> Array:
            kept.append(features)
            return features

        probabilities = jax.nn.softmax(model(x, tap=tap))
        return kept[-1], probabilities

    features, probabilities = map(np.asarray, look(part.x_test))
    found = probabilities.argmax(1)
    accuracy = float((found == np.asarray(part.y_test)).mean())
    return Scorer(look, features, shares(found), accuracy)


def shares(classes: Int[np.ndarray, "n"]) -> Float[np.ndarray, "k"]:
    """The fraction of samples in each class."""
    return np.bincount(classes, minlength=digits.NUM_CLASSES) / max(len(classes), 1)


def frechet(x: Float[np.ndarray, "n f"], y: Float[np.ndarray, "m f"]) -> float:
    """|μ - ν|² + tr(A + B - 2 √(A B)), for the means and covariances of both."""
    apart = x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0)).sum()
    return float(apart @ apart + np.trace(a) + np.trace(b) - 2 * root)


def divergence(p: Float[np.ndarray, "k"], q: Float[np.ndarray, "k"]) -> float:
    """KL(p, q) in nats; a class that p lacks adds nothing."""
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum())


def score(judge: Scorer, x: Images) -> dict[str, float]:
    """All scores of some samples."""
    features, probabilities = map(np.asarray, judge.look(x))
    classes, sure = probabilities.argmax(1), probabilities.max(1) >= SURE
    due = shares(classes[sure]) * sure.mean() / judge.shares
    return {
        "distance": round(frechet(features, judge.features), 4),
        "classes": int((due >= 0.1).sum()),
        "kl": round(divergence(shares(classes), judge.shares), 5),
        "good": round(100 * float(sure.mean()), 2),
    }


def measure(
    judge: Scorer, seeds: Sequence[int], samples: Float[np.ndarray, "s t n 8 8 1"]
) -> list[dict]:
    """A run's results for each seed, from samples at t checks."""
    results = []
    for seed, checks in zip(seeds, samples, strict=True):
        scores = [score(judge, x) for x in checks]
        distances = [one["distance"] for one in scores]
        last = scores[-1] | {"missed": digits.NUM_CLASSES - scores[-1]["classes"]}
        curve = {"least_distance": min(distances), "distance_curve": distances}
        results.append({"seed": seed} | last | curve)
    return results


def picture(
    path: Path, title: str, runs: list[dict], methods: list[str], *, times: Sequence[str]
) -> None:
    """The runs' "samples" during training: a row for each method, a square grid for each time.

    Args:
      path, title, runs, methods: as `tables.write` gives them; samples are integers up to 16.
      times: what the columns, and the elements of "samples", are called.
    """
    kept = {
        run["method"]: np.array(run["samples"])
        for run in runs
        if "samples" in run and run["method"] in methods
    }
    size = 1.75 * len(times) + 0.3, 1.75 * len(kept) + 0.7
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(kept), len(times), squeeze=False)
    for row, (method, samples) in zip(axes, kept.items(), strict=True):
        row[0].set_ylabel(method)
        for axis, images in zip(row, samples, strict=True):
            axis.imshow(_tiled(images), cmap="gray_r", vmin=0, vmax=16)
            axis.set(xticks=(), yticks=())
    for axis, time in zip(axes[0], times, strict=True):
        axis.set_title(time, size=10)
    figure.suptitle(f"{title}: the first seed", size=11)
    figure.savefig(path, dpi=130)


def _tiled(images: Int[np.ndarray, "n 8 8"]) -> Int[np.ndarray, "h w"]:
    """As many as fill a square, with a white line between."""
    side = int(len(images) ** 0.5)
    padded = np.pad(images[: side**2], ((0, 0), (1, 0), (1, 0)))
    return padded.reshape(side, side, 9, 9).swapaxes(1, 2).reshape(9 * side, 9 * side)
