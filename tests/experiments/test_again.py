"""Tables from committed runs of whatever code, and intervals that say what they cover."""

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.alpha import rule as derive
from experiments.harness import again
from experiments.harness.choose import FIRST_SEED, Search
from experiments.harness.intervals import FIXED_TEST, SHARED, halves, mean_interval
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import append_runs, paired
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, Table

MACHINE = {"device": "a CPU", "python": "Python 3", "jax": "JAX 1"}
TABLE = Table(ERRORS, "Errors.", options="--epochs 3")


def runs_of(errors, group="g", first=0, **settings):
    return [
        {"settings": {"code": "of earlier days"} | settings, "group": group, "machine": MACHINE}
        | {"method": method, "seed": first + i, "last_error": error, "best_error": error}
        | {"curve": [error]}
        for method, row in errors.items()
        for i, error in enumerate(row)
    ]


@dataclasses.dataclass(frozen=True)
class Config:
    out: Path = Path("results")
    epochs: int = 1


def never(task):
    pytest.fail(f"{task.method} was trained.")


def ask(config):
    candidates = {"plain": {"plain": 0}, "mixup": {"low": 1, "high": 2}}
    return question.run_study(
        Study(
            out=config.out,
            title=f"Title, {config.epochs} epochs",
            name="fake",
            config=config,
            groups=["g"],
            methods=["plain", "mixup"],
            seeds=3,
            ticks=1,
            work=never,
            table=TABLE,
            rule=Rule("{0}: {verdict}.", (Claim("g", "mixup"),)),
            search=Search(candidates, never, said=lambda job, choice: choice.name),
        )
    )


question = SimpleNamespace(TABLE=TABLE, Config=Config, main=ask, run_study=run_study)


def test_a_table_without_training(tmp_path, monkeypatch):
    monkeypatch.setattr(again, "ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "experiments.fake.__main__", question)
    out = tmp_path / "fake/results"
    append_runs(out / "runs.jsonl", runs_of({"plain": [9.0, 8, 7], "mixup": [5.0, 4, 3]}))
    tried = runs_of({"plain": [9.0, 9], "low": [6.0, 6], "high": [5.0, 5]}, first=FIRST_SEED)
    append_runs(out / "choose.jsonl", tried)
    before = {path: path.read_bytes() for path in out.glob("*.jsonl")}
    assert again.main("fake") == 0
    text = (out / "table.md").read_text()
    assert text.startswith("Title, 3 epochs.") and "| mixup | 4.0 ± 2.5 | 4.0 ± 2.5 | +4.0 " in text
    assert text.endswith("+4.0 ± 0.0: PASS. Chosen on other splits: plain; high.\n")
    assert {path: path.read_bytes() for path in out.glob("*.jsonl")} == before


def test_groups_have_intervals_of_their_own():
    interval, values = halves(0.5, {"h": 2.0}), np.array([1.0, 4, 2])
    runs = [
        run for g in "gh" for run in runs_of({"a": [0.0] * 3, "b": list(-values)}, g)
    ]  # whose gains are the values
    for group, ratio in (("g", 0.5), ("h", 2.0)):
        found = paired(runs, group, "a", "b", interval=interval)
        assert found == mean_interval(values, halves(ratio))
    assert "; test to training examples: 0.5; h: 2)" in interval.text


def test_runs_that_do_not_say_what_they_got_right_claim_no_test_examples():
    table, runs = TABLE._replace(interval=SHARED), runs_of({"a": [1.0, 2]})
    assert table.legend(runs) == f"Errors. {FIXED_TEST.text}"
    assert table.legend([run | {"hits": "1:gA=="} for run in runs]) == f"Errors. {SHARED.text}"


def test_labels_saved_on_examples_that_all_seeds_share():
    """The point is that of the mean errors; the interval is wider than that of seeds alone."""
    sizes, rng = np.array([10.0, 20, 40, 80]), np.random.default_rng(0)
    chance = np.array([0.4, 0.3, 0.2, 0.1])[:, None] * rng.uniform(0.2, 1.8, 300)
    plain, other = (100.0 * (rng.random((8, 4, 300)) < p) for p in (chance, 0.8 * chance))
    found = derive.labels_saved(sizes, plain, other, draws=300)
    alone = derive.labels_saved(sizes, plain.mean(2), other.mean(2), draws=300)
    np.testing.assert_allclose(found[0], alone[0])
    assert (found[2] - found[1] > alone[2] - alone[1])[:3].all()
