"""No number is chosen on an example that a result tests on: the rows that each question draws."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.calibration import __main__ as calibration
from experiments.contrastive import __main__ as contrastive
from experiments.contrastive import train as contrastive_train
from experiments.data import digits, few, longtail, semi
from experiments.data.split import places
from experiments.few_labels import __main__ as few_labels
from experiments.harness import digits_mlp
from experiments.harness.choose import FIRST_SEED, OUTSIDE, Choice
from experiments.harness.intervals import unpacked
from experiments.harness.jobs import Task
from experiments.imbalance import __main__ as imbalance
from experiments.imbalance import train as imbalance_train
from experiments.label_noise import __main__ as label_noise
from experiments.noisy_labels import __main__ as noisy_labels
from experiments.noisy_labels import dividemix
from experiments.robustness import __main__ as robustness
from experiments.semi_supervised import __main__ as semi_supervised
from experiments.semi_supervised import train as semi_train

KEY = jax.random.key(0)
PLACE = {x.tobytes(): i for i, x in enumerate(digits.digits()[0])}  # of each picture


def task(group, method, seeds, chosen=None):
    return Task(group, method, seeds, lambda n: None, chosen or {})


def test_what_tests_is_the_same_for_all_keys():
    keys = jax.random.split(KEY, 4)
    sizes = {"count": 60, "train": 30, "tests": 20}
    drawn, tests = jax.vmap(lambda key: places(key, **sizes))(keys)
    again, left = jax.vmap(lambda key: places(key, **sizes, choosing=True))(keys)
    np.testing.assert_array_equal(drawn, again)
    assert (tests == tests[0]).all() and len(set(tests[0].tolist())) == 20
    for mine, others in zip(np.asarray(drawn), np.asarray(left), strict=True):
        assert mine.shape == (30,) and others.shape == (10,)
        assert set(mine) | set(others) | set(np.asarray(tests[0])) == set(range(60))
    assert len({tuple(sorted(mine)) for mine in np.asarray(drawn)}) == 4


def test_tasks_for_choosing_have_the_seeds_for_choosing():
    assert not task("g", "m", range(10)).choosing
    assert task("g", "m", range(FIRST_SEED, FIRST_SEED + 3)).choosing
    assert task("g", "m", range(FIRST_SEED + 2, FIRST_SEED + 3)).choosing  # where a run goes on


def places_of(pictures):
    """Of each seed's digits; all digits differ."""
    assert len(PLACE) == 1797
    return np.array([[PLACE[x.tobytes()] for x in own] for own in np.asarray(pictures)])


def by_content(data):
    return places_of(data.x), places_of(data.x_test)


def of_rows(rows):
    return np.concatenate([rows.labelled, rows.unlabelled], axis=1), np.asarray(rows.test)


def faked(seen, answer=lambda x: jnp.zeros((*x.shape[:2], 10))):
    """A trainer that only remembers what it was asked to train on."""

    def fit(numbers, data, *, seeds, **_):
        seen.append((seeds, data))
        return None, {"error": np.zeros((len(seeds), 2)), "nll": np.zeros((len(seeds), 2))}

    return types.SimpleNamespace(fit=fit, apply=lambda numbers, state, x: answer(x))


def fake_digits(patch, seen):
    patch.setattr(digits_mlp, "study_of", lambda *kind: faked(seen))
    right = lambda method, key, state, stranger, x, y: {"clean": jnp.zeros(y.shape, bool)}
    patch.setattr(robustness, "hits", right)


def fake_dividemix(patch, seen):
    def fit(method, data, **options):
        _, scores = faked(seen).fit(method, data, **options)
        return scores | {"hits": np.zeros((*data.y_test.shape[:1], 2, data.y_test.shape[1]), bool)}

    patch.setattr(dividemix, "seeds", lambda *kind, **options: fit)


def fake_contrastive(patch, seen):
    def answer(x):
        features = np.random.default_rng(0).normal(size=(*x.shape[:2], 4))
        return features, np.zeros(x.shape[:2], int)

    patch.setattr(contrastive_train, "batch_trainer", lambda *_, **options: faked(seen, answer))


def fake(module, name):
    return lambda patch, seen: patch.setattr(module, name, lambda *_, **options: faked(seen))


# How each question trains nothing, where the rows of what it was given are, and how many they are:
# different ones that train, tests of results, tests for choosing.
QUESTIONS = {
    label_noise: (fake_digits, by_content, (898, 599, 300)),
    calibration: (fake_digits, by_content, (898, 599, 300)),
    robustness: (fake_digits, by_content, (898, 599, 300)),
    noisy_labels: (fake_dividemix, by_content, (898, 599, 300)),
    few_labels: (fake(few_labels, "epoch_trainer"), by_content, (20, 599, 300)),
    semi_supervised: (fake(semi_train, "study_of"), of_rows, (2000, 1333, 667)),
    imbalance: (fake(imbalance_train, "study_of"), by_content, (324, 400, 1073)),
    contrastive: (fake_contrastive, lambda data: of_rows(data.rows), (898, 599, 300)),
}


@pytest.mark.parametrize("module", QUESTIONS, ids=lambda module: module.__name__.split(".")[1])
def test_choosing_sees_no_example_that_a_result_tests_on(module, monkeypatch, tmp_path):
    (patch, rows_of, (train, tests, left)), seen, studies = QUESTIONS[module], [], []
    monkeypatch.setattr(module, "run_study", studies.append)
    patch(monkeypatch, seen)
    module.main(module.Config(out=tmp_path))
    [study] = studies
    candidates, group = study.search.candidates, next(iter(study.groups))
    method = next(iter(candidates))
    name, numbers = next(iter(candidates[method].items()))
    study.search.work(task(group, name, range(FIRST_SEED, FIRST_SEED + 2)))
    chosen = {(group, method): Choice(name, 0, numbers)}
    runs = study.work(task(group, method, range(3), chosen))
    assert study.search.other == OUTSIDE and study.table.interval.examples

    drawn = {min(seeds): rows_of(data) for seeds, data in seen if min(seeds) in (0, FIRST_SEED)}
    (mine, tested), (others, held) = drawn[0], drawn[FIRST_SEED]
    assert tested.shape == (3, tests) and held.shape == (2, left)
    assert (tested == tested[0]).all() and len(set(tested[0])) == tests
    for own in [*mine, *others]:
        assert len(set(own)) == train and not set(own) & set(tested[0])
    for own, its in zip(others, held, strict=True):
        assert not set(its) & (set(own) | set(tested[0]))
    assert len({tuple(sorted(own)) for own in [*mine, *others]}) == 5  # no two seeds share a draw
    assert [unpacked(run["hits"]).size for run in runs] == [tests] * 3


def test_a_temperature_comes_from_digits_that_are_left_over():
    """Calibration's second draw has the first one's training examples, and other tests."""
    first, second = (digits_mlp.drawn(range(2), 0.4, choosing=c) for c in (False, True))
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, second.y)
    (mine, tested), (_, held) = by_content(first), by_content(second)
    for own, its in zip(mine, held, strict=True):
        assert sorted([*own, *its, *tested[0]]) == list(range(1797))
    clean = digits_mlp.drawn(range(2), choosing=False)
    np.testing.assert_array_equal(clean.x, first.x)
    assert not clean.wrong.any() and 0.3 < first.wrong.mean() < 0.42


def test_of_large_sets_not_all_is_tested_on():
    half, test = few.halve(KEY, 9000, choosing=False)
    assert half.shape == (4500,) and test.shape == (2000,)
    assert few.halve(KEY, 9000, choosing=True)[1].shape == (2000,)
    pool = few.Pool("planted", jnp.zeros((90, 2)), jnp.arange(90) % 3, 3, (6,), 6)
    rows = [semi.draw(KEY, pool, labels=6, choosing=choosing) for choosing in (False, True)]
    assert [[len(part) for part in own] for own in rows] == [[6, 39, 30], [6, 39, 15]]


def test_the_long_tail_is_tested_on_the_same_pictures_under_other_names():
    """Each key draws which class is how frequent, so that a picture's class has another number."""
    y = jnp.asarray(np.random.default_rng(0).permutation(np.repeat(np.arange(3), 80)))
    counts = np.array([50, 10, 2])
    draw = lambda key, choosing: longtail.draw(
        key, jnp.arange(240), y, counts, test=20, choosing=choosing
    )
    keys = jax.random.split(KEY, 6)
    results, choices = (jax.vmap(lambda key, c=c: draw(key, c))(keys) for c in (False, True))
    assert (results.x_test == results.x_test[0]).all() and results.x_test.shape == (6, 60)
    assert len({tuple(own) for own in np.asarray(results.y_test)}) > 1
    np.testing.assert_array_equal(results.x, choices.x)
    for own, names, others, other_names in zip(*results[:2], *choices[2:], strict=True):
        ids = [int(names[np.flatnonzero(y[own] == k)[0]]) for k in range(3)]  # of the classes
        np.testing.assert_array_equal(names, np.array(ids)[y[own]])
        np.testing.assert_array_equal(other_names, np.array(ids)[y[others]])
        assert np.bincount(names).tolist() == [50, 10, 2]
        assert np.bincount(other_names).tolist() == [10, 50, 58]  # the rarer, the more
        used = [*own.tolist(), *others.tolist(), *results.x_test[0].tolist()]
        assert sorted(used) == list(range(240))
