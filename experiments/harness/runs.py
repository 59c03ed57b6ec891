"""Runs as JSON lines, and the tables made of them.

A run is a dict with "settings" (what defines the experiment), "group", "method", "seed", "machine",
and its results. Runs are only ever appended, so that nothing finished is lost.

A script says once, as `TABLE`, how its runs are shown: on the console and in table.md by `write`,
and in the pages of the repository by pages.py.
"""

import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import rich.table
from rich.box import SIMPLE_HEAD
from rich.console import Console
from scipy.special import stdtrit

Run = dict
Plot = Callable[[Path, str, list[Run], list[str]], None]
PLAIN = ("nll", "brier", "train_loss")  # scores that are no shares, so not in percent
INTERVAL = "± is half the 95 % interval over seeds (Student's t)."


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
    options: str = ""  # the committed run's, beside --out
    methods: tuple[str, ...] = ()  # the rows on its page, the first to compare with; () is all


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


def append_runs(path: Path, runs: Iterable[Run]) -> None:
    """Write runs in one piece and see them onto the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(run) + "\n" for run in runs)
    torn = path.exists() and not ("\n" + path.read_text()).endswith("\n")
    with path.open("a") as file:
        file.write("\n" * torn + text)  # a killed process may have left half a line
        file.flush()
        os.fsync(file.fileno())


def read_runs(path: Path, settings: dict) -> tuple[list[Run], int]:
    """The runs of these settings, the last of each, and how many lines were something else.

    A line that a killed process left unfinished counts among the others.
    """
    runs, others = {}, 0
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            run = json.loads(line)
            same = run["settings"] == settings
            name = json.dumps([run["group"], run["method"], run["seed"]])
        except (ValueError, KeyError, TypeError):
            same, run, name = False, None, ""
        if same:
            runs[name] = run
        else:
            others += bool(line)
    return list(runs.values()), others


def rounded(values: np.ndarray | float, digits: int = 5) -> list | float | None:
    """Numbers for JSON; NaN, which JSON has not, is null."""
    array = np.asarray(values, np.float64)
    if array.ndim:
        return [rounded(value, digits) for value in array]
    return round(float(array), digits) if np.isfinite(array) else None


def machine() -> dict[str, str]:
    """What gave the numbers."""
    kind = jax.devices()[0].device_kind
    return {
        "device": f"{_processor()}, {os.cpu_count()} cores" if kind == "cpu" else kind,
        "python": f"Python {platform.python_version()}",
        "jax": f"JAX {jax.__version__}",
    }


def seed_results(
    scores: Mapping[str, np.ndarray],
    final: Mapping[str, np.ndarray | jax.Array],
    *,
    plain: Sequence[str] = PLAIN,
) -> list[dict]:
    """A result for each seed: its last scores, its best error, its error curve.

    Args:
      scores: arrays [seeds, epochs], the test "error" among them.
      final: arrays [seeds] of what is measured once.
      plain: the names that are no shares. Shares become percent.
    """
    last = {name: np.asarray(values) for name, values in final.items()}
    last |= {name: values[:, -1] for name, values in scores.items() if name != "error"}
    last |= {"last_error": scores["error"][:, -1], "best_error": scores["error"].min(axis=1)}
    shown = {name: values * (1 if name in plain else 100) for name, values in last.items()}
    return [
        {"seed": seed, **{name: rounded(values[seed]) for name, values in shown.items()}}
        | {"curve": rounded(curve, 3)}
        for seed, curve in enumerate(100 * scores["error"])
    ]


def mean_interval(
    values: Sequence[float | None] | np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """The mean and the half-width of Student's interval for it; NaN where there is none."""
    array = np.asarray(values, np.float64)
    n = array.size
    if n < 2:
        return float(array.sum() if n else np.nan), np.nan
    t = stdtrit(n - 1, (1 + level) / 2)
    return float(array.mean()), float(t * array.std(ddof=1) / np.sqrt(n))


def by_seed(runs: Sequence[Run], group: str, method: str, key: str) -> dict[int, float]:
    """One number of each seed; NaN for null."""
    chosen = [run for run in runs if (run["group"], run["method"]) == (group, method)]
    return {run["seed"]: np.nan if run[key] is None else run[key] for run in chosen}


def paired(
    runs: Sequence[Run], group: str, baseline: str, method: str, key: str = "last_error"
) -> tuple[float, float]:
    """How much lower a number is than the baseline's, seed by seed: mean and half-width."""
    base, own = (by_seed(runs, group, name, key) for name in (baseline, method))
    return mean_interval([base[seed] - own[seed] for seed in sorted(base.keys() & own.keys())])


def header(table: Table) -> list[str]:
    return ["method", *(column.title for column in table.columns)]


def rows(runs: Sequence[Run], group: str, methods: Sequence[str], table: Table) -> list[list[str]]:
    """The cells of each method that the group has."""
    held = {run["method"] for run in runs if run["group"] == group}
    return [
        [method, *(_cell(runs, group, methods[0], method, column) for column in table.columns)]
        for method in methods
        if method in held
    ]


def markdown(
    runs: Sequence[Run], groups: Sequence[str], methods: Sequence[str], table: Table
) -> str:
    """A table for each group."""
    lines = []
    for group in groups:
        lines += [f"**{group}**\n", markdown_row(header(table))]
        lines += [markdown_row(["---"] * len(header(table)))]
        lines += [*map(markdown_row, rows(runs, group, methods, table)), ""]
    return "\n".join(lines)


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def groups_of(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run["group"] for run in runs))


def machines(runs: Iterable[Run]) -> str:
    return "; ".join(dict.fromkeys(", ".join(run["machine"].values()) for run in runs))


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
    groups = groups_of(runs)
    for group in groups:
        shown = rich.table.Table(
            title=f"{title}: {group}", title_justify="left", box=SIMPLE_HEAD, padding=0
        )
        for i, name in enumerate(header(table)):
            shown.add_column(name, justify="right" if i else "left")
        for row in rows(runs, group, methods, table):
            # A terminal has room for three intervals; the others are in the file.
            main = [cell.replace(" ± ", "±") for cell in row[1:4]]
            shown.add_row(row[0], *main, *(cell.split(" ± ")[0] for cell in row[4:]))
        console.print(shown)
    caption = f"{table.caption} {INTERVAL}"
    parts = [f"{title}.\n", markdown(runs, groups, methods, table)]
    parts += [f"{caption} Machine: {machines(runs)}.", *([f"\n{verdict}"] if verdict else [])]
    (out / "table.md").write_text("\n".join(parts) + "\n")
    console.print(caption)
    if plot is not None:
        plot(out / "plot.png", title, runs, methods)
    files = "runs.jsonl and table.md" if plot is None else "runs.jsonl, table.md and plot.png"
    console.print(f"Written: {files} in {out}")
    if verdict:
        console.print(verdict)


def _cell(runs: Sequence[Run], group: str, baseline: str, method: str, column: Column) -> str:
    if column.gain and method == baseline:
        return ""
    if column.gain:
        mean, half = paired(runs, group, baseline, method, column.key)
    else:
        mean, half = mean_interval(list(by_seed(runs, group, method, column.key).values()))
    if np.isnan(mean):
        return "-"
    shown = f"{mean:{'+' if column.gain else ''}.{column.digits}f}"
    return shown if np.isnan(half) else f"{shown} ± {half:.{column.digits}f}"


def _processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match.group(1) if match else platform.processor() or platform.machine()
