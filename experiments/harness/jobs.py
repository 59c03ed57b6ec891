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
      seeds: the seeds to train.
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
        return jax.vmap(jax.random.key)(jnp.arange(self.seeds.start, self.seeds.stop))


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
) -> list[Run]:
    """The runs of all jobs, those done before taken from `path`.

    `work` gives a result for each seed, with "seed" counted from 0. Runs are written as soon as
    their job is finished, so that a stopped command goes on where it was. Runs of other settings in
    the file are left as they are, and left out.
    """
    runs, others = read_runs(path, settings)
    if others:
        console.print(f"{path} also holds {others} lines of other settings: kept, not used here.")
    places = range(len(seeds))
    done = {(run["group"], run["method"], run["seed"]) for run in runs}
    missing = [job for job in jobs if any((*job, seed) not in done for seed in places)]
    facts = machine()
    with _bar(console) as progress:
        bar = progress.add_task("", total=ticks * len(jobs))
        progress.advance(bar, ticks * (len(jobs) - len(missing)))
        for group, method in missing:
            progress.update(bar, description=f"{group}: {method}")
            tick = lambda n: progress.advance(bar, n)
            results = work(Task(group, method, seeds, tick, chosen or {}))
            label = {"settings": settings, "group": group, "method": method, "machine": facts}
            append_runs(path, [label | result for result in results])
    runs, _ = read_runs(path, settings)
    found = {(run["group"], run["method"], run["seed"]): run for run in runs}
    return [found[*job, seed] for job in jobs for seed in places if (*job, seed) in found]


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %, left"),
        TimeRemainingColumn(),
        console=console,
    )
