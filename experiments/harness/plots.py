"""Pictures of runs: means over seeds, with 95 % intervals.

Each function is a `plot` for `tables.write`, once its options are given (`functools.partial`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from experiments.harness.intervals import STUDENT, Interval, mean_interval
from experiments.harness.runs import Run, by_seed, groups_of, mean, paired

FIRST = "#333333"  # the method that the others are compared with
# Okabe and Ito's colours, which colour-blind readers can distinguish, with wine for yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
LINES = ("-", "--", ":")
MARKERS = "oDsv^<>pP*Xh"
POINTS = "points of last error, paired"


def curves(
    path: Path,
    title: str,
    runs: list[Run],
    methods: list[str],
    *,
    main_group: str,
    key: str = "last_error",
    xlabel: str = POINTS,
    interval: Interval = STUDENT,
    every: int = 1,
) -> None:
    """Left: the main group's test error over epochs, of which each `every`-th has a score.

    Its bands are over seeds alone, as runs say which examples are right at their end only. Right:
    paired gains of `key`, all groups, with their interval.
    """
    height = max(4.5, _height(runs, methods) + 0.11 * len(methods))  # with room for the legend
    figure = Figure(figsize=(12, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    ends, tops = {}, []
    for method in methods:
        kept = [r["curve"] for r in runs if (r["group"], r["method"]) == (main_group, method)]
        if kept:
            line, half = _intervals(np.array(kept).T, interval.of(main_group))
            epochs, style = every * np.arange(1, len(line) + 1), _style(methods, method)
            left.plot(epochs, line, lw=1.8, **style)
            left.fill_between(epochs, line - half, line + half, fc=style["color"], alpha=0.12, lw=0)
            ends[method] = line[-1]
            tops.append(line[len(line) // 5 :].max())  # the first epochs are far above the others
    left.set(xlabel="epoch", ylabel="test error, %", title=main_group, ylim=(0, 1.1 * max(tops)))
    left.margins(x=0)
    left.grid(axis="y", alpha=0.25)
    _draw_gains(figure, right, runs, methods, key, xlabel, interval, main_group)
    options = {"title": "at the end", "alignment": "left", "ncols": 2, "frameon": False}
    figure.legend(*_lines(methods, ends, ": {:.1f}"), loc="outside lower left", **options)
    _save(figure, title, path)


def gains(
    path: Path,
    title: str,
    runs: list[Run],
    methods: list[str],
    *,
    key: str = "last_error",
    xlabel: str = POINTS,
    interval: Interval = STUDENT,
) -> None:
    """Paired gains alone, for runs without curves."""
    figure = Figure(figsize=(8, _height(runs, methods)), layout="constrained")
    _draw_gains(figure, figure.subplots(), runs, methods, key, xlabel, interval)
    _save(figure, title, path)


def against(
    path: Path,
    title: str,
    runs: list[Run],
    methods: list[str],
    *,
    x: Mapping[str, float],
    xlabel: str,
    ylabel: str,
    key: str = "last_error",
    log: bool = False,
    panels: Mapping[str, str | Sequence[str]] | None = None,
    interval: Interval = STUDENT,
) -> None:
    """A number of the runs against a number of their group, with a line for each method.

    Args:
      path, title, runs, methods: as `tables.write` gives them.
      x: the number of each group; groups that it lacks are not drawn.
      xlabel, ylabel: what the axes show.
      key: what is drawn.
      log: whether x is logarithmic; x may still contain 0.
      panels: title -> the groups drawn there, or another key, for pictures side by side.
      interval: which one.
    """
    parts = panels or {"": key}
    size = (2.8 + 4.2 * len(parts), max(4.2, 1.2 + 0.21 * len(methods)))
    figure = Figure(figsize=size, layout="constrained")
    panes = figure.subplots(1, len(parts), squeeze=False)[0]
    last = {}
    for axes, (name, part) in zip(panes, parts.items(), strict=True):
        groups, shown = (list(x), part) if isinstance(part, str) else (part, key)
        groups = sorted(groups, key=x.__getitem__)
        for method in methods:
            held = [group for group in groups if by_seed(runs, group, method, shown)]
            found = [mean(runs, group, method, shown, interval) for group in held]
            line, half = np.array(found).reshape(-1, 2).T
            style = _style(methods, method) | {"marker": "o", "ms": 4, "capsize": 2, "lw": 1.6}
            axes.errorbar([x[group] for group in held], line, half, **style)
            last.setdefault(method, line[-1] if held else -np.inf)
        axes.set(title=name, xlabel=xlabel)
        axes.grid(alpha=0.25)
        if log:
            _log_axis(axes, [x[group] for group in groups])
    panes[0].set_ylabel(ylabel)
    corner = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.0), "frameon": False}
    panes[-1].legend(*_lines(methods, last), **corner)
    _save(figure, title, path)


def _draw_gains(
    figure: Figure,
    axes: Axes,
    runs: list[Run],
    methods: list[str],
    key: str,
    xlabel: str,
    interval: Interval,
    main_group: str | None = None,
) -> None:
    """A row for each method but the first, a mark in it for each group; the main group's filled."""
    groups = groups_of(runs)
    offsets = np.linspace(-0.35, 0.35, len(groups)) * (1 - 1 / len(groups))
    for offset, group, marker in zip(offsets, groups, cycle(MARKERS)):
        filled = main_group in (group, None)
        for row, method in enumerate(methods[1:]):
            gain, half = paired(runs, group, methods[0], method, key, interval)
            colour = _style(methods, method)["color"]
            axes.errorbar(
                gain,
                row + offset,
                xerr=half,
                fmt=marker,
                color=colour,
                mfc=colour if filled else "white",
                ms=5,
                capsize=2,
            )
        axes.plot([], [], marker, color=FIRST, mfc=FIRST if filled else "white", label=group)
    axes.axvline(0, color=FIRST, lw=1)
    axes.set_yticks(range(len(methods) - 1), methods[1:])
    axes.set_ylim(len(methods) - 1.5, -0.5)
    axes.set(xlabel=xlabel, title=f"gain over {methods[0]}")
    axes.grid(axis="x", alpha=0.25)
    if len(groups) > 1:
        figure.legend(loc="outside lower right", ncols=2, frameon=False)


def _intervals(samples: Iterable[Sequence[float]], interval: Interval) -> np.ndarray:
    """Means and half-widths, [2, n]."""
    return np.array([mean_interval(values, interval) for values in samples]).reshape(-1, 2).T


def _style(methods: list[str], method: str) -> dict[str, Any]:
    """Colours come first; line styles distinguish methods that share a colour."""
    i = methods.index(method) - 1
    if i < 0:
        return {"color": FIRST, "ls": "-", "zorder": 3}
    return {"color": COLOURS[i % len(COLOURS)], "ls": LINES[i // len(COLOURS) % len(LINES)]}


def _height(runs: list[Run], methods: list[str]) -> float:
    """Height in inches for a row of marks for each method, with titles and axis."""
    return 1.8 + len(methods) * max(0.34, 0.1 * len(groups_of(runs)))


def _log_axis(axes: Axes, numbers: Sequence[float]) -> None:
    """Linear up to the least positive number, so that 0 has a place."""
    ticks = sorted(set(numbers))
    axes.set_xscale("symlog", linthresh=min(tick for tick in ticks if tick > 0))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _lines(
    methods: list[str], last: dict[str, float], suffix: str = ""
) -> tuple[list[Line2D], list[str]]:
    """A legend's lines and labels, in the order of the lines' ends, the highest first."""
    names = sorted(last, key=last.__getitem__, reverse=True)
    lines = [Line2D([], [], lw=1.8, **_style(methods, name)) for name in names]
    return lines, [name + suffix.format(last[name]) for name in names]


def _save(figure: Figure, title: str, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{title} (mean, 95 % interval)", size=11, wrap=True)
    figure.savefig(path, dpi=150)
