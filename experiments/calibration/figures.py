"""Reliability diagrams: accuracy against confidence."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness import plots
from experiments.harness.runs import Run, groups_of

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
