"""Tables of runs: for the console, for table.md and for the pages.

A question says once, as `TABLE`, how its runs are shown. `write` prints them and writes table.md;
pages.py fills the pages of the repository.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rich.table
from rich.box import SIMPLE_HEAD
from rich.console import Console

from experiments.harness.intervals import FIXED_TEST, STUDENT, Interval
from experiments.harness.runs import Run, groups_of, machines, mean, paired

Plot = Callable[[Path, str, list[Run], list[str]], None]


class Column(NamedTuple):
    """A number of each run, and its title in the table."""

    title: str
    key: str
    digits: int = 1
    gain: bool = False  # how much lower than the first method's, paired by seed


class Table(NamedTuple):
    """How a script's runs are shown."""

    columns: tuple[Column, ...]
    caption: str  # what the columns are
    options: str = ""  # the committed run's, besides --out
    methods: tuple[str, ...] = ()  # the rows on its page, the first to compare with; () is all
    interval: Interval = STUDENT

    def legend(self, runs: Sequence[Run]) -> str:
        """What the columns and ± are, for runs that may not say which examples they got right."""
        silent = self.interval.examples and not any("hits" in run for run in runs)
        return f"{self.caption} {(FIXED_TEST if silent else self.interval).text}"


ERRORS = (
    Column("last", "last_error"),
    Column("best", "best_error"),
    Column("gain", "last_error", gain=True),
)
ERRORS_CAPTION = (
    "last, best: test error in %, at the last epoch and at the best one, which is chosen on the "
    "test set and shows what perfect early stopping would give. gain: points of last error below "
    "the first method, paired by seed."
)
SCORES = (Column("NLL", "nll", digits=2), Column("ECE", "ece"), Column("gap", "gap"))
SCORES_CAPTION = "ECE, gap (confidence - accuracy): points."


def header(table: Table) -> list[str]:
    return ["method", *(column.title for column in table.columns)]


def rows(runs: Sequence[Run], group: str, methods: Sequence[str], table: Table) -> list[list[str]]:
    """The cells of each method that the group has."""
    held = {run["method"] for run in runs if run["group"] == group}
    return [
        [
            method,
            *(_cell(runs, group, methods[0], method, c, table.interval) for c in table.columns),
        ]
        for method in methods
        if method in held
    ]


def markdown(cells: Mapping[str, list[list[str]]], table: Table) -> str:
    """A table for each group, of the group's rows."""
    lines = []
    for group, of_group in cells.items():
        lines += [f"**{group}**\n", markdown_row(header(table))]
        lines += [markdown_row(["---"] * len(header(table)))]
        lines += [*map(markdown_row, of_group), ""]
    return "\n".join(lines)


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write(
    out: Path,
    console: Console,
    title: str,
    runs: list[Run],
    methods: list[str],
    *,
    table: Table,
    plot: Plot | None = None,
    verdict: str = "",
) -> None:
    """Print the comparison, and write it as table.md and, if there is a `plot`, plot.png."""
    cells = {group: rows(runs, group, methods, table) for group in groups_of(runs)}
    for group, of_group in cells.items():
        console.print(_printed(f"{title}: {group}", of_group, table))
    parts = [f"{title}.\n", markdown(cells, table)]
    parts += [
        f"{table.legend(runs)} Machine: {machines(runs)}.",
        *([f"\n{verdict}"] if verdict else []),
    ]
    (out / "table.md").write_text("\n".join(parts) + "\n")
    console.print(table.legend(runs))
    if plot is not None:
        plot(out / "plot.png", title, runs, methods)
    files = "runs.jsonl and table.md" if plot is None else "runs.jsonl, table.md and plot.png"
    console.print(f"Written: {files} in {out}")
    if verdict:
        console.print(verdict)


def _printed(title: str, cells: list[list[str]], table: Table) -> rich.table.Table:
    """A group's table for the terminal."""
    shown = rich.table.Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    for i, name in enumerate(header(table)):
        shown.add_column(name, justify="right" if i else "left")
    for row in cells:
        # A terminal has room for three intervals; the others are in the file.
        main = [cell.replace(" ± ", "±") for cell in row[1:4]]
        shown.add_row(row[0], *main, *(cell.split(" ± ")[0] for cell in row[4:]))
    return shown


def _cell(
    runs: Sequence[Run],
    group: str,
    baseline: str,
    method: str,
    column: Column,
    interval: Interval,
) -> str:
    if column.gain and method == baseline:
        return ""
    if column.gain:
        value, half = paired(runs, group, baseline, method, column.key, interval)
    else:
        value, half = mean(runs, group, method, column.key, interval)
    if np.isnan(value):
        return "-"
    shown = f"{value:{'+' if column.gain else ''}.{column.digits}f}"
    return shown if np.isnan(half) else f"{shown} ± {half:.{column.digits}f}"
