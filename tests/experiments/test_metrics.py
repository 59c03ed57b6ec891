"""Metrics, each against the same number by hand or from another library; and calibration."""

import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from sklearn.metrics import roc_auc_score

import jax_mixup as jm
from experiments.calibration import __main__ as calibration
from experiments.core import classify, metrics
from experiments.core.classify import cross_entropy
from experiments.core.methods import Method
from experiments.core.step import init, train_step
from experiments.data import digits, strange
from experiments.harness import digits_mlp
from experiments.harness.jobs import Task
from experiments.harness.runs import defining, read_runs
from tests.experiments import pinned

KEY = jax.random.key(0)


def examples(scale=2.0, n=500):
    """Logits, and labels that are drawn from their softmax: T = 1 is right."""
    key_logits, key_labels = jax.random.split(KEY)
    logits = scale * jax.random.normal(key_logits, (n, 10))
    return logits, jax.random.categorical(key_labels, logits)


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def test_metrics_by_hand():
    logits = np.asarray(2 * jax.random.normal(KEY, (500, 10)))
    labels = np.asarray(jax.random.randint(KEY, (500,), 0, 10))
    p = softmax(logits)
    confidence, right = p.max(1), (p.argmax(1) == labels).astype(float)
    ece = 0.0
    for low in np.arange(15) / 15:
        rows = (confidence >= low) & (confidence < low + 1 / 15)
        if rows.any():
            ece += rows.mean() * abs(confidence[rows].mean() - right[rows].mean())
    expected = {
        "error": 1 - right.mean(),
        "nll": -np.log(p[np.arange(500), labels]).mean(),
        "brier": ((p - np.eye(10)[labels]) ** 2).sum(1).mean(),
        "ece": ece,
        "gap": confidence.mean() - right.mean(),
    }
    found = metrics.classification(jnp.asarray(logits), jnp.asarray(labels))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)


def test_brier_of_the_extremes():
    sure = 100 * jnp.eye(4)
    own = metrics.classification(sure, jnp.arange(4))
    other = metrics.classification(sure, (jnp.arange(4) + 1) % 4)
    assert float(own["brier"]) == 0 and float(other["brier"]) == 2
    unsure = metrics.classification(jnp.zeros((4, 4)), jnp.arange(4))
    np.testing.assert_allclose(unsure["brier"], 0.75**2 + 3 * 0.25**2)


def test_reliability_by_hand():
    p = jnp.array([[0.7, 0.2, 0.1], [0.7, 0.1, 0.2], [0.0, 1.0, 0.0], [0.5, 0.3, 0.2]])
    count, confidence, right = metrics.reliability(jnp.log(p), jnp.array([0, 1, 1, 2]))
    bins = {7: (1, 0.5, 0), 10: (2, 1.4, 1), 14: (1, 1.0, 1)}  # 15 bins, 1.0 in the last one
    for i in range(15):
        found = count[i], confidence[i], right[i]
        np.testing.assert_allclose(found, bins.get(i, (0, 0, 0)), rtol=1e-5, err_msg=str(i))


@pytest.mark.parametrize("truth", [0.3, 1.0, 4.0])
def test_temperature_recovers_a_known_one(truth):
    logits, labels = examples(n=20_000)
    found = float(jax.jit(metrics.temperature)(truth * logits, labels))
    assert abs(found / truth - 1) < 0.05


def test_temperature_is_the_best_one():
    logits, labels = examples(n=200)
    logits = 3 * logits
    nll = lambda log_t: float(metrics.classification(logits / np.exp(log_t), labels)["nll"])
    best = optimize.minimize_scalar(nll, bounds=(-3, 3), method="bounded").x
    np.testing.assert_allclose(np.log(metrics.temperature(logits, labels)), best, atol=2e-3)


def test_temperature_of_perfect_predictions_is_the_least():
    logits = jax.nn.one_hot(jnp.arange(10), 10)
    np.testing.assert_allclose(metrics.temperature(logits, jnp.arange(10)), 1 / 50, rtol=1e-4)


def test_log_odds_are_exact_where_float32_is_not():
    logits, labels = examples()
    p = softmax(np.asarray(logits, np.float64))[np.arange(500), labels]
    np.testing.assert_allclose(metrics.log_odds(logits, labels), np.log(p / (1 - p)), rtol=1e-3)
    sure = jnp.array([[40.0, 0.0, 0.0], [50.0, 0.0, 0.0]])  # softmax gives 1 for both
    found = metrics.log_odds(sure, jnp.zeros(2, jnp.int32))
    np.testing.assert_allclose(found, [40 - np.log(2), 50 - np.log(2)], rtol=1e-6)


def test_auroc_is_sklearn_s():
    keys = jax.random.split(KEY)
    inside = jnp.round(jax.random.normal(keys[0], (300,)) + 1, 1)  # rounded: there are ties
    outside = jnp.round(jax.random.normal(keys[1], (200,)), 1)
    truth = np.r_[np.ones(300), np.zeros(200)]
    expected = roc_auc_score(truth, np.concatenate([inside, outside]))
    np.testing.assert_allclose(metrics.auroc(inside, outside), expected, rtol=1e-5)
    assert float(metrics.auroc(inside, inside - 99)) == 1
    assert float(metrics.auroc(jnp.zeros(5), jnp.zeros(7))) == 0.5


def test_fpr95_by_hand():
    inside = jnp.arange(101.0)  # 95 % of them are 5 or more
    assert float(metrics.fpr95(inside, jnp.array([4.0, 4.9, 5.0, 300.0]))) == 0.5
    assert float(metrics.fpr95(inside, inside - 1000)) == 0


def test_detection_takes_the_score_it_says():
    inside, outside = jnp.array([[5.0, 0, 0], [9.0, 8, 0]]), jnp.array([[9.0, 9, 9], [3.0, 0, 0]])
    found = metrics.detection(inside, outside)
    # By probability the sure ones lead; by energy, the large ones.
    assert float(found["softmax_auroc"]) == 0.75 and float(found["energy_auroc"]) == 0.5
    assert float(found["softmax_fpr95"]) == 0.5 and float(found["energy_fpr95"]) == 0.5


def test_strange_pictures():
    x = jnp.asarray(digits.digits()[0][:50])
    photos = strange.photos(x)
    assert photos.shape == x.shape and photos.dtype == np.float32
    np.testing.assert_array_equal(photos, strange.photos(x))
    np.testing.assert_allclose(photos.min((1, 2, 3)), 0)
    np.testing.assert_allclose(photos.max((1, 2, 3)), 1)
    assert len(np.unique(photos.reshape(50, -1), axis=0)) == 50
    shuffled = np.asarray(strange.shuffled(x)).reshape(50, -1)
    own = np.asarray(x).reshape(50, -1)
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(own))
    order = lambda row: tuple(np.argsort(row, kind="stable"))
    assert (
        len(
            {
                order(row)
                for row in np.asarray(strange.shuffled(jnp.tile(x[:1], (9, 1, 1, 1)))).reshape(
                    9, -1
                )
            }
        )
        == 9
    )
    assert (shuffled != own).any(axis=1).all()


@pytest.mark.slow
def test_regmixup_is_half_of_each_loss():
    """As the paper's code has it, by hand: ½ (CE of the batch + CE of its mixup)."""
    recipe = digits_mlp.recipe_of(0.0, True, Method(alpha=10.0, regmixup=True))
    state = init(recipe, KEY)
    x, y = (jnp.asarray(a[:6]) for a in digits.digits())
    double = digits_mlp.twice(x, y)
    mix = digits_mlp.mix_second(10.0, KEY, *double)
    np.testing.assert_array_equal(mix.lam[:6], 1)
    lam = mix.lam[6:]
    assert (lam == lam[0]).all() and 0.1 < lam[0] < 0.9
    mixed = jm.blend(mix, double[0])
    np.testing.assert_array_equal(mixed[:6], x)
    np.testing.assert_allclose(mixed[6:], lam[0] * x + (1 - lam[0]) * x[::-1], atol=1e-6)

    # The step draws its own λ, so it is looked for: no other λ gives this loss.
    _, scores = train_step(recipe, state, KEY, (x, y))
    ce = lambda x, y: cross_entropy(classify.logits(recipe, state, x), y).mean()

    def loss(lam):
        mixed = lam * x + (1 - lam) * x[::-1]
        return (ce(x, y) + lam * ce(mixed, y) + (1 - lam) * ce(mixed, y[::-1])) / 2

    losses = np.asarray(jax.vmap(loss)(jnp.linspace(0, 1, 1001)))
    assert np.abs(losses - float(scores["loss"])).min() < 1e-4 < np.ptp(losses) / 10


def test_a_method_s_numbers_reach_its_recipe():
    x, y = (jnp.asarray(a[:6]) for a in digits.digits())
    for name, method in calibration.METHODS.items():
        recipe = digits_mlp.recipe_of(method.dropout, method.regmixup, method)
        given, _ = recipe.loss.keywords["prepare"](KEY, x, y)
        assert len(given) == (12 if "RegMixup" in name else 6)
        np.testing.assert_array_equal(given[:6], x)
        mix = recipe.loss.keywords["draw"](KEY, given, jnp.concatenate([y, y])[: len(given)])
        if "Mix" not in name and "mix" not in name:
            assert (mix.lam == 1).all() and (mix.mask == 1).all()
        elif "CutMix" in name:
            assert set(np.unique(mix.mask)) == {0, 1}
        else:
            assert 0 < mix.lam[-1] < 1
    noisy = digits_mlp.recipe_of(0.0, False, Method(noise=0.5))
    moved, _ = noisy.loss.keywords["prepare"](KEY, x, y)
    assert abs(float((moved - x).std()) - 0.5) < 0.06


def outcome(group, method, ece, gap):
    return [
        {"group": group, "method": method, "seed": seed, "ece": ece + shift, "gap": gap + shift}
        for seed, shift in enumerate((-0.1, 0.0, 0.1))
    ]


def test_the_verdict_on_calibration():
    """A case where all three parts hold, and for each part a change that breaks it alone."""
    eces = {"plain": 5.0, "mixup α=0.2": 3.0, "mixup α=1": 6.0, "mixup α=8": 9.0}
    case = {("40 % noise", name): (ece, 1.0) for name, ece in eces.items()}
    case |= {("0 % noise", name): (1.0 if name == "plain" else 4.0, -3.0) for name in eces}
    case |= {(f"{rate} % noise, scaled", name): (1.0, 0.0) for rate in (0, 40) for name in eces}

    def held(**changed):
        runs = [
            r
            for job, scores in (case | changed.get("to", {})).items()
            for r in outcome(*job, *scores)
        ]
        text = calibration.RULE(runs)
        assert ("PASS" in text) == ("does not hold" not in text)
        return ["holds" in text.split(f"({part}) ")[1][:8] for part in (1, 2, 3)]

    scaled = {("0 % noise, scaled", "mixup α=1"): (3.5, 0.0)}
    assert held() == [True, True, True]
    assert held(to={("0 % noise", "mixup α=1"): (0.5, -3.0)}) == [False, True, True]
    assert held(to={("0 % noise", "mixup α=1"): (4.0, 3.0)}) == [False, True, True]
    assert held(to={("40 % noise", "mixup α=8"): (2.0, 1.0)}) == [True, False, True]
    assert held(to={("40 % noise", "mixup α=0.2"): (5.05, 1.0)}) == [True, False, True]
    assert held(to=scaled) == [True, True, True]  # one may be larger
    assert held(to=scaled | {("40 % noise, scaled", "mixup α=8"): (3.5, 0.0)}) == [
        True,
        True,
        False,
    ]


def test_calibration_trains_a_method_once_in_any_order_of_jobs(monkeypatch):
    """The groups before and after scaling share networks; a fake one says what it was made from."""
    fits = []

    def fit(method, data, **_):
        fits.append((method, int(data.wrong.any())))
        return 1 + method.alpha + fits[-1][1], {}

    def apply(method, state, x):
        return state * x.reshape(*x.shape[:2], -1)[..., 10:20]

    fake = types.SimpleNamespace(fit=fit, apply=apply)
    monkeypatch.setattr(digits_mlp, "study_of", lambda *kind: fake)
    rates, names = calibration.RATES, ("plain", "mixup α=1")
    jobs = list(itertools.product([r + s for s in ("", calibration.SCALED) for r in rates], names))

    def results(jobs):
        work = calibration.make_work(calibration.Config(seeds=2, epochs=2))
        return {(g, name): work(Task(g, name, range(2), lambda n: None)) for g, name in jobs}

    found = results(jobs)
    assert len(fits) == len(rates) * len(names) == len(set(fits))
    assert found == results(sorted(jobs, key=lambda job: job[::-1]))
    assert found["0 % noise", "plain"] != found["40 % noise", "plain"]


@pytest.mark.slow
def test_calibration_smoke(tmp_path):
    assert calibration.main(calibration.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("calibration", tmp_path / "smoke")
    out = tmp_path / "smoke"
    lines = (out / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 2 * 4 * len(calibration.METHODS)
    settings = defining("calibration", calibration.Config(epochs=2))
    runs, _ = read_runs(out / "runs.jsonl", settings)
    by = {(run["group"], run["method"], run["seed"]): run for run in runs}
    for (group, method, seed), run in by.items():
        if group.endswith(calibration.SCALED):
            before = by[group.removesuffix(calibration.SCALED), method, seed]
            assert run["last_error"] == before["last_error"] and before["temperature"] == 1
            assert run["temperature"] != 1 and run["nll"] < before["nll"]
            assert np.sum(run["bins"][0]) == 599
    assert (out / "plot.png").stat().st_size > 20_000
