"""Run what is missing of a table of jobs, with a bar, and keep every finished job on disk."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.harness import runs as report

Job = tuple[str, str]  # (group, method), as in the runs


def run(
    console: Console,
    path: Path,
    settings: dict,
    jobs: list[Job],
    seeds: int,
    ticks: int,
    work: Callable[[Job, Callable[[int], None]], list[dict]],
) -> list[report.Run]:
    """The runs of all jobs, those done before taken from `path`.

    `work(job, tick)` gives a result with a "seed" for each seed, and calls `tick(n)` until it has
    counted `ticks`. Runs are written as soon as their job is finished, so that a stopped sweep goes
    on where it was. Runs of other settings in the file are left as they are, and left out.
    """
    runs, others = report.read_runs(path, settings)
    if others:
        console.print(f"{path} also holds {others} lines of other settings: kept, not used here.")
    wanted = {(*job, seed) for job in jobs for seed in range(seeds)}
    done = {(run["group"], run["method"], run["seed"]) for run in runs}
    todo = [job for job in jobs if any((*job, seed) not in done for seed in range(seeds))]
    facts = report.machine()
    columns = (
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %, left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=ticks * len(jobs))
        progress.advance(task, ticks * (len(jobs) - len(todo)))
        for job in todo:
            group, method = job
            progress.update(task, description=f"{group}: {method}")
            results = work(job, lambda n: progress.advance(task, n))
            label = {"settings": settings, "group": group, "method": method, "machine": facts}
            report.append_runs(path, [label | result for result in results])
    runs, _ = report.read_runs(path, settings)
    order = {job: place for place, job in enumerate(jobs)}
    chosen = [run for run in runs if (run["group"], run["method"], run["seed"]) in wanted]
    return sorted(chosen, key=lambda run: (order[run["group"], run["method"]], run["seed"]))
