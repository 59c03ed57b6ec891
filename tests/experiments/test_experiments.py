"""The experiments: their numbers by hand, and what happens when they are stopped."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

import jax_mixup as jm
from experiments.core import classify
from experiments.core.seeds import epoch_trainer
from experiments.data import digits
from experiments.data.split import split
from experiments.gallery import __main__ as gallery
from experiments.harness import digits_mlp
from experiments.harness.jobs import run_missing
from experiments.harness.runs import defining, machine, read_runs
from experiments.label_noise import __main__ as label_noise
from experiments.models.mlp import MLP
from tests.experiments import pinned

ROOT = Path(__file__).parents[2]
KEY = jax.random.key(0)


# As `python -m`, but deaf to a shell that starts its background jobs with Ctrl-C switched off.
MODULE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", MODULE, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_labels_are_wrong_at_the_rate_asked_for():
    x, y = digits.digits()
    splits = {rate: split(KEY, x, y, train=898, noise=rate) for rate in (0.0, 0.4, 0.8)}
    assert not splits[0.0].wrong.any()
    for rate, found in splits.items():
        assert found.x.shape == (898, 8, 8, 1) and found.x_test.shape == (899, 8, 8, 1)
        assert float(found.x.min()) == 0 and float(found.x.max()) == 1
        # One replaced label in ten is the true one again.
        error = 5 * np.sqrt(rate * 0.9 / 898) + 1e-9
        assert abs(float(found.wrong.mean()) - 0.9 * rate) < error
        np.testing.assert_array_equal(found.x, splits[0.0].x)  # one key, one split
        np.testing.assert_array_equal(found.wrong, found.y != splits[0.0].y)
    some, more = splits[0.4], splits[0.8]
    assert bool((more.y == some.y)[some.wrong].all())
    together = np.concatenate([splits[0.0].x, splits[0.0].x_test]).reshape(1797, -1)
    assert len(np.unique(together, axis=0)) == len(np.unique(x.reshape(1797, -1), axis=0))


@pytest.mark.slow
def test_a_seed_is_the_same_run_whatever_is_beside_it():
    """All seeds at once, and one compile for methods that differ in numbers."""
    x, y = digits.digits()
    take = jax.vmap(lambda key: split(key, x, y, train=100))
    traced = []

    def recipe_of(alpha):
        traced.append(alpha)
        draw = lambda key, x, y: jm.sample_mixup(key, y.shape, alpha=alpha)
        return classify.recipe(lambda rngs: MLP(64, 8, 10, rngs=rngs), optax.adam(1e-2), draw)

    study = epoch_trainer(recipe_of, batch=50)
    data, ticks = take(jax.vmap(jax.random.key)(jnp.arange(3))), []
    three = {"seeds": range(3), "epochs": 4}
    _, scores = study.fit(1.0, data, **three, tick=ticks.append)
    count = len(traced)
    state, other = study.fit(0.0, data, **three, tick=ticks.append)
    assert len(traced) == count and sum(ticks) == 8
    assert scores["error"].shape == (3, 4) and (scores["nll"] != other["nll"]).any()
    out = study.apply(0.0, state, data.x_test)
    error = (out.argmax(-1) != data.y_test).mean(axis=1)
    np.testing.assert_allclose(error, other["error"][:, -1], rtol=1e-5)
    assert len(set(other["nll"][:, -1].tolist())) == 3  # seeds differ
    two = jax.tree.map(lambda a: a[:2], data)
    _, fewer = study.fit(0.0, two, seeds=range(2), epochs=4, tick=ticks.append)
    np.testing.assert_allclose(fewer["nll"], other["nll"][:2], rtol=1e-4)


def test_a_method_draws_what_its_name_says():
    x, y = jnp.ones((6, 8, 8, 1)), jnp.arange(6)
    for name, method in (label_noise.METHODS | label_noise.MORE_METHODS).items():
        mix = method.draw(KEY, x, y)
        if name.startswith(("plain", "weight", "label", "dropout")):
            assert (mix.lam == 1).all() and (mix.mask == 1).all()
        elif "½" in name:
            assert (mix.lam == 0.5).all() and (mix.mask == 0.5).all()
        elif name.startswith("CutMix"):
            assert set(np.unique(mix.mask)) <= {0, 1}
        else:
            assert 0 < mix.lam[0] < 1


@pytest.mark.slow
def test_smoke_prints_writes_and_goes_on(tmp_path):
    arguments = ("experiments.label_noise", "--smoke", "--out", tmp_path)
    process = command(*arguments)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    pinned.check("label_noise", tmp_path / "smoke")
    assert [path.name for path in tmp_path.iterdir()] == ["smoke"]  # real results stay
    out = tmp_path / "smoke"
    for word in ("mixup α=8", "0 % noise", "40 % noise", "gain", "ECE"):
        assert word in printed
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    table = (out / "table.md").read_text()
    assert "| mixup constant ½ |" in table and machine()["device"] in table
    lines = (out / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 2 * 2 * len(label_noise.METHODS)
    run = json.loads(lines[-1])
    assert len(run["curve"]) == 2 and run["settings"]["epochs"] == 2
    assert json.loads(lines[0])["train_wrong"] is None  # no wrong labels: not NaN, not 0

    # Some finished runs are lost, one line is torn: only those are trained again.
    kept = "\n".join(lines[:-3]) + "\n" + lines[-3][:40]
    (out / "runs.jsonl").write_text(kept)
    process = command(*arguments)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "1 lines of other settings" in printed
    again = (out / "runs.jsonl").read_text()
    assert again.startswith(kept + "\n")
    assert (out / "table.md").read_text() == table


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(tmp_path):
    process = command("experiments.label_noise", "--out", tmp_path, "--epochs", 400, "--seeds", 2)
    path = tmp_path / "choose.jsonl"
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "goes on from there" in printed and "Traceback" not in printed
    settings = defining("label_noise", label_noise.Config(epochs=400)) | {"chosen by": "error"}
    runs, others = read_runs(path, settings)
    assert len(runs) >= 2 and not others
    done = {(run["group"], run["method"]) for run in runs}
    trained = []

    def work(task):
        trained.append((task.group, task.method))
        return [{"seed": seed} for seed in task.seeds]

    jobs = [("0 % noise", name) for name in digits_mlp.DECAYS]
    run_missing(Console(), path, settings, jobs, seeds=range(1000, 1002), ticks=400, work=work)
    assert trained == [job for job in jobs if job not in done]


def test_modules_are_short():
    for path in (ROOT / "experiments").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path


def drawn_gallery(folder):
    gallery.main(gallery.Config(out=folder / "deep"))
    return (folder / "deep" / "gallery.png").stat().st_size


def test_gallery(tmp_path, monkeypatch):
    few = ("mixup", "ResizeMix", "RICAP", "SaliencyMix")
    every = gallery.methods()
    monkeypatch.setattr(gallery, "methods", lambda: {name: every[name] for name in few})
    assert drawn_gallery(tmp_path) > 50_000


@pytest.mark.slow
def test_the_whole_gallery(tmp_path):
    assert drawn_gallery(tmp_path) > 500_000


def test_what_the_gallery_says_is_what_it_shows():
    x = jnp.asarray(gallery.pictures(), jnp.float32)[:, ::16, ::16]
    for name in ("CutMix, box inside", "VH-mixup", "4 rows, boxes"):
        mix, mixed, own = gallery.methods()[name](jax.random.key(0), x)
        soft = jm.blend_labels(mix, jnp.arange(4), num_classes=4)[0]
        np.testing.assert_allclose(own.mean(), soft[0], atol=1e-6)
        assert mixed.shape == x.shape[1:]
        shares = [int(n) for n in re.findall(r"(\d+) %", gallery.weights(mix))]
        assert abs(sum(shares) - 100) <= 2
