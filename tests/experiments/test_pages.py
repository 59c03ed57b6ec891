"""Every figure on a page is that of a committed run."""

import json
import re

import pytest

from experiments.benchmarks import goals
from experiments.harness import pages, tables
from experiments.harness.runs import groups_of, paired
from experiments.harness.tables import markdown_row
from tests.pages import README, TEXTS

EXPERIMENTS = pages.ROOT / "experiments"
BENCHMARKS = EXPERIMENTS / "benchmarks/results"
COSTS = TEXTS["experiments/benchmarks/README.md"]
GPU = TEXTS["experiments/benchmarks/results/gpu/README.md"]
TPU = TEXTS["experiments/benchmarks/results/tpu/README.md"]
COMMITTED = [path.parents[1].name for path in sorted(EXPERIMENTS.glob("*/results/runs.jsonl"))]


@pytest.mark.parametrize("name", TEXTS)
def test_figures_are_those_of_the_committed_runs(name):
    assert pages.filled(TEXTS[name]) == TEXTS[name], "python -m experiments.harness.pages"
    # A result has its interval; no other place may hold one.
    assert not re.search(r"\| [^|]* ± [^|]* \|", re.sub(pages.BLOCK, "", TEXTS[name]))


def test_no_sentence_of_the_readme_holds_a_figure():
    outside = [line for line in README.splitlines() if not line.startswith("|")]
    assert pages.BLOCK.search(README) and not pages.BLOCK.search("\n".join(outside))


def test_answers_are_short():
    rows = re.findall(r"^\| \[?[^|]+\?\]?[^|]* \| ([^|]+) \|", README, flags=re.MULTILINE)
    index = TEXTS["experiments/README.md"]
    rows += re.findall(r"^\| [^|]+\? \| ([^|]+) \|", index, flags=re.MULTILINE)
    assert len(rows) > 30
    assert all(len(answer.split()) <= 12 for answer in rows)


def test_each_question_has_its_page():
    folders = {path.parent.name for path in EXPERIMENTS.glob("*/__main__.py")}
    index = re.findall(r"\]\((\w+)/README.md\) \|$", TEXTS["experiments/README.md"], re.MULTILINE)
    assert set(index) == folders and len(index) == len(folders)
    for name in folders:
        text = TEXTS[f"experiments/{name}/README.md"]
        assert len(text.splitlines()) <= 100, name
        assert f"python -m experiments.{name} " in text, name
        if (EXPERIMENTS / name / "results/runs.jsonl").exists():
            assert "paired seeds" in text and "- Limits: " in text, name


def test_the_main_result():
    runs, _ = pages.committed("label_noise")
    assert len({run["seed"] for run in runs}) == 10
    gain, half = paired(runs, "40 % noise", "plain", "mixup α=8")
    assert gain >= 4 and gain - half > 0


@pytest.mark.parametrize("name", COMMITTED)
def test_tables_are_those_of_the_committed_runs(name):
    runs, table = pages.committed(name)
    methods = list(dict.fromkeys([*table.methods, *(run["method"] for run in runs)]))
    text = (EXPERIMENTS / name / "results/table.md").read_text().splitlines()
    for group in groups_of(runs):
        for row in tables.rows(runs, group, methods, table):
            assert markdown_row(row) in text, (name, group, row)
        assert f"**{group}**" in text


def test_the_costs_are_those_of_the_committed_run():
    results = {}
    for line in (BENCHMARKS / "benchmarks/runs.jsonl").read_text().splitlines():
        run = json.loads(line)
        results.setdefault(run["group"], {})[run["method"]] = run
    sizes, grains = ("small", "large"), ("batch", "example")
    groups = [f"{size}, u8 to f32, per {per}" for per in grains for size in sizes]
    rows = [results[f"packages: {name}"] | results[name] for name in groups]
    shown = re.findall(r"^\| (.+) \| ([\d.]+) \| ([\d.]+) \|$", README, flags=re.MULTILINE)
    assert len(shown) == 3
    for method in {method for row in rows for method in row} - {"floor"}:
        cells = [f"{row[method]['ratio']:.2f}" if method in row else "-" for row in rows]
        assert markdown_row([method, *cells]) in COSTS, (method, cells)
        for name, small, large in shown:
            assert name != method or [small, large] == cells[:2], method
    words = [row[3] for row in goals.judged(results)]
    assert "not run" not in words and f"met {words.count('met')} of {len(words)}" in COSTS


def test_the_bytes_on_tpus_are_those_of_the_committed_run():
    table = (BENCHMARKS / "tpu/table.md").read_text()
    row = re.compile(r"^\| ([^|]+) \| [\d.]+ \| ([\d.]+) \| ([\d.]+) \|", flags=re.MULTILINE)
    parts = re.split(r"\*\*v5e:(\dx\d), (?:64 rows a chip|vit_s16)\*\*", table)[1:]
    found = {}
    for chips, part in zip(parts[::2], parts[1::2], strict=True):
        found.update({(chips, name): x for name, *x in row.findall(part.split("**")[0])})
    named = {
        "mixup, per batch": "mixup, per batch",
        "mixup or CutMix, per batch": "mixup_or_cutmix, per batch",
        "mixup or CutMix, per example": "mixup_or_cutmix, per example",
        "by hand: permutation, beta": "by hand: permutation, beta",
        "train step of ViT-S/16 with mixup or CutMix": "data-parallel, mixing",
    }
    for shown, name in named.items():
        moved, cycles = found["2x4", name]
        assert f"| {shown} | {moved} | {found['8x8', name][0]} | {cycles} |" in TPU


def test_the_launches_on_gpus_are_those_of_the_committed_run():
    found = {}
    for line in (BENCHMARKS / "gpu/runs.jsonl").read_text().splitlines():
        run = json.loads(line)
        found.setdefault(run["group"], {})[run["method"]] = run
    mixes = [found[f"{size} x h100, 64 rows a GPU"] for size in (1, 8, 64)]
    steps = [None, *(found[f"{size} x h100, vit_s16"] for size in (8, 64))]
    named = {
        "no mixing": (mixes, "no mixing"),
        "mixup, per batch": (mixes, "mixup, per batch"),
        "mixup or CutMix, per batch": (mixes, "mixup or CutMix, per batch"),
        "mixup or CutMix, per example": (mixes, "mixup or CutMix, per example"),
        "train step of ViT-S/16, no mixing": (steps, "no mixing"),
        "with mixup or CutMix, per batch": (steps, "mixup or CutMix, per batch"),
        "with permutation and beta, by hand": (steps, "by hand: permutation, beta"),
    }
    for shown, (groups, name) in named.items():
        counts = [str(rows[name]["launches"]) if rows else "-" for rows in groups]
        ratio = f"{groups[1][name]['bytes'] / groups[1]['no mixing']['bytes']:.4f}"
        moved = "gathers the batch" if "by hand" in shown else "none"
        assert markdown_row([shown, *counts, ratio, moved]) in GPU
        if moved == "none":
            assert groups[1][name]["collectives"] == groups[1]["no mixing"]["collectives"]
