"""Numbers of short runs, from before the training core was one: `check` compares a smoke with them.

The order of key splits is pinned with them: with another one, all numbers would differ in their
first digits. Those of questions on digits are from after their test sets were set aside.
"""

import json
from pathlib import Path

import pytest

PINNED = json.loads(Path(__file__).with_suffix(".json").read_text())
LOSSES = {"train_loss", "test_loss", "loss", "nll", "brier"}


def check(name: str, out: Path) -> None:
    """Compare the runs of seed 0 in `out` with those that are pinned under the study's name.

    On the machine that they were made on, and with XLA's own optimisation, they are equal in all
    digits. Other CPUs, and the lower optimisation that these tests use, round otherwise, and some
    tens of steps make more of it: a loss may differ by 1 %, a distance by 2 %. A score in percent,
    or in steps of a game, counts what is right or wrong: it may differ by 4.
    """
    lines = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    runs = {(run["group"], run["method"]): run for run in lines if run["seed"] == 0}
    compared = 0
    for expected in PINNED[name]:
        run = runs.get((expected["group"], expected["method"]))
        if run is None:  # a test may run fewer methods
            continue
        for score in expected.keys() - {"group", "method"}:
            where = f"{score} of {expected['group']}, {expected['method']}"
            tolerance = {"rel": 0.01} if score in LOSSES else {"abs": 4.0}
            tolerance = {"rel": 0.02} if score == "distance" else tolerance
            assert run[score] == pytest.approx(expected[score], **tolerance), where
            compared += 1
    assert compared, f"None of {name}'s runs is pinned."
