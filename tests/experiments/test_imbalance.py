"""A long tail of classes: its draws, losses by hand, the README's step, and the script."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.core import loop
from experiments.core.step import Task
from experiments.data import digits, longtail
from experiments.harness.runs import defining, read_runs
from experiments.imbalance import __main__ as imbalance
from experiments.imbalance import train as imbalance_train
from experiments.imbalance.train import DEFERRED, MAMIX, MIXUP, REMIX, Method
from tests import pages
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
COUNTS = np.array([50, 10, 2], np.int32)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_readme_block():
    draw = np.random.default_rng(0)
    images, weights = draw.normal(size=(6, 4)), draw.normal(size=(4, 3))
    labels, counts = np.array([0, 0, 0, 1, 0, 2]), np.array([100.0, 10.0, 5.0])
    names = pages.run(
        pages.block("partners from all classes alike"),
        key=KEY,
        key_pair=jax.random.key(1),
        images=jnp.asarray(images),
        labels=jnp.asarray(labels),
        counts=jnp.asarray(counts),
        model=lambda x: x @ jnp.asarray(weights),
    )
    lam, drawn = np.asarray(names["mix"].lam), float(names["mix"].mask[0])
    # The input's weight is as drawn; the label's goes to the rarer class of unlike pairs.
    np.testing.assert_allclose(lam[:1], [0.0 if drawn < 0.5 else drawn], rtol=1e-6)
    assert lam[1] == np.float32(drawn)  # two of one class
    mixed = drawn * images + (1 - drawn) * images[::-1]
    said, rows = log_softmax(mixed @ weights), np.arange(6)
    own, other = 1 / counts[labels], 1 / counts[labels[::-1]]
    losses = -lam * own * said[rows, labels] - (1 - lam) * other * said[rows, labels[::-1]]
    expected = losses.sum() / (lam * own + (1 - lam) * other).sum()
    np.testing.assert_allclose(names["loss"], expected, rtol=1e-5)
    # The example's own class alone as the weight: a loss in which rare partners count little.
    wrong = own * (-lam * said[rows, labels] - (1 - lam) * said[rows, labels[::-1]])
    assert abs(wrong.sum() / own.sum() - expected) > 0.01
    np.testing.assert_array_equal(names["even"], names["balanced"].partner)


def test_the_batch_itself_stays_the_larger_part_in_balanced_mixup():
    lam = jm.beta(1.0, 0.2)(KEY, (4000,))
    np.testing.assert_allclose(lam.mean(), 1 / 1.2, atol=0.02)
    assert lam.mean() > 0.8 and jm.beta(0.2, 1.0)(KEY, (4000,)).mean() < 0.2  # the wrong way round


def test_profile_by_hand():
    assert longtail.profile(100, 100, 3).tolist() == [100, 10, 1]
    assert longtail.profile(120, 60, 10).tolist() == [120, 76, 48, 31, 19, 12, 8, 5, 3, 2]
    assert longtail.profile(5, 1, 4).tolist() == [5] * 4
    assert longtail.profile(5, 1000, 4).tolist() == [5, 1, 1, 1]  # no class is empty


def test_examples_are_drawn_once_and_classes_change_places():
    y = np.repeat(np.arange(3), (70, 65, 80))
    x = jnp.arange(len(y), dtype=jnp.float32)[:, None]  # each row says which it is
    draw = jax.jit(
        lambda key: longtail.draw(key, x, jnp.asarray(y), COUNTS, test=10, choosing=False)
    )
    orders = set()
    for seed in range(8):
        data = draw(jax.random.key(seed))
        np.testing.assert_array_equal(data.y, np.repeat(np.arange(3), COUNTS))
        assert np.bincount(data.y_test).tolist() == [10] * 3
        taken = np.concatenate([data.x, data.x_test])[:, 0].astype(int)
        assert len(set(taken)) == len(taken)
        true = [
            set(y[np.asarray(data.x)[np.asarray(data.y) == k, 0].astype(int)]) for k in range(3)
        ]
        assert all(len(found) == 1 for found in true)
        orders.add(tuple(found.pop() for found in true))
    assert len(orders) > 2


def test_half_of_the_rows_come_from_all_classes_alike():
    y = jnp.repeat(jnp.arange(3), COUNTS)
    data = longtail.Data(y.astype(jnp.float32)[:, None], y, jnp.zeros((1, 1)), jnp.zeros(1))
    (x, rows), (x_even, even) = imbalance_train.batch_of(COUNTS, 6000, KEY, data)
    np.testing.assert_array_equal(x[:, 0], rows)
    np.testing.assert_array_equal(x_even[:, 0], even)
    np.testing.assert_allclose(np.bincount(rows) / 6000, COUNTS / 62, atol=0.03)
    np.testing.assert_allclose(np.bincount(even) / 6000, 1 / 3, atol=0.03)


@functools.cache
def compiled():
    """The loss at a step, for any method; labels are 0, 0, 1, 2, and 2, 1, 0, 1 of all alike."""
    x, x_even = jnp.eye(4), 1 + jnp.eye(4)
    batch = (x, jnp.array([0, 0, 1, 2])), (x_even, jnp.array([2, 1, 0, 1]))

    @jax.jit
    def at(method, step):
        seen = []

        def model(x, *, train, key):
            seen.append(x)
            return x[:, :3]

        task = Task(model, model, KEY, step, batch)
        loss, _ = imbalance_train.loss(COUNTS, 100, method, task)
        return loss, seen[0]

    return at


def by_hand(x, lam, own, other, weights):
    said, rows = log_softmax(np.asarray(x)[:, :3]), np.arange(4)
    parts = lam * weights[own], (1 - lam) * weights[other]
    total = -(parts[0] * said[rows, own] + parts[1] * said[rows, other]).sum()
    return total / (parts[0] + parts[1]).sum()


def test_weights_come_when_they_are_deferred_to():
    own, none, rare = np.array([0, 0, 1, 2]), np.ones(3), 1 / COUNTS
    for weighed, step, weights in (
        (0.0, 0, rare),
        (DEFERRED, 79, none),
        (DEFERRED, 80, rare),
        (imbalance_train.NEVER, 99, none),
    ):
        loss, x = compiled()(jax.tree.map(jnp.float32, Method(weighed=weighed)), jnp.int32(step))
        np.testing.assert_array_equal(x, np.eye(4))
        np.testing.assert_allclose(loss, by_hand(x, 1.0, own, own, weights), rtol=1e-5)


def test_each_way_to_mix_by_hand():
    own, even = np.array([0, 0, 1, 2]), np.array([2, 1, 0, 1])
    for label, partners in ((MIXUP, 0.0), (REMIX, 0.0), (MAMIX, 0.0), (MIXUP, 1.0), (REMIX, 1.0)):
        method = Method(2.0, 2.0, weighed=0.0, label=label, even_partners=partners)
        loss, x = compiled()(jax.tree.map(jnp.float32, method), jnp.int32(0))
        other = even if partners else own[::-1]
        lam = 1 - np.asarray(x)[0, 1 if partners else 3]  # what the partner put there
        given = 1 + np.eye(4) if partners else np.eye(4)[::-1]
        np.testing.assert_allclose(x, lam * np.eye(4) + (1 - lam) * given, atol=1e-5)
        mix = jm.Mix(jm.roll(4), jnp.array([lam]), jnp.full(8, lam, jnp.float32))
        rule = {MIXUP: lambda mix, *_: mix, REMIX: jm.remix, MAMIX: jm.mamix}[label]
        both = jnp.asarray(np.concatenate([own, other]))
        share = np.asarray(rule(mix, both, COUNTS).lam)[:4]
        assert (label == MIXUP) == np.allclose(share, lam)
        np.testing.assert_allclose(loss, by_hand(x, share, own, other, 1 / COUNTS), rtol=1e-4)


def test_even_rows_take_the_batchs_place():
    method = Method(even_rows=1.0)
    loss, x = compiled()(jax.tree.map(jnp.float32, method), jnp.int32(0))
    even = np.array([2, 1, 0, 1])
    np.testing.assert_array_equal(x, 1 + np.eye(4))
    np.testing.assert_allclose(loss, by_hand(x, 1.0, even, even, np.ones(3)), rtol=1e-5)


def test_errors_by_frequency():
    y = jnp.repeat(jnp.arange(10), 4)
    expected = {"error": 0.1, "frequent_error": 0, "medium_error": 0, "rare_error": 1 / 3}
    for tests in (y, y[:-3], jnp.concatenate([y, y[-4:]])):  # of some classes fewer, or more
        said = jnp.where(tests == 9, 0, tests)  # the rarest class is never said
        data = longtail.Data(tests, tests, tests, tests)
        found = imbalance_train.score(10, lambda x, train, s=said: jax.nn.one_hot(s, 10), data)
        for name, error in expected.items():
            np.testing.assert_allclose(found[name], error, atol=1e-6)


@pytest.mark.slow
def test_smoke(tmp_path):
    assert imbalance.main(imbalance.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("imbalance", tmp_path / "smoke")
    settings = defining("imbalance", imbalance.Config(steps=50), {"pictures": "Digits"})
    runs, others = read_runs(tmp_path / "smoke" / "runs.jsonl", settings)
    assert not others and len(runs) == 2 * len(imbalance.METHODS)
    for run in runs:
        parts = 3 * run["frequent_error"] + 4 * run["medium_error"] + 3 * run["rare_error"]
        np.testing.assert_allclose(parts / 10, run["last_error"], atol=1e-3)
    assert (tmp_path / "smoke" / "plot.png").stat().st_size > 20_000


def test_what_is_refused(tmp_path, monkeypatch):
    config = imbalance.Config(out=tmp_path)
    with pytest.raises(loop.Stop, match="--steps got 51; it needs a multiple"):
        imbalance.main(dataclasses.replace(config, steps=51))
    with pytest.raises(loop.Stop, match=r"none\.npz"):
        imbalance.main(dataclasses.replace(config, data=str(tmp_path / "none.npz")))
    x, y = digits.digits()
    monkeypatch.setattr(digits, "digits", lambda: (x[:1000], y[:1000]))
    with pytest.raises(loop.Stop, match="needs 120 for training, 40 for testing and 10 to choose"):
        imbalance.main(config)


def test_verdict():
    def runs(gain):
        return [
            {"group": "imbalance 60", "method": method, "seed": seed, "last_error": error + seed}
            for method, error in (("DRW", gain), ("mixup, DRW", 0))
            for seed in range(3)
        ]

    assert imbalance.RULE(runs(2)).endswith("PASS.")
    assert imbalance.RULE(runs(0)).endswith("FAIL.")
