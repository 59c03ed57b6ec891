"""Runs as JSON lines, and the numbers of them.

A run is a dict with "settings" (what defines the experiment), "group", "method", "seed", "machine",
and its results. Runs are only ever appended, so that nothing finished is lost.
"""

import functools
import json
import os
import platform
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from scipy import stats

Run = dict
PLAIN = ("nll", "brier", "train_loss")  # scores that are not fractions, so not in percent


def append_runs(path: Path, runs: Iterable[Run]) -> None:
    """Write runs in one piece and make sure that they are on the disk."""
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
    """Numbers for JSON; NaN, which JSON lacks, becomes null."""
    array = np.asarray(values, np.float64)
    if array.ndim:
        return [rounded(value, digits) for value in array]
    return round(float(array), digits) if np.isfinite(array) else None


def checksum(array: np.ndarray) -> str:
    """A checksum for a run's settings, to distinguish data of the same name."""
    return f"{zlib.crc32(array.tobytes()):08x}"


def machine() -> dict[str, str]:
    """The machine and versions that gave the numbers."""
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
      plain: the names of scores that are not fractions. Fractions become percent.
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
    return float(array.mean()), float(quantile(n - 1, level) * array.std(ddof=1) / np.sqrt(n))


@functools.cache  # which takes scipy longer than everything else
def quantile(freedom: int, level: float) -> float:
    """How many standard errors Student's two-sided interval reaches from the mean."""
    return float(stats.t.ppf((1 + level) / 2, freedom))


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


def groups_of(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run["group"] for run in runs))


def machines(runs: Iterable[Run]) -> str:
    return "; ".join(dict.fromkeys(", ".join(run["machine"].values()) for run in runs))


def _processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match.group(1) if match else platform.processor() or platform.machine()
