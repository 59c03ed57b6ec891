"""Choose a method's numbers, and when to stop, on splits that no result comes from.

So a baseline is tuned as carefully as the methods that are compared with it.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from experiments.core.methods import Method
from experiments.harness.jobs import Job, Task, Work, run_missing
from experiments.harness.runs import Run, seed_results

FIRST_SEED = 1000  # of the seeds for choosing; results have lower seeds
Arrays = Mapping[str, np.ndarray]
# As seed_results takes them: scores, what is measured once and, if asked, which tests are right.
Scores = tuple[Arrays, Arrays] | tuple[Arrays, Arrays, np.ndarray]
Candidates = Mapping[str, Mapping[str, Any]]  # method -> candidate -> its numbers


class Choice(NamedTuple):
    """The best of a method's candidates.

    Args:
      name, numbers: the candidate.
      epoch: that of its lowest mean, from 0.
      error: its mean at the end.
    """

    name: str
    epoch: int
    numbers: Any = None
    error: float = np.nan


class Search(NamedTuple):
    """What is chosen before methods are compared. None stands for the study's own value.

    Args:
      candidates: those of each method; a name is the same candidate for all methods.
      work: a study's work, with candidates as methods; results have a "curve".
      groups, seeds, ticks: those of a study.
      facts: what defines the search, besides what defines the study.
      said: (job, choice) -> what the verdict says of it; "" says nothing.
      other: what the choice was made on other ones of.
    """

    candidates: Candidates
    work: Work
    groups: Iterable[str] | None = None
    facts: Mapping[str, Any] = {}
    seeds: int | None = None
    ticks: int | None = None
    said: Callable[[Job, Choice], str] | None = None
    other: str = "splits"

    def describe(self, chosen: Mapping[Job, Choice]) -> str:
        """What was chosen, for the verdict."""
        if self.said is None:
            return ""
        said = dict.fromkeys(self.said(job, choice) for job, choice in chosen.items())
        return f"Chosen on other {self.other}: {'; '.join(filter(None, said))}."


def choose(
    console: Console,
    path: Path,
    settings: dict,
    groups: Iterable[str],
    candidates: Candidates,
    *,
    seeds: int,
    ticks: int,
    work: Work,
    one_by_one: bool = False,
) -> dict[Job, Choice]:
    """For each group and method the candidate whose mean curve is lowest at the end.

    Args:
      console, path, settings, ticks, one_by_one: as in `jobs.run_missing`.
      groups: their names.
      candidates, work: as in `Search`.
      seeds: number of seeds, from `FIRST_SEED` on.
    """
    numbers = {name: n for names in candidates.values() for name, n in names.items()}
    jobs = [(group, name) for group in groups for name in numbers]
    others = range(FIRST_SEED, FIRST_SEED + seeds)
    runs = run_missing(
        console, path, settings, jobs,
        seeds=others, ticks=ticks, work=work, one_by_one=one_by_one,
    )  # fmt: skip
    return best(runs, groups, candidates)


def best(runs: list[Run], groups: Iterable[str], candidates: Candidates) -> dict[Job, Choice]:
    """The choices that runs of all candidates lead to, as `choose` makes them."""
    numbers = {name: n for names in candidates.values() for name, n in names.items()}
    curves = {
        (group, name): np.mean(
            [run["curve"] for run in runs if (run["group"], run["method"]) == (group, name)], axis=0
        )
        for group in groups
        for name in numbers
    }
    choices = {}
    for group in groups:
        for method, names in candidates.items():
            name = min(names, key=lambda name: curves[group, name][-1])
            curve = curves[group, name]
            found = Choice(name, int(curve.argmin()), numbers[name], float(curve[-1]))
            choices[group, method] = found
    return choices


OUTSIDE = "draws, by examples outside the test set"  # a search's `other`, if tests are set aside
BASELINES = {
    "plain": {"plain": Method()},
    "weight decay": {f"weight decay {w}": Method(weight_decay=w) for w in (0.1, 0.3, 1.0, 3.0)},
    "label smoothing": {f"label smoothing {s}": Method(smoothing=s) for s in (0.05, 0.1, 0.3)},
}


def by_last_error(
    candidates: Candidates, fit: Callable[[Any, Task], Scores], **options: Any
) -> tuple[Search, Work]:
    """Choose each method's candidate by the last error, then train the best.

    Args:
      candidates: as in `Search`.
      fit: (numbers, task) -> the scores [seeds, epochs] of the task's seeds, what is measured once,
        [seeds], and, if the seeds share their test examples, which of them are right at the end,
        [seeds, examples]: what `runs.seed_results` takes. A task for choosing (`task.choosing`)
        must test on other examples than results do.
      options: of `Search`.

    Returns:
      A study's `search` and `work`. Results have the candidate's name as "chosen", its mean error
      on other seeds as "chosen_error"; "stop" is the epoch at which that is lowest, "stopped_error"
      the error there.
    """
    numbers = {name: n for names in candidates.values() for name, n in names.items()}

    def try_out(task: Task) -> list[dict]:
        scores, final, *_ = fit(numbers[task.method], task)
        return seed_results(scores, final, seeds=task.seeds)

    def work(task: Task) -> list[dict]:
        choice = task.chosen[task.group, task.method]
        scores, final, *hits = fit(choice.numbers, task)
        stopped = {"stopped_error": scores["error"][:, choice.epoch]}
        results = seed_results(
            scores, {**final, **stopped}, seeds=task.seeds, hits=hits[0] if hits else None
        )
        facts = {"chosen": choice.name, "chosen_error": choice.error, "stop": choice.epoch + 1}
        return [result | facts for result in results]

    return Search(candidates, try_out, **options), work
