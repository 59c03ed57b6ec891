"""Pictures of two questions: reliability diagrams, and errors under attack and corruption."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness import plots
from experiments.harness.runs import Run, groups_of, mean_interval

BEFORE, AFTER = plots.COLOURS[1], plots.COLOURS[0]
FEW = 20  # a bin with fewer predictions, of all seeds together, is not drawn


def reliability(path: Path, title: str, runs: list[Run], methods: list[str]) -> None:
    """Accuracy against confidence, in bins: a part for each group, a pane for each method."""
    groups = [g for g in groups_of(runs) if not g.endswith(", scaled")]
    figure = Figure(figsize=(10, 4.6 * len(groups) + 0.5), layout="constrained")
    for group, part in zip(
        groups, figure.subfigures(len(groups), 1, squeeze=False).ravel(), strict=True
    ):
        panes = part.subplots(2, (len(methods) + 1) // 2, sharex=True, sharey=True).ravel()
        for method, axes in zip(methods, panes, strict=False):
            axes.plot([0, 1], [0, 1], color="#999999", lw=0.8)
            bins_of(axes, runs, group, method, BEFORE, "as trained", 0.92)
            bins_of(axes, runs, f"{group}, scaled", method, AFTER, "scaled", 0.82)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            axes.set_title(method, size=10)
        panes[0].legend(loc="lower right", fontsize=8, frameon=False)
        part.suptitle(group)
        part.supxlabel("confidence", size=10)
        part.supylabel("accuracy", size=10)
    figure.suptitle(f"{title} (seeds together; numbers: ECE, points)", size=11)
    figure.savefig(path, dpi=150)


def bins_of(
    axes: Axes,
    runs: list[Run],
    group: str,
    method: str,
    colour: str,
    label: str,
    height: float,
) -> None:
    """One method's bins, and its mean ECE in the corner."""
    chosen = [run for run in runs if (run["group"], run["method"]) == (group, method)]
    count, confidence, right = np.sum([run["bins"] for run in chosen], axis=0)
    shown = count >= FEW
    places = confidence[shown] / count[shown], right[shown] / count[shown]
    axes.plot(*places, "o-", color=colour, ms=3, lw=1.2, label=label)
    ece = np.mean([run["ece"] for run in chosen])
    axes.text(0.04, height, f"{ece:.1f}", color=colour, size=8)


def under_attack(
    path: Path,
    title: str,
    runs: list[Run],
    methods: list[str],
    *,
    epsilons: Sequence[float],
    kinds: Sequence[str],
) -> None:
    """Above, error against ε under each attack; below, bars for each corruption."""
    groups = [g for g in groups_of(runs) if g not in ("clean", "corruptions")]
    figure = Figure(figsize=(2.6 * len(groups), 7), layout="constrained")
    grid = figure.add_gridspec(2, len(groups))
    panes = [figure.add_subplot(grid[0, column]) for column in range(len(groups))]
    bars = figure.add_subplot(grid[1, :])
    colours = dict(zip(methods, (plots.FIRST, *plots.COLOURS), strict=True))
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
    figure.suptitle(f"{title} (mean, 95 % interval)", size=11)
    figure.savefig(path, dpi=150)


def errors_of(runs: list[Run], group: str, method: str) -> np.ndarray:
    """Means and half-widths over seeds of a group's errors."""
    kept = [r["errors"] for r in runs if (r["group"], r["method"]) == (group, method)]
    by_place = np.array(kept).reshape(len(kept), -1).T
    return np.array([mean_interval(values) for values in by_place]).T
