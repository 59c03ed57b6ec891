"""Rewrite the pages' results from the committed runs: `python -m experiments.harness.pages`.

A page is any README.md: the repository's own, and those in jax_mixup and experiments. A block
starts with `<!-- results: label_noise "40 % noise" "0 % noise" -->` and ends with `<!-- end -->`.
It gets the tables of these groups (no group: all) from experiments/label_noise/results/runs.jsonl,
as TABLE in experiments/label_noise/__main__.py shows them. In a sentence,
`<!-- gain: label_noise "40 % noise" "mixup α=8" -->` ... `<!-- end -->` gets one cell of such a
table, by the title of its column, with † if the runs are of earlier code than the present;
`<!-- cost: costs "FMix" -->` a method's time next to mixup's, from
experiments/benchmarks/results/costs. `<!-- methods -->` gets the table of methods from
experiments/catalogue.py.
"""

import importlib
import json
import re
import textwrap
from collections import Counter
from pathlib import Path

from experiments import catalogue
from experiments.harness import code, tables
from experiments.harness.runs import Run, groups_of, machines, read_runs
from experiments.harness.tables import Table

EARLIER = "†"  # after a figure
ROOT = Path(__file__).parents[2]
PAGE = "README.md"
BLOCK = re.compile(
    r'(<!-- (?:methods|([^:>]+): (\w+)((?: "[^"]+")*)) -->)(.*?)(<!-- end -->)', re.DOTALL
)


def pages() -> list[Path]:
    """Every README.md, the repository's own first."""
    inside = [path for name in ("jax_mixup", "experiments") for path in (ROOT / name).rglob(PAGE)]
    return [ROOT / PAGE, *sorted(inside)]


def committed(name: str) -> tuple[list[Run], Table]:
    """An experiment's committed runs, and how they are shown."""
    path = ROOT / "experiments" / name / "results/runs.jsonl"
    settings = json.loads(path.read_text().split("\n", 1)[0])["settings"]
    runs, others = read_runs(path, settings)
    if others:
        raise ValueError(
            f"{path} has {others} lines of other settings than its first line's; a page needs "
            "one experiment. Move the others to a file of their own."
        )
    return runs, importlib.import_module(f"experiments.{name}.__main__").TABLE


def methods_of(runs: list[Run], table: Table) -> list[str]:
    return list(table.methods or dict.fromkeys(run["method"] for run in runs))


def results(name: str, groups: list[str]) -> str:
    """Tables, and below them what the columns mean and where the numbers come from."""
    runs, table = committed(name)
    held = groups_of(runs)
    if not set(groups) <= set(held):
        raise ValueError(f"A page asks for the groups {groups} of {name}, whose runs have {held}.")
    seeds = Counter((run["group"], run["method"]) for run in runs).values()
    out = f"experiments/{name}/results"
    command = " ".join(f"python -m experiments.{name} {table.options} --out {out}".split())
    facts = f"{' or '.join(map(str, sorted(set(seeds))))} paired seeds; {machines(runs)}"
    facts += "; by earlier code than the present" if earlier(name, runs) else ""
    methods = methods_of(runs, table)
    cells = {group: tables.rows(runs, group, methods, table) for group in groups or held}
    shown = tables.markdown(cells, table)
    caption = textwrap.fill(table.legend(runs), 100, break_on_hyphens=False)
    return f"\n\n{shown}\n{caption}\n`{command}`:\n{facts}.\n\n"


def earlier(name: str, runs: list[Run]) -> bool:
    """Whether runs were made by other code than the question would run today."""
    return runs[0]["settings"].get("code") != code.of(name)


def cell(title: str, name: str, group: str, method: str) -> str:
    """One cell of an experiment's table."""
    runs, table = committed(name)
    methods = list(dict.fromkeys([*table.methods, *(run["method"] for run in runs)]))
    rows = {row[0]: row for row in tables.rows(runs, group, methods, table)}
    return rows[method][tables.header(table).index(title)] + EARLIER * earlier(name, runs)


def cost(method: str) -> str:
    """Time relative to mixup; per example where there is no draw for a batch."""
    path = ROOT / "experiments/benchmarks/results/costs/runs.jsonl"
    rows = {row["method"]: row["ratio"] for row in map(json.loads, path.read_text().splitlines())}
    ratio = rows.get(f"{method}|batch", rows.get(f"{method}|None"))
    return "not measured" if ratio is None else f"{ratio:.1f} x"


def filled(text: str) -> str:
    """The text with every block as the committed runs have it."""

    def fill(match: re.Match[str]) -> str:
        start, kind, name, quoted, _, end = match.groups()
        if kind is None:
            return f"{start}\n\n{catalogue.table(cost)}\n\n{end}"
        words = re.findall(r'"([^"]+)"', quoted)
        if kind == "cost":
            return start + cost(*words) + end
        new = results(name, words) if kind == "results" else cell(kind, name, *words)
        return start + new + end

    return BLOCK.sub(fill, text)


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text()))
