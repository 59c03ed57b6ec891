"""Questions about few pictures: short runs on digits, with what was chosen on others."""

import json

import pytest

from experiments.few_pictures import __main__ as few_pictures
from experiments.harness.choose import FIRST_SEED
from experiments.label_noise_pictures import __main__ as label_noise_pictures
from tests.experiments import pinned


@pytest.mark.parametrize("question", [few_pictures, label_noise_pictures])
@pytest.mark.slow
def test_smoke(question, tmp_path):
    assert question.main(question.Config(smoke=True, out=tmp_path)) == 0
    out = tmp_path / "smoke"
    pinned.check(question.__name__.split(".")[1], out)
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    read = lambda name: [json.loads(line) for line in (out / name).read_text().splitlines()]
    runs, tried = read("runs.jsonl"), read("choose.jsonl")
    assert {run["method"] for run in runs} == set(question.METHODS)
    assert {run["seed"] for run in runs} == {0, 1}
    assert {run["seed"] for run in tried} == {FIRST_SEED}
    errors = {run["method"]: run["last_error"] for run in tried}
    for run in runs:  # each method that has candidates took the one of lowest error
        names = question.OPEN.get(run["method"])
        if names:
            least = min(errors[name] for name in names)
            assert errors[run["chosen"]] == least
            assert run["chosen_error"] == pytest.approx(least, abs=1e-3)  # rounded
