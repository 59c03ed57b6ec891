"""Few labels, α, and what is chosen on other seeds: planted answers, and smoke runs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.alpha import __main__ as alpha
from experiments.alpha import rule as derive
from experiments.core import classify, loop
from experiments.core.methods import Method
from experiments.core.step import init
from experiments.data import few
from experiments.few_labels import __main__ as few_labels
from experiments.harness import choose, study
from experiments.harness.intervals import unpacked
from experiments.harness.runs import read_runs
from experiments.harness.tables import ERRORS, Table
from experiments.tabular import __main__ as tabular
from tests.experiments import pinned

KEY = jax.random.key(0)
TABLE = Table(ERRORS, "Errors.")
TWO_CANDIDATES = {
    "plain": {"plain": Method()},
    "mixup": {"low": Method(alpha=0.1), "high": Method(alpha=0.2)},
    "mixup low": {"low": Method(alpha=0.1)},
}


def test_few_labels_have_each_class_as_often_as_can_be():
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(10), np.arange(4, 24, 2)))
    take = jax.jit(lambda n: few.few(y, n, rows=60, num_classes=10))
    taken = {n: np.asarray(take(n)) for n in (20, 30, 60)}
    for n, rows in taken.items():
        assert len(rows) == 60 and len(set(rows)) == n
        assert set(np.bincount(rows)) <= {0, 60 // n}  # each as often as the others
        assert set(rows) <= set(taken[60])
    np.testing.assert_array_equal(np.bincount(y[taken[20][:20]]), [2] * 10)
    counts = np.bincount(y[taken[60]])
    assert counts[0] == 4 and sorted(counts[1:]) == [6] * 7 + [7] * 2


def test_what_is_drawn_is_not_tested():
    pool = few.pool(None)
    draw = jax.jit(lambda key, n: few.draw(key, n, pool=pool, choosing=False))
    mine, test = draw(KEY, 50)
    assert mine.shape == (800,) and test.shape == (599,)
    assert len(set(mine.tolist())) == 50 and not set(mine.tolist()) & set(test.tolist())
    assert set(mine.tolist()) < set(draw(KEY, 100)[0].tolist())
    np.testing.assert_array_equal(np.bincount(pool.y[mine]), [80] * 10)
    data = few.split(pool, jnp.stack([mine, mine[::-1]]), jnp.stack([test, test]))
    assert data.x.shape == (2, 800, 8, 8, 1) and data.y_test.shape == (2, 599)
    np.testing.assert_array_equal(data.y[1], pool.y[mine[::-1]])


def test_labels_needed_on_a_planted_curve():
    sizes = np.array([10.0, 20, 40, 80])
    errors = np.array([40.0, 30, 20, 10])  # ten points less for twice the labels
    wanted = np.array([30.0, 25, 15, 50, 5])
    found = derive.labels_needed(sizes, errors, wanted)
    np.testing.assert_allclose(found, [20, 20 * 2**0.5, 40 * 2**0.5, 10, 80])
    # An error that rises again is as good as the lower one before, whose size it then is.
    found = derive.labels_needed(sizes, np.array([40.0, 20, 25, 10]), np.array([20.0, 15]))
    np.testing.assert_allclose(found, [20, 40 * 2**0.5])


def test_labels_saved_on_planted_curves():
    sizes, noise = np.array([10.0, 20, 40, 80]), np.array([[-3.0], [0], [3]])
    plain = np.array([40.0, 30, 20, 10]) + noise  # of three seeds
    saved, low, high = derive.labels_saved(sizes, plain, plain - 10)
    np.testing.assert_allclose(saved, [2, 2, 2, 1])  # no more than the largest size, for the last
    np.testing.assert_allclose(low, saved)  # the same gain for each seed
    np.testing.assert_allclose(high, saved)
    saved, low, high = derive.labels_saved(sizes, plain, plain + np.array([[5.0], [0], [-5]]))
    np.testing.assert_allclose(saved, 1)
    assert (low[1:3] < 1).all() and (high[1:3] > 1).all()


def test_a_planted_rule_is_found():
    features = np.array([[1.0, noise, width] for noise in (0, 0.25, 0.5, 1) for width in (3, 5)])
    planted, offered = np.array([-4.0, 8, 1]), np.arange(-5.0, 10)
    errors = 3 * np.abs((features @ planted)[:, None] - offered)
    np.testing.assert_allclose(derive.fit_rule(features, offered, errors), planted, atol=1e-9)
    np.testing.assert_allclose(derive.regrets(features, offered, errors), 0, atol=1e-9)
    # A row that follows no rule pays, and is not among those that its own rule is fitted to.
    errors[2] = np.abs(offered - 9)
    assert derive.regrets(features, offered, errors)[2] == 9 - features[2] @ planted


@pytest.mark.parametrize("shared", [False, True])
def test_choices_come_from_other_seeds(shared, tmp_path, monkeypatch):
    """Each candidate's curves are planted, another for the seeds that choose.

    If seeds share their tests, results say which of them are right.
    """
    curves = {0.1: [5, 1, 4], 0.2: [6, 5, 3], 0.0: [2, 3, 4]}
    asked = []

    def fit(numbers, task):
        assert len(task.seeds) == len(task.keys) == 2
        asked.append((task.group, numbers.alpha, task.seeds.start))
        task.tick(3)
        other = np.zeros(3) if task.seeds.start == choose.FIRST_SEED else np.array([10, 20, 30])
        error = (np.array([curves[numbers.alpha]] * 2) + other) / 100
        hits = np.array([[True, False, True], [False, True, numbers.alpha > 0]])
        found = {"error": error}, {"extra": np.array([0.5, 1])}
        return (*found, hits) if shared else found

    methods = TWO_CANDIDATES
    search, work = choose.by_last_error(methods, fit, said=lambda job, best: best.name)
    monkeypatch.setattr(study, "defining", lambda *_: {"of": "test"})
    sizes = {"name": "test", "config": None, "seeds": 2, "ticks": 3, "groups": ["g"]}
    question = study.Study(
        out=tmp_path, title="", methods=methods, work=work, search=search, table=TABLE, **sizes
    )
    assert study.run_study(question) == 0
    runs, _ = read_runs(tmp_path / "runs.jsonl", {"of": "test"})
    assert asked[:3] == [("g", a, choose.FIRST_SEED) for a in (0.0, 0.1, 0.2)]  # each once
    assert asked[3:] == [("g", a, 0) for a in (0.0, 0.2, 0.1)]
    found = {run["method"]: run for run in runs if run["seed"] == 1}
    assert [found[m]["chosen"] for m in methods] == ["plain", "high", "low"]
    stops = [(found[m]["stop"], found[m]["stopped_error"]) for m in methods]
    assert stops == [(1, 12), (3, 33), (2, 21)]
    assert [found[m]["last_error"] for m in methods] == [34, 33, 34]
    assert [found[m]["chosen_error"] for m in methods] == pytest.approx([4, 3, 4])
    assert found["plain"]["extra"] == 100
    if shared:
        assert unpacked(found["plain"]["hits"]).tolist() == [False, True, False]
        assert unpacked(found["mixup"]["hits"]).tolist() == [False, True, True]
    assert shared == all("hits" in run for run in runs) == any("hits" in run for run in runs)
    assert '"hits"' not in (tmp_path / "choose.jsonl").read_text()
    assert (
        (tmp_path / "table.md").read_text().endswith("Chosen on other splits: plain; high; low.\n")
    )
    assert study.run_study(question) == 0 and len(asked) == 6  # nothing is missing


def test_pictures_are_moved_as_bytes_and_scaled_after_mixing():
    x = jnp.full((4, 8, 8, 3), 255, jnp.uint8)
    pool = few.Pool("planted", x, jnp.arange(4), 4, (2, 4), 2)
    recipe = few_labels.recipe_of(pool, (Method(alpha=1.0), 1.0))
    moved, _ = jax.jit(recipe.loss.keywords["prepare"])(KEY, x, pool.y)
    assert moved.dtype == jnp.uint8 and 0 < (moved == 0).sum() < moved.size
    assert float(recipe.normalise(x.astype(jnp.float32)).max()) == 1
    recipe = few_labels.recipe_of(pool, (Method(), 0.0))
    still, _ = jax.jit(recipe.loss.keywords["prepare"])(KEY, x, pool.y)
    np.testing.assert_array_equal(still, x)
    said = jax.eval_shape(lambda key: classify.logits(recipe, init(recipe, key), x), KEY)
    assert said.shape == (4, 4)


def test_too_few_pictures(tmp_path):
    path = tmp_path / "small.npz"
    x, y = np.zeros((30, 8, 8, 1), np.uint8), np.arange(30) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(loop.Stop, match="needs 10000"):
        few_labels.main(few_labels.Config(out=tmp_path, data=str(path)))


@pytest.mark.parametrize("script", [alpha, few_labels, tabular])
@pytest.mark.slow
def test_smoke(script, tmp_path, capsys):
    assert script.main(script.Config(out=tmp_path, smoke=True)) == 0
    pinned.check(script.__name__.split(".")[1], tmp_path / "smoke")
    [out] = tmp_path.iterdir()
    table = (out / "table.md").read_text()
    assert out.name == "smoke" and "Pass rule" in table and "Pass rule" in capsys.readouterr().out
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    assert {run["method"] for run in runs} == set(script.METHODS)
    assert {run["seed"] for run in runs} == {0, 1}
    assert str(tmp_path) not in (out / "runs.jsonl").read_text()
