"""The experiments: their numbers by hand, and what happens when they are stopped."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jax_mixup as jm
from experiments import __main__ as listing
from experiments import gallery, label_noise, metrics, report, sweep, train
from experiments.data import digits
from experiments.models.mlp import MLP

ROOT = Path(__file__).parents[1]
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def plain_promotion():
    """Flax and optax promote; the library's own strictness is tested elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


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
    splits = {rate: digits.split(KEY, x, y, rate) for rate in (0.0, 0.4, 0.8)}
    assert not splits[0.0].wrong.any()
    for rate, split in splits.items():
        assert split.x.shape == (898, 8, 8, 1) and split.x_test.shape == (899, 8, 8, 1)
        assert float(split.x.min()) == 0 and float(split.x.max()) == 1
        # One replaced label in ten is the true one again.
        error = 5 * np.sqrt(rate * 0.9 / 898) + 1e-9
        assert abs(float(split.wrong.mean()) - 0.9 * rate) < error
        np.testing.assert_array_equal(split.x, splits[0.0].x)  # one key, one split
        np.testing.assert_array_equal(split.wrong, split.y != splits[0.0].y)
    some, more = splits[0.4], splits[0.8]
    assert bool((more.y == some.y)[some.wrong].all())
    together = np.concatenate([splits[0.0].x, splits[0.0].x_test]).reshape(1797, -1)
    assert len(np.unique(together, axis=0)) == len(np.unique(x.reshape(1797, -1), axis=0))


def test_metrics_by_hand():
    logits = np.asarray(2 * jax.random.normal(KEY, (500, 10)))
    labels = np.asarray(jax.random.randint(KEY, (500,), 0, 10))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, right = p.max(1), (p.argmax(1) == labels).astype(float)
    ece = 0.0
    for low in np.arange(15) / 15:
        rows = (confidence >= low) & (confidence < low + 1 / 15)
        if rows.any():
            ece += rows.mean() * abs(confidence[rows].mean() - right[rows].mean())
    expected = {
        "error": 1 - right.mean(),
        "nll": -np.log(p[np.arange(500), labels]).mean(),
        "ece": ece,
        "gap": confidence.mean() - right.mean(),
    }
    found = metrics.classification(jnp.asarray(logits), jnp.asarray(labels))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)


def test_intervals_are_student_s():
    values = np.array([1.0, 4.0, 2.0, 8.0])
    mean, half = report.mean_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose([mean - half, mean + half], [low, high])
    runs = [
        {"group": "g", "method": method, "seed": seed, "last_error": error}
        for method, errors in (("a", [10, 20, 33]), ("b", [8, 17, 32]))
        for seed, error in enumerate(errors)
    ]
    np.testing.assert_allclose(
        report.paired_gain(runs[::-1], "g", "a", "b"), report.mean_interval([2.0, 3.0, 1.0])
    )


def test_one_step_is_pinned():
    """A train step's loss and parameters, to four digits; and the step compiles from shapes."""
    make_model = lambda rngs: MLP(64, 16, 10, rngs=rngs)
    state = train.init(make_model, KEY)
    x = jnp.linspace(0, 1, 8 * 64).reshape(8, 8, 8, 1)

    def step(state, key, x, y):
        sampler = lambda key, shape: jm.sample_mixup(key, shape, lam_law=jm.constant(0.25))
        return train.train_step(
            train.Config(), make_model, sampler, state, key, x, y, num_classes=10, smoothing=0.1
        )

    y = jnp.arange(8)
    logits = train.apply(make_model, state.params, 0.25 * x + 0.75 * x[::-1])
    target = 0.9 * jnp.eye(10)[y] + 0.01
    target = 0.25 * target + 0.75 * target[::-1]
    expected = -(target * jax.nn.log_softmax(logits)).sum(1).mean()
    _, loss = jax.jit(step)(state, KEY, x, y)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(loss, 2.3033, atol=5e-4)
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (state, KEY, x, y))
    assert jax.jit(step).lower(*shapes).compile()


def test_a_method_is_numbers():
    shape = (6, 8, 8)
    for name, method in (label_noise.METHODS | label_noise.MORE_METHODS).items():
        mix = label_noise.sample(method, KEY, shape)
        if name.startswith(("plain", "weight", "label")):
            assert (mix.lam == 1).all() and (mix.mask == 1).all()
        elif "½" in name:
            assert (mix.lam == 0.5).all()
        elif name.startswith("CutMix"):
            assert set(np.unique(mix.mask)) <= {0, 1}
        else:
            assert 0 < mix.lam[0] < 1


def test_smoke_prints_writes_and_goes_on(tmp_path):
    arguments = ("experiments.label_noise", "--smoke", "--out", tmp_path)
    process = command(*arguments)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert [path.name for path in tmp_path.iterdir()] == ["smoke"]  # real results stay
    out = tmp_path / "smoke"
    for word in ("mixup α=8", "0 % noise", "40 % noise", "gain", "ECE"):
        assert word in printed
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    table = (out / "table.md").read_text()
    assert "| mixup constant ½ |" in table and report.machine()["device"] in table
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


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    process = command(
        "experiments.label_noise", "--out", tmp_path, "--epochs", 400, "--seeds", 2, "--hidden", 8
    )
    path = tmp_path / "runs.jsonl"
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "goes on from there" in printed and "Traceback" not in printed
    config = label_noise.Config(epochs=400, hidden=8)
    runs, others = report.read_runs(path, label_noise.settings_of(config))
    assert len(runs) >= 2 and not others
    done = {(run["group"], run["method"]) for run in runs}
    trained = []

    def work(job, tick):
        trained.append(job)
        return [{"seed": seed} for seed in range(2)]

    jobs = [("0 % noise", name) for name in label_noise.METHODS]
    settings = label_noise.settings_of(config)
    sweep.run(label_noise.Console(), path, settings, jobs, 2, 400, work)
    assert trained == [job for job in jobs if job not in done]


def test_help_is_readable():
    for name, *_ in listing.EXPERIMENTS:
        process = command(f"experiments.{name}", "--help")
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and "--out" in printed, printed
        assert f"python -m experiments.{name}" in printed


def test_the_list_names_every_experiment(capsys):
    listing.main()
    printed = capsys.readouterr().out
    folder = ROOT / "experiments"
    scripts = {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__main__")
        for path in folder.rglob("*.py")
        if "tyro.cli" in path.read_text()
    }
    assert scripts == {name for name, *_ in listing.EXPERIMENTS}
    assert all(name in printed for name in scripts)


def test_gallery(tmp_path):
    gallery.main(gallery.Config(out=tmp_path / "deep" / "gallery.png"))
    assert (tmp_path / "deep" / "gallery.png").stat().st_size > 50_000
