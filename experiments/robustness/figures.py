"""Pictures of errors under attack and corruption."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.harness import plots
from experiments.harness.intervals import mean_interval
from experiments.harness.runs import Run, groups_of

COLOURS = (plots.FIRST, *plots.COLOURS, "#999933", "#AAAAAA")


def under_attack(
    path: Path,
    title: str,
    runs: list[Run],
    methods: list[str],
    *,
    epsilons: Sequence[float],
    kinds: Sequence[str],
) -> None:
    """Above, error against ε under each attack; below, bars for each corruption.

    Intervals are over seeds alone.
    """
    groups = [g for g in groups_of(runs) if g not in ("clean", "corruptions")]
    figure = Figure(figsize=(2.6 * len(groups), 7), layout="constrained")
    grid = figure.add_gridspec(2, len(groups))
    panes = [figure.add_subplot(grid[0, column]) for column in range(len(groups))]
    bars = figure.add_subplot(grid[1, :])
    colours = dict(zip(methods, COLOURS, strict=False))
    for i, (method, colour) in enumerate(colours.items()):
        clean, _ = errors_of(runs, "clean", method)
        for group, axes in zip(groups, panes, strict=True):
            mean, half = errors_of(runs, group, method)
            mean, half = np.append(clean, mean), np.append(0, half)
            axes.plot([0, *epsilons], mean, color=colour, lw=1.5)
            axes.fill_between([0, *epsilons], mean - half, mean + half, fc=colour, alpha=0.12, lw=0)
        mean, half = errors_of(runs, "corruptions", method)
        width = 0.84 / len(methods)
        places = np.arange(len(kinds)) + (i - (len(methods) - 1) / 2) * width
        bars.bar(places, mean, width, yerr=half, color=colour, ecolor="#777777", label=method)
    for group, axes in zip(groups, panes, strict=True):
        axes.set(title=group, xlabel="ε", xlim=(0, epsilons[-1]), ylim=(0, 100))
    panes[0].set_ylabel("test error, %")
    bars.set(ylabel="test error, %", title="corruptions")
    bars.set_xticks(range(len(kinds)), kinds)
    for axes in (*panes, bars):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=len(methods), frameon=False)
    figure.suptitle(f"{title} (mean, 95 % interval over seeds)", size=11)
    figure.savefig(path, dpi=150)


def errors_of(runs: list[Run], group: str, method: str) -> np.ndarray:
    """Means and half-widths over seeds of a group's errors."""
    kept = [r["errors"] for r in runs if (r["group"], r["method"]) == (group, method)]
    by_place = np.array(kept).reshape(len(kept), -1).T
    return np.array([mean_interval(values) for values in by_place]).T
