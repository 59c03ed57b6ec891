"""Metrics, each against the same number by hand or from another library."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from sklearn.metrics import roc_auc_score

from experiments import metrics

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def plain_promotion():
    """Flax and optax promote; the library's own strictness is tested elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


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
