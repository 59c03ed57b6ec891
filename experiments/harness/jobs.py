"""Run the missing jobs of a table, with a bar, and keep every finished job on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.harness.runs import Run, append_runs, machine, read_runs

Job = tuple[str, str]  # (group, method), as in the runs
Tick = Callable[[int], None]


class Task(NamedTuple):
    """One job, as it is given to the function that does the work.

    Args:
      group, method: the job.
      seeds: the seeds to train; results say which seed they are of.
      tick: `tick(n)` moves the bar on; all calls together count to the job's `ticks`.
      chosen: (group, method) -> what was chosen on other seeds.
    """

    group: str
    method: str
    seeds: range
    tick: Tick
    chosen: Mapping[Job, Any] = {}

    @property
    def keys(self) -> PRNGKeyArray:
        """A key for each seed."""
        return jax.vmap(jax.random.key)(jnp.asarray(self.seeds))

    @property
    def choosing(self) -> bool:
        """Whether its runs are for choosing only, so that they must see no test example."""
        from experiments.harness.choose import FIRST_SEED  # which imports this module

        return self.seeds.start >= FIRST_SEED


Work = Callable[[Task], list[dict]]


def run_missing(
    console: Console,
    path: Path,
    settings: dict,
    jobs: list[Job],
    *,
    seeds: range,
    ticks: int,
    work: Work,
    chosen: Mapping[Job, Any] | None = None,
    one_by_one: bool = False,
) -> list[Run]:
    """The runs of all jobs, those done before taken from `path`.

    `work` gives a result for each of a task's seeds. Runs are written as soon as their task is
    finished, so that a stopped command goes on where it was. Runs of other settings in the file are
    left as they are, and left out.

    Args:
      console: where the bar is shown.
      path: the file of the runs.
      settings: what defines them.
      jobs: what to run.
      seeds: for each job.
      ticks: how often `work` moves the bar in a task.
      work: trains the seeds of a task.
      chosen: what tasks get as `chosen`.
      one_by_one: a task has one seed, and all jobs of a seed come before the next seed's, so that
        a run of hours can be read early. Otherwise a task has all seeds of a job that are missing.
    """
    runs, others = read_runs(path, settings)
    if others:
        console.print(f"{path} also holds {others} lines of other settings: kept, not used here.")
    done = {(run["group"], run["method"], run["seed"]) for run in runs}
    parts = [range(seed, seed + 1) for seed in seeds] if one_by_one else [seeds]
    tasks = [(job, _left(job, part, done)) for part in parts for job in jobs]
    missing, facts = [(job, part) for job, part in tasks if part], machine()
    with _bar(console) as progress:
        bar = progress.add_task("", total=ticks * len(tasks))
        progress.advance(bar, ticks * (len(tasks) - len(missing)))
        for (group, method), part in missing:
            name = f"{group}: {method}, seed {part[0]}" if one_by_one else f"{group}: {method}"
            progress.update(bar, description=name)
            tick = lambda n: progress.advance(bar, n)
            results = work(Task(group, method, part, tick, chosen or {}))
            label = {"settings": settings, "group": group, "method": method, "machine": facts}
            append_runs(path, [label | result for result in results])
    runs, _ = read_runs(path, settings)
    found = {(run["group"], run["method"], run["seed"]): run for run in runs}
    return [found[*job, seed] for job in jobs for seed in seeds if (*job, seed) in found]


def _left(job: Job, seeds: range, done: set[tuple[str, str, int]]) -> range:
    """The seeds from the first that is not done on."""
    left = [seed for seed in seeds if (*job, seed) not in done]
    return range(left[0], seeds.stop) if left else range(0)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %, left"),
        TimeRemainingColumn(),
        console=console,
    )
