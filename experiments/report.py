"""Runs as JSON lines, and what is made of them: intervals, tables, pictures.

A run is a dict with the keys "settings" (what defines the experiment), "method", "seed", and its
results. Runs are only ever appended, so that nothing finished is lost.
"""

import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import matplotlib
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy import stats

matplotlib.use("Agg")  # files only, on machines without a screen too
import matplotlib.pyplot as plt

Run = dict
HEADER = ("method", "last", "best", "gain", "right", "wrong", "NLL", "ECE", "gap")
SCORES = ("nll", "ece", "gap")
CAPTION = (
    "last, best: test error in %, at the last epoch and at the best one, which is chosen on the "
    "test set and shows what perfect early stopping would give. gain: points of last error "
    "below the first method, paired by seed. right, wrong: training error in % on right and on "
    "wrong labels; high on wrong ones means not memorised. ECE, gap (confidence - accuracy): "
    "points. ± is half the 95 % interval over seeds (Student's t)."
)


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


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The mean and the half-width of Student's interval for it; NaN for fewer than two values."""
    values = np.asarray(values, np.float64)
    n = values.size
    if n < 2:
        return float(values.mean()), float("nan")
    t = stats.t.ppf((1 + level) / 2, n - 1)
    return float(values.mean()), float(t * values.std(ddof=1) / np.sqrt(n))


def paired_gain(runs: list[Run], group: str, baseline: str, method: str) -> tuple[float, float]:
    """How much lower the last error is than the baseline's, seed by seed: mean and half-width."""
    errors = {
        name: {
            run["seed"]: run["last_error"]
            for run in runs
            if (run["group"], run["method"]) == (group, name)
        }
        for name in (baseline, method)
    }
    seeds = sorted(errors[baseline].keys() & errors[method].keys())
    return mean_interval([errors[baseline][seed] - errors[method][seed] for seed in seeds])


def seed_results(scores: dict[str, np.ndarray], final: dict[str, jax.Array]) -> list[dict]:
    """A result for each seed from metrics [seeds, epochs] and others [seeds]; shares in percent."""
    last = {name: np.asarray(values) for name, values in final.items()}
    last |= {name: scores[name][:, -1] for name in SCORES}
    last |= {"last_error": scores["error"][:, -1], "best_error": scores["error"].min(axis=1)}
    percent = {name: values * (1 if name == "nll" else 100) for name, values in last.items()}
    curves = 100 * scores["error"]
    return [
        {"seed": seed, **{name: rounded(values[seed]) for name, values in percent.items()}}
        | {"curve": rounded(curve, 3)}
        for seed, curve in enumerate(curves)
    ]


def compare(runs: list[Run], group: str, methods: list[str]) -> list[list[str]]:
    """A row of HEADER for each method: means, with their intervals, and the paired gain."""
    rows = []
    for method in methods:
        chosen = [run for run in runs if (run["group"], run["method"]) == (group, method)]
        cells = {
            name: _number([run[name] for run in chosen], 2 if name == "nll" else 1)
            for name in ("last_error", "best_error", "train_right", "train_wrong", *SCORES)
        }
        gain = paired_gain(runs, group, methods[0], method)
        cells["gain"] = "" if method == methods[0] else f"{gain[0]:+.1f} ± {gain[1]:.1f}"
        order = ("last_error", "best_error", "gain", "train_right", "train_wrong", *SCORES)
        rows.append([method, *(cells[name] for name in order)])
    return rows


def write(
    out: Path, console: Console, title: str, runs: list[Run], methods: list[str], *, main_group: str
) -> None:
    """Print the comparison, and write it as table.md and plot.png."""
    lines = [f"{title}.\n"]
    for group in dict.fromkeys(run["group"] for run in runs):
        rows = compare(runs, group, methods)
        table = Table(
            title=f"{title}: {group}",
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=0,
        )
        for i, name in enumerate(HEADER):
            table.add_column(name, justify="right" if i else "left")
        for row in rows:  # intervals of the errors; those of the rest are in the file
            main = [cell.replace(" ± ", "±") for cell in row[1:4]]
            table.add_row(row[0], *main, *(cell.split(" ± ")[0] for cell in row[4:]))
        console.print(table)
        lines += [f"\n**{group}**\n", markdown_row(HEADER), markdown_row(["---"] * len(HEADER))]
        lines += map(markdown_row, rows)
    machines = "; ".join(dict.fromkeys(", ".join(run["machine"].values()) for run in runs))
    (out / "table.md").write_text("\n".join([*lines, f"\n{CAPTION} Machine: {machines}.\n"]))
    console.print(CAPTION)
    plot(out / "plot.png", title, runs, methods, main_group=main_group)
    console.print(f"Written: runs.jsonl, table.md and plot.png in {out}")


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def plot(path: Path, title: str, runs: list[Run], methods: list[str], *, main_group: str) -> None:
    """Left: the main group's test error as training goes on. Right: paired gains, all groups."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 0.4 * len(methods) + 2.6), width_ratios=(1.25, 1), layout="constrained"
    )
    groups = list(dict.fromkeys(run["group"] for run in runs))
    palette = plt.get_cmap("tab10" if len(methods) <= 10 else "tab20")
    colours = {name: palette(i - 1) if i else "#333333" for i, name in enumerate(methods)}
    for method in methods:
        curves = np.array(
            [r["curve"] for r in runs if (r["group"], r["method"]) == (main_group, method)]
        )
        epochs = np.arange(1, curves.shape[1] + 1)
        left.set_xlim(1, epochs[-1])
        mean = curves.mean(axis=0)
        half = np.array([mean_interval(column)[1] for column in curves.T])
        left.plot(epochs, mean, color=colours[method], label=f"{method}: {mean[-1]:.1f}", lw=1.8)
        left.fill_between(epochs, mean - half, mean + half, color=colours[method], alpha=0.12, lw=0)
    ends = [line.get_ydata()[-1] for line in left.get_lines()]
    left.set(xlabel="epoch", ylabel="test error, %", title=main_group, ylim=(0, 1.4 * max(ends)))
    handles, labels = left.get_legend_handles_labels()
    order = np.argsort(ends)[::-1]
    left.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        title="at the end",
        frameon=False,
        ncols=2,
        loc="upper right",
    )
    offsets = np.linspace(-0.25, 0.25, len(groups)) if len(groups) > 1 else [0.0]
    for offset, group, marker in zip(offsets, groups, "oDsv^", strict=False):
        for row, method in enumerate(methods[1:]):
            gain, half = paired_gain(runs, group, methods[0], method)
            fill = colours[method] if group == main_group else "white"
            style = {"fmt": marker, "color": colours[method], "mfc": fill, "ms": 5, "capsize": 2}
            right.errorbar(gain, row + offset, xerr=half, **style)
        fill = "#333333" if group == main_group else "white"
        right.plot([], [], marker, color="#333333", mfc=fill, label=group)
    right.axvline(0, color="#333333", lw=1)
    right.set_yticks(range(len(methods) - 1), methods[1:])
    right.invert_yaxis()
    right.set(xlabel="points of last-epoch error, paired", title=f"gain over {methods[0]}")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=len(groups))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y" if axes is left else "x", alpha=0.25)
    figure.suptitle(f"{title} (mean, 95 % interval)")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _number(values: list[float | None], digits: int = 1) -> str:
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return "-"
    mean, half = mean_interval(numbers)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def _processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match.group(1) if match else platform.processor() or platform.machine()
