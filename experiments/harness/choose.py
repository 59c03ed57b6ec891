"""Choose a method's numbers, and when to stop, on splits that no result comes from.

So a baseline gets as much care as what is compared with it.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from experiments.core.methods import Method
from experiments.harness import jobs as sweep
from experiments.harness import runs as report

FIRST_SEED = 1000  # of those that choose; results have lower ones
Tick = Callable[[int], None]
Results = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]  # as seed_results takes them


class Choice(NamedTuple):
    """One of a method's candidates, and its epoch of lowest mean, from 0."""

    name: str
    epoch: int


def choose(
    console: Console,
    path: Path,
    settings: dict,
    groups: Iterable[str],
    methods: Mapping[str, Iterable[str]],
    *,
    seeds: int,
    ticks: int,
    work: Callable[[sweep.Job, Tick], list[dict]],
) -> dict[sweep.Job, Choice]:
    """For each group and method the candidate whose mean curve is lowest at the end.

    Args:
      console, path, settings, seeds, ticks, work: as in `sweep.run`, with candidates as methods;
        runs have a "curve". `work` takes its data from seed `FIRST_SEED` on.
      groups: their names.
      methods: the names of each one's candidates; a name is the same candidate in all of them.
    """
    names = dict.fromkeys(name for candidates in methods.values() for name in candidates)
    jobs = [(group, name) for group in groups for name in names]
    runs = sweep.run(console, path, settings, jobs, seeds, ticks, work)
    curves = {
        job: np.mean([run["curve"] for run in runs if (run["group"], run["method"]) == job], axis=0)
        for job in jobs
    }
    choices = {}
    for group in groups:
        for method, candidates in methods.items():
            name = min(candidates, key=lambda name: curves[group, name][-1])
            choices[group, method] = Choice(name, int(curves[group, name].argmin()))
    return choices


BASELINES = {
    "plain": {"plain": Method()},
    "weight decay": {f"weight decay {w}": Method(weight_decay=w) for w in (0.1, 0.3, 1.0, 3.0)},
    "label smoothing": {f"label smoothing {s}": Method(smoothing=s) for s in (0.05, 0.1, 0.3)},
}


def run(
    console: Console,
    out: Path,
    settings: dict,
    groups: Iterable[str],
    methods: Mapping[str, Mapping[str, Any]],
    *,
    seeds: int,
    epochs: int,
    work: Callable[[str, Any, int, Tick], Results],
) -> list[report.Run]:
    """Choose among all methods' candidates by the last error, then run the best, in all groups.

    Args:
      console, settings, seeds: as in `sweep.run`.
      out: the folder of runs.jsonl, and of choose.jsonl, where the candidates' runs are.
      groups, methods: as in `choose`, with the candidates' numbers.
      epochs: how many, each a tick.
      work: (group, numbers, first seed, tick) -> the scores [seeds, epochs] of that many seeds, and
        what is measured once, [seeds]: what `report.seed_results` takes.

    Returns:
      Runs as `sweep.run` gives them, with the candidate's name as "chosen", and as "stopped_error"
      the error at the epoch that its mean error on other seeds is lowest at, "stop".
    """
    candidates = {name: numbers for names in methods.values() for name, numbers in names.items()}

    def try_out(job: sweep.Job, tick: Tick) -> list[dict]:
        return report.seed_results(*work(job[0], candidates[job[1]], FIRST_SEED, tick))

    def train(job: sweep.Job, tick: Tick) -> list[dict]:
        name, epoch = choices[job]
        scores, final = work(job[0], candidates[name], 0, tick)
        stopped = {"stopped_error": scores["error"][:, epoch]}
        results = report.seed_results(scores, {**final, **stopped})
        return [result | {"chosen": name, "stop": epoch + 1} for result in results]

    choices = choose(
        console,
        out / "choose.jsonl",
        settings,
        groups,
        methods,
        seeds=seeds,
        ticks=epochs,
        work=try_out,
    )
    return sweep.run(console, out / "runs.jsonl", settings, list(choices), seeds, epochs, train)
