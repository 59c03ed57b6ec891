"""Runs that are stopped or killed end as those that were not, bit by bit.

Run as a script this file is `experiments.cifar`, and gets a signal before one of its dispatches.
"""

import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from rich.console import Console

import jax_mixup as jm
from experiments.core import classify, hosts, log, loop
from experiments.core.classify import by_shape
from experiments.core.step import State
from experiments.core.trainer import Trainer
from experiments.models.mlp import MLP

pytestmark = pytest.mark.slow  # networks train here

ROOT = Path(__file__).parents[2]
# 10 steps an epoch, 2 a dispatch, 4 from one checkpoint to the next, 20 in all.
CIFAR = (
    "--methods mixup --seeds 2 --epochs 2 --subset 640 --batch 64 --rate 0.01 --ema 0.9 "
    "--save-every 2 --out"
).split()
RUN = Path("checkpoints/cnn/mixup/0")  # of the first seed, within OUT
WAIT = 300  # seconds: a process that gives no sign of life fails a test, and does not hold it up


def cifar(out, number=0, at=-1):
    """Run the script in a process that gets signal `number` before the dispatch after step `at`."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(out.parent / "cache")}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [
        sys.executable,
        "-m",
        "tests.experiments.test_resume",
        str(number),
        str(at),
        *CIFAR,
        str(out),
    ]
    options = {"capture_output": True, "text": True, "timeout": 2 * WAIT}
    return subprocess.run(command, cwd=ROOT, env=environment, **options)


def signalled(number, at):
    fit = loop.fit

    def patched(dispatch, state, hooks, **options):
        def counted(state):
            if int(state.step) == at:
                here = Path(sys.argv[-1]) / RUN / "checkpoints"
                end = time.monotonic() + WAIT
                while not any(path.name.isdigit() for path in here.glob("*")):  # written meanwhile
                    assert time.monotonic() < end, f"there is no checkpoint in {here}"
                    time.sleep(0.02)
                os.kill(os.getpid(), number)
            return dispatch(state)

        return fit(counted, state, hooks, **options)

    loop.fit = patched
    sys.argv = ["experiments.cifar", *sys.argv[3:]]
    try:
        runpy.run_module("experiments.cifar", run_name="__main__", alter_sys=True)
    finally:  # an archive, and what is in the code, need no other way to the data
        assert not {"grain", "tensorflow", "tensorflow_datasets"} & sys.modules.keys()


def arrays_of(folder):
    """All arrays of the newest checkpoint in a run's folder, and its step."""
    step = max(int(path.name) for path in (folder / "checkpoints").glob("*") if path.name.isdigit())
    state = ocp.StandardCheckpointer().restore(folder / "checkpoints" / str(step) / "state")
    return step, jax.tree.leaves_with_path(jax.tree.map(np.asarray, state))


def assert_same(folder, other):
    (step, some), (same_step, others) = arrays_of(folder), arrays_of(other)
    assert step == same_step
    for (path, a), (same_path, b) in zip(some, others, strict=True):
        assert path == same_path
        np.testing.assert_array_equal(a, b, err_msg=str(path), strict=True)


@pytest.mark.slow
def test_killed_and_stopped_runs_end_as_if_they_had_not_been(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run = cifar(whole)
    assert run.returncode == 0, run.stderr
    run = cifar(broken, signal.SIGKILL, at=6)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert arrays_of(broken / RUN)[0] == 4  # in the middle of an epoch
    run = cifar(broken, signal.SIGTERM, at=12)
    assert run.returncode == 130, run.stderr
    assert run.stdout.count("Stopped. ") == 1 and "Traceback" not in run.stderr
    assert arrays_of(broken / RUN)[0] == 14  # which is no multiple of 4
    run = cifar(broken)
    assert run.returncode == 0, run.stderr
    assert_same(whole / RUN, broken / RUN)
    assert len(arrays_of(whole / RUN)[1]) > 40  # parameters twice, momentum, statistics
    found, expected = ((out / "runs.jsonl").read_text() for out in (broken, whole))
    assert found == expected
    assert [len(json.loads(line)["curve"]) for line in found.splitlines()] == [2, 2]  # two seeds


DATA = SimpleNamespace(
    x=np.random.default_rng(0).normal(size=(42, 6)).astype(np.float32),
    y=np.arange(42) % 3,
    x_test=np.random.default_rng(1).normal(size=(11, 6)).astype(np.float32),
    y_test=np.arange(11) % 3,
)


def recipe_of(rate):
    make_model = lambda rngs: MLP(6, 8, 3, rngs=rngs)
    return classify.recipe(make_model, optax.sgd(rate, momentum=0.9), by_shape(jm.sample_mixup))


@pytest.fixture(scope="module")
def trainer():
    """10 steps an epoch, 5 a dispatch, 30 in all."""
    return Trainer(recipe_of, batch=4, epochs=3, dispatches=2)


def fit(trainer, folder, rate=0.1, **settings):
    ticks = []
    state, curves = trainer.fit(
        rate, DATA, seed=1, folder=folder, settings=settings, tick=ticks.append
    )
    assert sum(ticks) == 3
    return state, curves


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_another_run_is_refused(trainer, tmp_path):
    state, curves = fit(trainer, tmp_path, rate=0.1, width=8)
    assert int(state.step) == 30 and all(len(curve) == 3 for curve in curves.values())
    for path in (tmp_path / "checkpoints" / "30" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(loop.Stop, match=r"checkpoints/30 cannot be read .* remove it to go on"):
        fit(trainer, tmp_path, rate=0.1, width=8)
    shutil.rmtree(tmp_path / "checkpoints" / "30")
    again, same_curves = fit(trainer, tmp_path, rate=0.1, width=8)
    jax.tree.map(np.testing.assert_array_equal, again, state)
    jax.tree.map(np.testing.assert_array_equal, same_curves, curves)
    assert len(log.read(tmp_path / "metrics.jsonl")) == 3
    with pytest.raises(loop.Stop, match="a run with width=8, and this one has width=16: give ano"):
        fit(trainer, tmp_path, width=16)
    (tmp_path / "metrics.jsonl").write_text('{"step": 30, "err')
    with pytest.raises(loop.Stop, match=r"metrics.jsonl has no scores of step 10, .* remove the"):
        fit(trainer, tmp_path, width=8)


def test_all_test_examples_count_and_the_scores_are_theirs(trainer, tmp_path, monkeypatch):
    state, curves = fit(trainer, tmp_path, width=8)
    out = classify.logits(recipe_of(0.1), state, DATA.x_test)
    error = (out.argmax(-1) != DATA.y_test).mean()
    np.testing.assert_allclose(curves["error"][-1], error, rtol=1e-5)
    monkeypatch.setattr("experiments.core.trainer.CHUNK", 4)  # 3 chunks of 4, with one row too many
    small = Trainer(recipe_of, batch=4, epochs=3)
    np.testing.assert_allclose(small.logits(0.1, state, DATA.x_test), out, rtol=1e-5)
    with pytest.raises(loop.Stop, match="42 training examples are less than a batch of 64: give"):
        fit(Trainer(recipe_of, batch=64, epochs=3), tmp_path / "other")


def test_a_loss_that_is_not_finite_names_its_step_and_is_not_saved(tmp_path):
    rates = lambda step: np.nan * (step == 16) + 0.1  # the seventh step of the third dispatch
    trainer = Trainer(lambda _: recipe_of(rates), batch=4, epochs=3, dispatches=1)
    with pytest.raises(loop.Stop, match=r"At step 18 \w+ is nan: .* lower rate"):
        trainer.fit(0.0, DATA, seed=0, folder=tmp_path, settings={})
    assert {path.name for path in (tmp_path / "checkpoints").glob("*")} == {"10"}


def test_a_dispatch_evaluates_and_saves_where_it_passes_a_multiple():
    calls = []
    hooks = loop.Hooks(
        lambda step, scores: calls.append((step, *scores)),
        lambda step, state: calls.append((step, "saved")),
        lambda step: step == 9,
    )

    def dispatch(state):
        calls.append((int(state.step), "dispatched"))
        metrics = {"loss": np.arange(3) + float(state.step)}
        return state._replace(step=state.step + 3), metrics

    state = State(np.int32(0), None, None, None, None)
    run = partial(loop.fit, dispatch, hooks=hooks, evaluate=lambda state: {"error": 0.0})
    assert run(state, steps=30, evaluate_every=4, save_every=5).step == 9
    evaluated = [step for step, name in calls if name == "error"]
    saved = [step for step, name in calls if name == "saved"]
    assert evaluated == [6, 9] and saved == [6, 9]
    assert [step for step, name in calls if name == "loss"] == list(range(1, 10))
    # Read one dispatch late, where nothing needs them earlier.
    assert calls[:3] == [(0, "dispatched"), (3, "dispatched"), (1, "loss")]
    assert calls.index((9, "loss")) < calls.index((9, "error")) < calls.index((9, "saved"))


def test_ctrl_c_asks_once_and_then_stops():
    before = signal.getsignal(signal.SIGTERM)
    with hosts.stop_asked() as stopped:
        assert not stopped(1)
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped(2)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_log_goes_to_the_screen_a_file_and_tensorboard(tmp_path, monkeypatch):
    board = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            board.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            board.append((name, value, step))

        def close(self):
            board.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=SummaryWriter))
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "loss": 9.0, "time": 1}\n{"step": 4, "lo')
    for terminal in (False, True):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=terminal, width=200)
        with log.Log(tmp_path, total=5, every=2, console=console) as logged:
            for step in range(3, 6):
                logged(step, {"loss": step / 10})
            logged(5, {"error": 0.25})
        shown = screen.getvalue()
        assert "step 5/5  error 0.25  0:00:00 left\n" in shown
        assert terminal or "step 4/5  loss 0.4  0:00:00 left\n" in shown
    found = log.read(tmp_path / "metrics.jsonl")
    assert [found[step].pop("time") > 0 for step in (2, 4, 5)]
    assert found == {2: {"loss": 9.0}, 4: {"loss": 0.4}, 5: {"loss": 0.5, "error": 0.25}}
    once = [("loss", 0.4, 4), ("loss", 0.5, 5), ("error", 0.25, 5)]
    assert board == 2 * [(str(tmp_path), 3), *once, "closed"]


if __name__ == "__main__":
    signalled(int(sys.argv[1]), int(sys.argv[2]))
