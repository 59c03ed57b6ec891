"""Numbers as targets: the README's step, tables, columns that belong together, by hand."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.core import loop
from experiments.core.step import Task
from experiments.data import regression_tables
from experiments.harness.runs import read_runs
from experiments.regression import __main__ as regression
from experiments.regression import train as regression_train
from experiments.regression.train import KERNEL, NEAREST, SWAPPED, Method
from tests import pages
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)


def test_readme_block():
    draw = np.random.default_rng(0)
    rows, slope = draw.normal(size=(8, 3)), draw.normal(size=3)
    targets, weights = (
        np.repeat([0.0, 50.0], 4) + np.arange(8),
        np.array([1, 0, 2, 1, 1, 3, 1, 0.5]),
    )
    columns = np.arange(40).reshape(8, 5)  # ids
    names = pages.run(
        pages.block("C-Mixup's partners"),
        key=KEY,
        key_pair=jax.random.key(1),
        rows=jnp.asarray(rows),
        targets=jnp.asarray(targets),
        weights=jnp.asarray(weights),
        columns=jnp.asarray(columns),
        model=lambda x: x @ jnp.asarray(slope),
    )
    p, lam = np.asarray(names["near"]), float(names["mix"].lam[0])
    assert (p // 4 == np.arange(8) // 4).all()  # nobody is mixed with a target 50 away
    out = (lam * rows + (1 - lam) * rows[p]) @ slope
    own, other = lam * weights, (1 - lam) * weights[p]
    total = own * (out - targets) ** 2 + other * (out - targets[p]) ** 2
    np.testing.assert_allclose(names["loss"], total.sum() / (own + other).sum(), rtol=1e-5)
    # Swapped columns hold whole ids of the row or of its partner, in the targets' fraction.
    swapped = np.asarray(names["swapped"])
    kept = swapped == columns
    assert (kept | (swapped == columns[::-1])).all()
    share = kept.mean(axis=1)
    np.testing.assert_allclose(names["goals"], share * targets + (1 - share) * targets[::-1])


def test_a_row_that_does_not_count_pulls_no_target():
    mix = jm.Mix(jm.reverse(), jnp.array([0.5]), jnp.full(2, 0.5))
    goals = {"value": jnp.array([1.0, 1000.0]), "weight": jnp.array([1.0, 0.0])}
    cost = lambda out, goal: goal["weight"] * (out - goal["value"]) ** 2
    best = jnp.ones(2)
    slope = jax.grad(lambda out: jm.pair_loss(mix, cost, out, goals).sum())(best)
    np.testing.assert_array_equal(slope, 0)
    # Targets and weights mixed one by one: the row without a weight moves its partner's target.
    value, weight = jm.blend_labels(mix, (goals["value"], goals["weight"]))
    assert value[0] == 500.5 and weight[0] == 0.5


def test_pair_loss_has_the_gradient_of_the_blended_target():
    """For squared error; another loss, as the absolute one, differs, and means two targets."""
    mix = jm.Mix(jm.reverse(), jnp.array([0.25]), jnp.full(2, 0.25))
    y, out = jnp.array([0.0, 4.0]), jnp.array([2.0, 2.0])
    target = jm.blend_labels(mix, y)
    for loss, same in ((lambda o, y: (o - y) ** 2, True), (lambda o, y: jnp.abs(o - y), False)):
        pair = jax.grad(lambda out: jm.pair_loss(mix, loss, out, y).sum())(out)  # noqa: B023
        blended = jax.grad(lambda out: loss(out, target).sum())(out)  # noqa: B023
        assert np.allclose(pair, blended) == same


def test_an_average_of_ids_is_another_id():
    """Abalone's sex as F = 0, I = 1, M = 2: half of a female and half of a male is no infant."""
    mix = jm.Mix(jm.reverse(), jnp.array([0.5]), jnp.full(2, 0.5))
    ids = jnp.array([[0.0], [2.0]])
    assert (jm.blend(mix, ids) == 1).all()  # the mistake
    with pytest.raises(TypeError, match="ids"):
        jm.blend(mix, ids.astype(jnp.int32))  # said for what is typed as an id
    shares = jm.blend(mix, jax.nn.one_hot(jnp.array([0, 2]), 3))
    np.testing.assert_array_equal(shares, [[0.5, 0, 0.5]] * 2)
    swap = dataclasses.replace(mix, mask=jnp.array([[True], [False]]))
    np.testing.assert_array_equal(jm.select(swap, ids), [[0], [0]])


def test_what_is_missing_spreads_in_an_average_and_not_in_a_swap():
    x = jnp.array([[1.0, jnp.nan], [3.0, 4.0]])
    mix = jm.Mix(jm.reverse(), jnp.array([0.5]), jnp.full(2, 0.5))
    np.testing.assert_array_equal(jnp.isnan(jm.blend(mix, x)), [[False, True]] * 2)
    kept = dataclasses.replace(mix, mask=jnp.array([[False, True]]))
    np.testing.assert_array_equal(jm.select(kept, x), [[3, np.nan], [1, 4]])
    np.testing.assert_array_equal(jm.blend(kept, x), [[3, np.nan], [1, 4]])


def test_a_texts_columns_go_together():
    sex = np.array(["F", "I", "M"] * 4)
    table = regression_tables.make("t", np.arange(24.0).reshape(12, 2), np.zeros(12), texts=[sex])
    np.testing.assert_array_equal(table.column, [0, 1, 2, 2, 2])
    np.testing.assert_array_equal(table.x[1], [2, 3, 0, 1, 0])
    cells = jm.sample_gridmix(KEY, (12, 3), per="example", pairing=jm.roll(1))
    whole = dataclasses.replace(cells, mask=cells.mask[:, table.column])
    mixed = np.asarray(jm.select(whole, jnp.asarray(table.x)))
    np.testing.assert_array_equal(mixed[:, 2:].sum(axis=1), 1)
    # Each one-hot column for itself: rows of two sexes, and of none.
    apart = jm.sample_gridmix(KEY, (12, 5), per="example", pairing=jm.roll(1))
    sums = np.asarray(jm.select(apart, jnp.asarray(table.x)))[:, 2:].sum(axis=1)
    assert {0, 2} & set(sums.tolist())


def test_the_made_tables():
    spiral, wave = regression_tables.spiral(), regression_tables.wave()
    assert spiral.x.shape == (600, 2) and 0 <= spiral.y.min() and spiral.y.max() <= 3
    angle = np.arctan2(spiral.x[:, 1], spiral.x[:, 0]) / (2 * np.pi)
    turned = np.abs((angle - spiral.y + 0.5) % 1 - 0.5)
    assert turned.max() < 0.05  # y counts the turns
    error = wave.y - np.cos(3 * np.pi * wave.x[:, 0])
    np.testing.assert_allclose(error.std(), 0.1, atol=0.01)
    assert [table.name for table in regression_tables.load()] == ["diabetes", "spiral", "wave"]


def test_a_split_is_standardised_by_its_training_rows():
    x = jnp.arange(20.0).reshape(10, 2)
    y = 5 * x[:, 0]
    data = jax.jit(partial(regression_tables.draw, choosing=True))(KEY, x, y)
    for part in (*data.x.T, data.y):
        np.testing.assert_allclose([part.mean(), part.std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(data.x_test[:, 0], data.y_test, rtol=1e-4)  # one is 5 of the other
    everything = np.concatenate([data.x[:, 0], data.x_test[:, 0]])
    assert len(np.unique(everything.round(4))) == 10 - 2  # two are set aside


def uci(path: Path, **changed: np.ndarray) -> Path:
    arrays = {
        "airfoil": np.arange(12, dtype=np.float32).reshape(2, 6),
        "abalone_sex": np.array(["M", "I"]),
        "abalone_numeric": np.array([[0.5, 9], [0.25, 3]], np.float32),
    }
    np.savez(path, **{k: v for k, v in (arrays | changed).items() if v.size})
    return path


def test_ucis_tables(tmp_path):
    *_, airfoil, abalone = regression_tables.load(uci(tmp_path / "uci.npz"))
    np.testing.assert_array_equal(airfoil.y, [5, 11])
    assert airfoil.x.shape == (2, 5) and airfoil.column.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(abalone.x, [[0.5, 0, 1], [0.25, 1, 0]])
    np.testing.assert_array_equal(abalone.y, [9, 3])


def test_what_is_refused(tmp_path):
    config = regression.Config(out=tmp_path)
    missing = np.array([[1, np.nan], [2, 3]], np.float32)
    for data, words in (
        (tmp_path / "none.npz", "is no file"),
        (uci(tmp_path / "a.npz", airfoil=np.zeros(0)), "without airfoil; it needs the arrays"),
        (uci(tmp_path / "b.npz", airfoil=missing), "airfoil with 1 values that are missing"),
    ):
        with pytest.raises(loop.Stop, match=words):
            regression.main(dataclasses.replace(config, data=data))
    with pytest.raises(loop.Stop, match="--steps got 70; it needs a multiple of 50"):
        regression.main(dataclasses.replace(config, steps=70))


def test_each_method_by_hand():
    column = np.array([0, 1, 1], np.int32)
    draw = np.random.default_rng(0)
    x, y = jnp.asarray(draw.normal(size=(6, 3))), jnp.array([0.0, 0.1, 0.2, 50, 51, 52])

    @jax.jit
    def at(method):
        seen = []

        def model(x, *, train, tap):
            seen.append(tap(0, x))
            return tap(1, 2 * seen[0])

        task = Task(model, model, KEY, jnp.int32(0), (x, y))
        return regression_train.loss(column, method, task)[0], seen[0]

    def run(**numbers):
        loss, fed = at(jax.tree.map(jnp.float32, Method(2.0, **numbers)))
        return float(loss), np.asarray(fed)

    x, y = np.asarray(x), np.asarray(y)
    loss, fed = run()
    lam = (fed[0, 0] - x[5, 0]) / (x[0, 0] - x[5, 0])  # its partner is row 5
    assert 0 < lam < 1
    expected = lam * x + (1 - lam) * x[::-1]
    target = lam * y + (1 - lam) * y[::-1]
    np.testing.assert_allclose(fed, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, np.square(2 * fed[:, 0] - target).mean(), rtol=1e-4)
    hidden, fed = run(layer=1.0)
    np.testing.assert_allclose(fed, x, rtol=1e-6)
    np.testing.assert_allclose(hidden, loss, rtol=1e-4)  # this model is linear
    _, fed = run(layer=SWAPPED)
    kept = np.isclose(fed, x)
    assert (kept | np.isclose(fed, x[::-1])).all() and 0 < kept.mean() < 1
    assert (kept[:, 1] == kept[:, 2]).all()  # one text
    _, fed = run(partners=KERNEL, bandwidth=1.0)
    ends = np.array([x[:3].min(0), x[:3].max(0)]), np.array([x[3:].min(0), x[3:].max(0)])
    for rows, (low, high) in zip((fed[:3], fed[3:]), ends, strict=True):
        assert (rows >= low - 1e-5).all() and (rows <= high + 1e-5).all()
    assert not np.allclose(run(partners=NEAREST)[1], expected)


def test_smoke(tmp_path):
    assert regression.main(regression.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("regression", tmp_path / "smoke")
    lines = (tmp_path / "smoke" / "runs.jsonl").read_text()
    assert str(tmp_path) not in lines
    settings = json.loads(lines.splitlines()[0])["settings"]
    runs, others = read_runs(tmp_path / "smoke" / "runs.jsonl", settings)
    assert not others and len(runs) == 2 * len(regression.METHODS)
    assert all(run["chosen"] in regression.METHODS[run["method"]] for run in runs)
    assert (tmp_path / "smoke" / "plot.png").stat().st_size > 20_000


def test_verdict():
    def runs(**gains):
        return [
            {"group": group, "method": method, "seed": seed, "last_error": error + seed}
            for group, gain in gains.items()
            for method, error in (("mixup", gain), ("C-Mixup", 0))
            for seed in range(3)
        ]

    def judge(**gains):
        return regression.verdict(list(gains), runs(**gains)).rsplit(" ", 1)[-1]

    assert judge(spiral=2, wave=0, diabetes=1, airfoil=0) == "PASS."
    assert judge(spiral=2, wave=9, diabetes=0, airfoil=0) == "FAIL."
    assert judge(spiral=0, wave=9, diabetes=1, airfoil=1) == "FAIL."
