"""Pictures of classifiers in the plane: their decisions, and one of their numbers against α."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.core.seeds import SeedTrainer
from experiments.data.split import Split
from experiments.harness.intervals import mean_interval
from experiments.harness.runs import Run, by_seed

Decided = Int[np.ndarray, "height width"]
X, Y = np.linspace(-1.6, 1.6, 161), np.linspace(-0.7, 0.7, 71)
COLOURS = {"cmap": ListedColormap(("#0072B2", "#E69F00", "#009E73")), "vmin": 0, "vmax": 2}


def decide(study: SeedTrainer, numbers: Any, data: Split, epochs: int) -> Decided:
    """Train all seeds of a method, and take the first one's class at each place."""
    state, _ = study.fit(
        numbers, data, seeds=range(len(data.y)), epochs=epochs, tick=lambda n: None
    )
    grid = np.stack(np.meshgrid(X, Y), axis=-1).reshape(-1, 2).astype(np.float32)
    logits = study.apply(numbers, state, jnp.broadcast_to(grid, (len(data.y), *grid.shape)))
    return np.asarray(logits[0].argmax(-1)).reshape(len(Y), len(X))


def plot(
    path: Path,
    title: str,
    runs: list[Run],
    methods: list[str],
    *,
    decided: Mapping[str, Decided],
    data: Split,
    lines: Sequence[tuple[str, str]],
    alphas: Sequence[float],
    key: str,
) -> None:
    """Left: decisions, and the first seed's training points. Right: lines with 95 % intervals.

    Args:
      path, title, runs, methods: as `tables.write` gives them.
      decided: title -> what `decide` gave.
      data: the points, of all seeds.
      lines: groups, and what their methods "... α=1" start with.
      alphas: where the lines go after "plain".
      key: what they show, an error in percent.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.7))[0]
    panes = left.subplots(len(decided), 1, squeeze=False)[:, 0]
    for axes, (name, classes) in zip(panes, decided.items(), strict=True):
        axes.pcolormesh(X, Y, classes, alpha=0.3, **COLOURS)
        axes.scatter(*np.asarray(data.x[0]).T, c=np.asarray(data.y[0]), s=4, lw=0, **COLOURS)
        axes.set(aspect="equal", xlim=X[[0, -1]], ylim=Y[[0, -1]], xticks=(), yticks=())
        axes.set_title(name, size=10)
    axes = right.subplots()
    for group, name in lines:
        places = ["plain", *(f"{name} α={alpha}" for alpha in alphas)]
        values = [list(by_seed(runs, group, place, key).values()) for place in places]
        mean, half = np.transpose([mean_interval(seeds) for seeds in values])
        label = f"{name}: {group}"
        axes.errorbar([0, *alphas], mean, half, marker="o", ms=4, capsize=2, label=label)
    axes.set(xlabel="α, 0 is plain training", ylabel="test error, %")
    axes.set_xscale("symlog", linthresh=min(alphas))
    axes.set_xticks([0, *alphas], ["0", *map(str, alphas)])
    axes.minorticks_off()
    axes.set_ylim(-2, 102)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.suptitle(title, size=11)
    figure.savefig(path, dpi=150)
