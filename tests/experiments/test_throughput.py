"""Images a second against PyTorch: what is compared, and how it is judged."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import benchmarks
from experiments.benchmarks import throughput
from experiments.harness import cli
from experiments.models import preact
from experiments.models.preact import PreActResNet

pytestmark = pytest.mark.slow  # networks train here

X = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
Y = np.arange(16, dtype=np.int32) % 10
SMOKE = throughput.Config(smoke=True)


def test_the_goal_is_judged_against_the_faster_row_on_a_gpu():
    row = lambda ratio: {"ratio": ratio}
    results = {
        "batch 128": {"JAX": row(1.0), "torch.compile": row(1.9), "with graphs": row(1.31)},
        "batch 512": {"JAX": row(1.0), "torch.compile": row(1.4), "with graphs": row(0.8)},
    }
    said = throughput.verdict(results, "gpu")
    assert "batch 128 1.31, met" in said and "batch 512 0.80, NOT MET" in said
    assert throughput.verdict(results, "cpu").count("not judged") == 2
    assert "not judged" in throughput.verdict({"batch 128": {"JAX": row(1.0)}}, "gpu")


def test_the_full_model_is_preact18():
    stages, width = throughput.FULL
    assert preact.preact18.func is PreActResNet
    given = {"stages": stages, "width": width, "stem": width, "last_norm": False}
    assert preact.preact18.keywords == given


def test_rows_of_pytorch_have_our_number_of_parameters(monkeypatch):
    class Model:
        def __init__(self, classes, stages, width):
            assert (classes, (stages, width)) == (10, throughput.TINY)

        def parameters(self):
            return [SimpleNamespace(numel=lambda: 400), SimpleNamespace(numel=lambda: 62)]

    def module(device):
        epochs = lambda model, x, y, **options: lambda: options["mode"]
        return SimpleNamespace(
            PreActResNet=Model, epochs=epochs, DEVICE=SimpleNamespace(type=device)
        )

    monkeypatch.setattr(benchmarks, "torch_preact", module("cpu"), raising=False)
    rows = dict(throughput.theirs(SMOKE, 8, X, Y, 462))
    assert rows["PyTorch"].call() is None
    with pytest.raises(cli.Stop, match="has 462 parameters and ours 463"):
        dict(throughput.theirs(SMOKE, 8, X, Y, 463))
    monkeypatch.setattr(benchmarks, "torch_preact", module("cuda"))
    with pytest.raises(cli.Stop, match="JAX runs on cpu and PyTorch on cuda"):
        dict(throughput.theirs(SMOKE, 8, X, Y, 462))


def test_pytorch_trains_the_same_model():
    torch_preact = pytest.importorskip("experiments.benchmarks.torch_preact")
    model = torch_preact.PreActResNet(10, *throughput.TINY)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    _, size = throughput.ours(SMOKE, 8, X, Y)
    assert sum(parameter.numel() for parameter in before) == size
    torch_preact.epochs(model, X, Y, batch=8, normalise=throughput.NORMALISE, mode=None)()
    assert all((a != b).any() for a, b in zip(before, model.parameters(), strict=True))


def test_smoke_without_pytorch(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "experiments.benchmarks.torch_preact", raising=False)
    monkeypatch.delattr(benchmarks, "torch_preact", raising=False)
    assert throughput.main(throughput.Config(out=tmp_path, smoke=True)) == 0
    printed = capsys.readouterr().out
    assert "torch is not installed, so JAX runs alone" in printed and "not judged" in printed
    out = tmp_path / "smoke"
    (run,) = (json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines())
    assert run["method"] == "JAX" and run["ratio"] == 1 and run["settings"]["parameters"] == 462
    speed = 16 / run["ms"] * 1e3
    assert run["images_per_second"] == pytest.approx(speed)
    assert (
        f"| batch 8 | JAX | {speed:,.0f} | 1.00 | 1.00 to 1.00 |" in (out / "table.md").read_text()
    )
