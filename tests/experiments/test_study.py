"""One study for all questions: its rules by hand, and the committed runs as it reads them."""

import dataclasses
import importlib
import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from experiments.data import (
    camvid,
    embeddings,
    images,
    regression_tables,
    sentences,
    spoken,
    tables,
)
from experiments.family import train as family_train
from experiments.harness import code, rules
from experiments.harness.jobs import run_missing
from experiments.harness.rules import Claim, Gain, Gate, Rule
from experiments.harness.study import run_study

FOLDER = Path(__file__).parents[2] / "experiments"


def lines_of(name, file="results/runs.jsonl"):
    return [json.loads(line) for line in (FOLDER / name / file).read_text().splitlines()]


COMMITTED = sorted(path.parents[1].name for path in FOLDER.glob("*/results/runs.jsonl"))
CHOSEN = sorted(path.parents[2].name for path in FOLDER.glob("*/results/choose/runs.jsonl"))
FULL = {  # the options that the committed runs were made with, where they are not the default
    "label_noise": {"full": True},
    "cifar": {"data": "cifar10", "subset": 5000, "test": 2000, "epochs": 15}
    | {"methods": ("ERM 5e-4", "mixup")},
    **{name: {"data": Path("data")} for name in ("audio", "regression", "segmentation", "tabular")},
    "text": {"data": Path("data")},
    "domain_shift": {"data": Path("data")},
    "embeddings": {"data": Path("data")},
    "fine_tuning": {"data": Path("data")},
    "label_noise_pictures": {"data": "cifar10"},
    "few_pictures": {"data": "cifar10"},
}
CHOOSING = {"gan": {"seeds": 6}, "gan_images": {"seeds": 3, "steps": 1000}, "rl": {"seeds": 5}}


def runs_of(errors):
    """Runs in group g of each method's errors, by seed."""
    return [
        {"group": "g", "method": method, "seed": seed, "last_error": error}
        for method, row in errors.items()
        for seed, error in enumerate(row)
    ]


def test_gains_as_text():
    gain = Gain(1.234, 0.567)
    assert (
        f"{gain}" == "+1.2 ± 0.6" and f"{gain:.2f}" == "1.23 ± 0.57" and f"{gain:+.0f}" == "+1 ± 1"
    )


def test_what_a_gain_may_have_to_be():
    for holds, good, bad in (
        (rules.above(), [(2, 1)], [(1, 1), (-2, 1), (1, 2), (np.nan, np.nan), (3, np.nan)]),
        (rules.above(4), [(4, 1)], [(3, 1), (5, 6)]),
        (rules.below(), [(-2, 1)], [(2, 1), (-1, 2)]),
        (rules.below(30), [(-30, 1)], [(-29, 1), (-31, 40)]),
        (rules.not_below(), [(-1, 1), (1, 0)], [(-2, 1)]),
        (rules.loses_less_than(1), [(0, 9), (-0.5, 0)], [(-1, 0)]),
        (rules.gains_less_than(5), [(4, 9)], [(5, 0)]),
        (rules.within(2), [(-2, 0), (1, 0)], [(3, 9)]),
        (rules.within(2, or_interval=True), [(-2, 0), (3, 9)], [(3, 1)]),
    ):
        assert all(holds(Gain(*gain)) for gain in good)
        assert not any(holds(Gain(*gain)) for gain in bad)


def test_a_rule_by_hand():
    runs = runs_of({"plain": [10, 12, 14], "mixup": [9, 11, 13], "CutMix": [12, 13, 17]})
    less, more = Claim("g", "mixup"), Claim("g", "CutMix", part=1)
    rule = Rule("{0} and {1}: {held[0]}, {held[1]}; {verdict}.", (less, more))
    assert rule(runs) == "+1.0 ± 0.0 and -2.0 ± 2.5: holds, does not hold; FAIL."
    assert rule._replace(exceptions={1: 1})(runs).endswith("holds, holds; PASS.")
    assert rule._replace(claims=(less, less._replace(part=1)))(runs).endswith("PASS.")
    assert Claim("g", "mixup", over=None).gain(runs) == pytest.approx((11, 4.97), abs=0.01)
    assert Claim("g", "plain", over="CutMix").gain(runs).mean == 2


def test_a_missed_gate_gives_no_verdict():
    runs = runs_of({"plain": [10, 12, 14], "mixup": [9, 11, 13]})
    for run in runs:
        run["train_wrong"] = 40.0
    claim = Claim("g", "plain", over=None, key="train_wrong", holds=rules.mean_below(30))
    rule = Rule("{0}, {verdict}.", (Claim("g", "mixup"),), gate=Gate("it memorises", (claim,)))
    missed = "Gate (it memorises): 40.0 (g), missed, so that there is no verdict."
    assert rule(runs) == missed
    for run in runs:
        run["train_wrong"] = 20.0 + 5 * run["seed"]
    assert rule(runs) == "Gate (it memorises): 25.0 (g), passed. +1.0 ± 0.0, PASS."


@pytest.fixture
def no_data(monkeypatch):
    """Data that are not in the repository: others, which are not looked at, by the same names."""

    def named(module, fact="tables"):
        """Tables of the names that the committed runs have, with any contents."""
        known = first_run(module)["settings"].get(fact, {})
        return [SimpleNamespace(name=n, x=checksum, y=np.zeros(9)) for n, checksum in known.items()]

    cifar = images.Images(
        np.zeros((50_000, 1, 1, 3), np.uint8), np.zeros(50_000, np.int32),
        np.zeros((2, 1, 1, 3), np.uint8), np.zeros(2, np.int32), ("a", "b"),
        "CIFAR-10, JPEG q75 copy",
    )  # fmt: skip
    monkeypatch.setattr(images, "load", lambda *_, **__: cifar)
    monkeypatch.setattr(spoken, "load", lambda path, size: spoken.generated(size))
    monkeypatch.setattr(sentences, "read", lambda path: sentences.toy())
    for name in {"text", "fine_tuning", "segmentation"} & {*COMMITTED}:
        known = first_run(name)["settings"]["data"]
        main = importlib.import_module(f"experiments.{name}.__main__")
        monkeypatch.setattr(main, "checksum", lambda given, known=known: known)
    if "embeddings" in COMMITTED:
        corpora = {corpus.name: corpus for corpus in named("embeddings", "data")}
        monkeypatch.setattr(embeddings, "read", lambda path: corpora)
        main = importlib.import_module("experiments.embeddings.__main__")
        monkeypatch.setattr(main, "checksum", lambda given: given)
    monkeypatch.setattr(camvid, "read", lambda path, factor: camvid.generated())
    if "domain_shift" in COMMITTED:
        shift = first_run("domain_shift")["settings"]["data"]
        main = importlib.import_module("experiments.domain_shift.__main__")
        made = main.frames.generated()
        monkeypatch.setattr(main.frames, "read", lambda path, factor: made)
        monkeypatch.setattr(main, "checksum", lambda images: shift)
    groups = dict.fromkeys(run["group"] for run in lines_of("family"))
    monkeypatch.setattr(family_train, "pools", lambda data, smoke: groups)
    for name, module in (("tabular", tables), ("regression", regression_tables)):
        monkeypatch.setattr(module, "load", partial(lambda found, data: found, named(name)))
        main = importlib.import_module(f"experiments.{name}.__main__")
        monkeypatch.setattr(main, "checksum", lambda given: given)


def first_run(name):
    return lines_of(name)[0]


def fails(task):
    pytest.fail(f"{task.group}, {task.method} was trained again.")


def asked_again(monkeypatch, name, out, **options):
    """The question with committed runs in its folder, which may neither train nor draw."""
    module, studies = importlib.import_module(f"experiments.{name}.__main__"), []
    monkeypatch.setattr(module, "run_study", lambda study: studies.append(study) or 0)
    assert module.main(module.Config(out=out, **options)) == 0
    [study] = studies
    search = study.search and study.search._replace(work=fails)
    return dataclasses.replace(study, work=fails, search=search, plot=None, more=None)


def is_of_this_code(name, file="results/runs.jsonl"):
    return lines_of(name, file)[0]["settings"].get("code") == code.of(name)


def test_runs_of_earlier_code_are_marked_on_their_page():
    for name in COMMITTED:
        if not is_of_this_code(name):
            page = (FOLDER / name / "README.md").read_text()
            assert "earlier code" in page or "†" in page, name


@pytest.mark.parametrize("name", [*filter(is_of_this_code, COMMITTED)])
def test_committed_runs_are_not_run_again(name, monkeypatch, tmp_path, no_data):
    """They are those of the same settings; and their table and verdict come out the same."""
    shutil.copytree(FOLDER / name / "results", tmp_path / "results")
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")}
    options = FULL.get(name, {})
    seeds = 1 + max(run["seed"] for run in lines_of(name))
    assert (
        run_study(asked_again(monkeypatch, name, tmp_path / "results", seeds=seeds, **options)) == 0
    )
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")} == before


@pytest.mark.parametrize(
    "name", [name for name in CHOSEN if is_of_this_code(name, "results/choose/runs.jsonl")]
)
def test_committed_choices_are_not_made_again(name, monkeypatch, tmp_path, no_data):
    shutil.copytree(FOLDER / name / "results", tmp_path / "results")
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")}
    options = CHOOSING[name] | {"choose": True}
    assert run_study(asked_again(monkeypatch, name, tmp_path / "results", **options)) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")} == before


def asked(tmp_path, seeds, **options):
    """Which (method, seeds) were trained when a question was asked."""
    trained = []

    def work(task):
        trained.append((task.method, [*task.seeds]))
        return [{"seed": seed, "last_error": float(seed)} for seed in task.seeds]

    jobs = [("g", "plain"), ("g", "mixup")]
    path, more = tmp_path / "runs.jsonl", {"ticks": 1, "work": work, **options}
    runs = run_missing(Console(quiet=True), path, {"of": "test"}, jobs, seeds=seeds, **more)
    assert [(run["method"], run["seed"]) for run in runs] == [
        (method, seed) for _, method in jobs for seed in seeds
    ]
    return trained


def test_more_seeds_train_only_what_is_missing(tmp_path):
    assert asked(tmp_path, range(3)) == [("plain", [0, 1, 2]), ("mixup", [0, 1, 2])]
    assert asked(tmp_path, range(3)) == []
    assert asked(tmp_path, range(5)) == [("plain", [3, 4]), ("mixup", [3, 4])]
    assert asked(tmp_path, range(1000, 1002)) == [("plain", [1000, 1001]), ("mixup", [1000, 1001])]


def test_one_by_one_all_methods_of_a_seed_come_first(tmp_path):
    alone = {"one_by_one": True}
    assert asked(tmp_path, range(2), **alone) == [
        ("plain", [0]), ("mixup", [0]), ("plain", [1]), ("mixup", [1]),
    ]  # fmt: skip
    assert asked(tmp_path, range(3), **alone) == [("plain", [2]), ("mixup", [2])]
