"""Ask a question: choose, train what is missing, then print, write and draw the comparison."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.harness.choose import Choice, Search, choose
from experiments.harness.jobs import Job, Work, run_missing
from experiments.harness.runs import Run, defining
from experiments.harness.tables import Plot, Table, write


@dataclasses.dataclass(frozen=True)
class Study:
    """A question: what is trained, how it is shown, and what was predicted."""

    out: Path
    """Folder of runs.jsonl, table.md, plot.png and, if there is a search, choose.jsonl."""
    title: str
    """Title of the table and the picture."""
    name: str
    """The question's folder."""
    config: Any
    """All options. With `facts` and the code they define a run: such runs on disk are done."""
    groups: Iterable[str]
    """Tables of the report: data sets, rates of noise, ..."""
    methods: Iterable[str]
    """Rows of each table; the others are compared with the first."""
    seeds: int
    """Number of paired seeds."""
    ticks: int
    """How often `work` moves the bar in one job."""
    work: Work
    """Trains all seeds of one method in one group; a result, with a "seed", for each."""
    table: Table
    """The columns."""
    plot: Plot | None = None
    """Draws plot.png."""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else defines a run, in JSON's types: the data's name or checksum."""
    one_by_one: bool = False
    """Whether `work` gets one seed at a time, seed by seed; for runs of minutes."""
    rule: Callable[[list[Run]], str] | None = None
    """The verdict on what was predicted: a `rules.Rule`, or a function."""
    search: Search | None = None
    """What is chosen first, on other seeds."""
    jobs: list[Job] | None = None
    """The pairs (group, method) to run; by default every method in every group."""
    first_seed: int = 0
    """Results take 0; strengths are compared on `choose.FIRST_SEED` and up."""
    ranked: Callable[[list[Run]], list[str]] | None = None
    """The order of the rows, where it depends on the runs."""
    more: Callable[[list[Run]], str] | None = None
    """Writes other files than those above, and returns a sentence about them."""


def run_study(study: Study) -> int:
    """Choose and train what is missing, then print, write and draw the comparison."""
    console, groups, methods = Console(), list(study.groups), list(study.methods)
    search, chosen, settings = study.search, {}, defining(study.name, study.config, study.facts)
    if search is not None:
        chosen = choose(
            console,
            study.out / "choose.jsonl",
            settings | dict(search.facts),
            groups if search.groups is None else list(search.groups),
            search.candidates,
            seeds=search.seeds or study.seeds,
            ticks=search.ticks or study.ticks,
            work=search.work,
            one_by_one=study.one_by_one,
        )
    runs = run_missing(
        console,
        study.out / "runs.jsonl",
        settings,
        study.jobs or [(group, method) for group in groups for method in methods],
        seeds=range(study.first_seed, study.first_seed + study.seeds),
        ticks=study.ticks,
        work=study.work,
        chosen=chosen,
        one_by_one=study.one_by_one,
    )
    report(study, console, runs, chosen)
    if study.more is not None:
        console.print(study.more(runs))
    return 0


def report(study: Study, console: Console, runs: list[Run], chosen: Mapping[Job, Choice]) -> None:
    """Print, write and draw the comparison, with the verdict and what was chosen."""
    said = [
        study.rule(runs) if study.rule else "",
        study.search.describe(chosen) if study.search else "",
    ]
    write(
        study.out,
        console,
        study.title,
        runs,
        study.ranked(runs) if study.ranked else list(study.methods),
        table=study.table,
        plot=study.plot,
        verdict=" ".join(filter(None, said)),
    )
