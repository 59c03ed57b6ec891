"""Runs as JSON lines, and the numbers of them.

A run is a dict with "settings" (what defines the experiment), "group", "method", "seed", "machine",
and its results. Runs are only ever appended, so that nothing finished is lost.
"""

import dataclasses
import json
import os
import platform
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from experiments.harness import code
from experiments.harness.intervals import (
    STUDENT,
    Bits,
    Interval,
    mean_interval,
    packed,
    unpacked,
    variance,
)

Run = dict
NOT_DEFINING = ("out", "seeds", "smoke", "data", "folder")
PLAIN = ("nll", "brier", "train_loss")  # scores that are not fractions, so not in percent


def defining(question: str, config: Any, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What defines a run, in JSON's types: all options, what the data are, and the code.

    Args:
      question: its folder in `experiments`.
      config: a dataclass of options; where the runs go, how many, and paths of data do not count.
      facts: what else counts: the name or checksum of the data, for their path.
    """
    fields = [field.name for field in dataclasses.fields(config) if field.name not in NOT_DEFINING]
    options = {name: getattr(config, name) for name in fields}
    settings = {"experiment": question} | options | dict(facts or {}) | {"code": code.of(question)}
    return json.loads(json.dumps(settings, default=str))


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
    seeds: Sequence[int],
    plain: Sequence[str] = PLAIN,
    hits: Bool[np.ndarray, "seeds examples"] | None = None,
) -> list[dict]:
    """A result for each seed: its last scores, its best error, its error curve.

    Args:
      scores: arrays [seeds, epochs], the test "error" among them.
      final: arrays [seeds] of what is measured once.
      seeds: which ones these are.
      plain: the names of scores that are not fractions. Fractions become percent.
      hits: which test examples are right at the end, where all seeds share them.
    """
    last = {name: np.asarray(values) for name, values in final.items()}
    last |= {name: values[:, -1] for name, values in scores.items() if name != "error"}
    last |= {"last_error": scores["error"][:, -1], "best_error": scores["error"].min(axis=1)}
    shown = {name: values * (1 if name in plain else 100) for name, values in last.items()}
    curves = 100 * scores["error"]
    return [
        {"seed": seed, **{name: rounded(values[i]) for name, values in shown.items()}}
        | {"curve": rounded(curves[i], 3)}
        | ({} if hits is None else {"hits": packed(np.asarray(hits[i]))})
        for i, seed in enumerate(seeds)
    ]


def by_seed(runs: Sequence[Run], group: str, method: str, key: str) -> dict[int, float]:
    """One number of each seed; NaN for null."""
    chosen = [run for run in runs if (run["group"], run["method"]) == (group, method)]
    return {run["seed"]: np.nan if run[key] is None else run[key] for run in chosen}


def mean(
    runs: Sequence[Run], group: str, method: str, key: str, interval: Interval = STUDENT
) -> tuple[float, float]:
    """A number of a method's runs: mean and half-width."""
    values, interval = by_seed(runs, group, method, key), interval.of(group)
    over_examples = variance(_hits(runs, group, method, values)) if _tested(interval, key) else 0.0
    return mean_interval([*values.values()], interval, over_examples)


def paired(
    runs: Sequence[Run],
    group: str,
    baseline: str,
    method: str,
    key: str = "last_error",
    interval: Interval = STUDENT,
) -> tuple[float, float]:
    """How much lower a number is than the baseline's, seed by seed: mean and half-width."""
    base, own = (by_seed(runs, group, name, key) for name in (baseline, method))
    seeds, over_examples = sorted(base.keys() & own.keys()), 0.0
    interval = interval.of(group)
    if seeds and _tested(interval, key):
        over_examples = variance(*(_hits(runs, group, name, seeds) for name in (baseline, method)))
    return mean_interval([base[seed] - own[seed] for seed in seeds], interval, over_examples)


def _tested(interval: Interval, key: str) -> bool:
    """Whether a number is a mean over test examples which all seeds share."""
    return interval.examples and key == "last_error"


def _hits(runs: Sequence[Run], group: str, method: str, seeds: Iterable[int]) -> Bits:
    held = {run["seed"]: run for run in runs if (run["group"], run["method"]) == (group, method)}
    return [unpacked(held[seed].get("hits")) for seed in seeds]


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
