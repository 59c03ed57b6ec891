"""Write a question's table and draw its picture again from its committed runs, without training.

`python -m experiments.harness.again NAME`, for another column, interval or rule. Options are those
of the question: a path of --data, if it is another than that of the committed run, and --choose.
"""

import importlib
import json
import shlex
import sys
from pathlib import Path

import tyro
from rich.console import Console

from experiments.harness.choose import best
from experiments.harness.runs import Run, read_runs
from experiments.harness.study import Study, report

ROOT = Path(__file__).parents[1]


def committed(path: Path) -> list[Run]:
    """The runs of the settings that the file's first line has, of whatever code."""
    return read_runs(path, json.loads(path.read_text().split("\n", 1)[0])["settings"])[0]


def show(study: Study) -> int:
    """What `run_study` does once all runs are there, whatever code they are of."""
    chosen = {}
    if study.search is not None:
        groups = study.groups if study.search.groups is None else study.search.groups
        tried = committed(study.out / "choose.jsonl")
        chosen = best(tried, list(groups), study.search.candidates)
    report(study, Console(), committed(study.out / "runs.jsonl"), chosen)
    return 0


def main(name: str, *options: str) -> int:
    """Ask the question with `show` in place of what trains."""
    question = importlib.import_module(f"experiments.{name}.__main__")
    out = ["--out", str(ROOT / name / "results")]
    args = [*shlex.split(question.TABLE.options), *out, *options]
    vars(question)["run_study"] = show
    return question.main(tyro.cli(question.Config, args=args))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
