"""Wrong labels found by their losses: mixtures, targets, and the README's step, by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jax_mixup as jm
from experiments.core import loop
from experiments.core.step import Task
from experiments.harness.choose import Choice, Search
from experiments.harness.runs import defining, read_runs
from experiments.models.mlp import MLP
from experiments.noisy_labels import __main__ as noisy_labels
from experiments.noisy_labels import dividemix
from experiments.noisy_labels.dividemix import Kind, Method
from tests import pages
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_readme_block():
    draw = np.random.default_rng(0)
    images, weights = draw.normal(size=(4, 3)), draw.normal(size=(3, 10))
    own, other = softmax(draw.normal(size=(2, 4, 10)))
    right, labels = np.array([1.0, 0.7, 0.2, 0.5]), np.array([3, 1, 4, 1])
    given = {"own": own, "other": other, "right": right, "labels": labels, "images": images}
    given = {name: jnp.asarray(values) for name, values in given.items()}
    names = pages.run(
        pages.block("T = 1/2"), key=KEY, model=lambda x: x @ jnp.asarray(weights), **given
    )
    lam = float(names["mix"].lam[0])
    assert 0.5 <= lam < 1
    known = np.eye(10)[labels]
    guess = right[:, None] * known + (1 - right[:, None]) * own
    # Rows 2 and 3, which are not above one half, forget their labels.
    guess[2:] = ((own + other) / 2)[2:]
    target = guess**2 / (guess**2).sum(-1, keepdims=True)
    target = lam * target + (1 - lam) * target[::-1]
    said = softmax((lam * images + (1 - lam) * images[::-1]) @ weights)
    entropy, squared = -(target * np.log(said)).sum(-1), ((said - target) ** 2).mean(-1)
    expected = np.concatenate([entropy[:2], 25 * squared[2:]]).mean()
    np.testing.assert_allclose(names["loss"], expected, rtol=1e-5)


def test_densities_are_those_of_scipy():
    x = np.linspace(0.05, 0.95, 7, dtype=np.float32)
    both, mean, variance = np.stack([x, x]), np.array([[0.2], [0.7]]), np.array([[0.01], [0.04]])
    normal = stats.norm.logpdf(both, mean, np.sqrt(variance))
    np.testing.assert_allclose(dividemix.gaussian(both, mean, variance), normal, rtol=1e-4)
    size = mean * (1 - mean) / variance - 1
    law = stats.beta.logpdf(both, mean * size, (1 - mean) * size)
    np.testing.assert_allclose(dividemix.beta(both, mean, variance), law, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("density", [dividemix.gaussian, dividemix.beta])
def test_a_mixture_tells_low_losses_from_high_ones(density):
    draw = np.random.default_rng(0)
    low, high = draw.gamma(2, 0.1, 300), draw.normal(3, 0.4, 100)
    losses = jnp.asarray(np.concatenate([high, low]), jnp.float32)
    fitted = jax.jit(partial(dividemix.mixture, density=density))
    right = np.asarray(fitted(losses))
    assert (right[100:] > 0.5).mean() > 0.98 and (right[:100] < 0.5).mean() > 0.98
    # In any units, and in any order.
    np.testing.assert_allclose(fitted(1000 * losses), right, atol=1e-3)
    np.testing.assert_allclose(fitted(losses[::-1])[::-1], right, atol=1e-3)
    # A network that memorised everything, or nothing, shows nothing: this gives no NaN.
    assert np.isfinite(fitted(jnp.full(400, 2.3))).all()


def test_gaussians_are_fitted_as_by_another_implementation():
    from sklearn.mixture import GaussianMixture

    draw = np.random.default_rng(1)
    losses = np.concatenate([draw.normal(0.5, 0.2, 200), draw.normal(2, 0.5, 200)])
    scaled = ((losses - losses.min()) / (losses.max() - losses.min()))[:, None]
    other = GaussianMixture(2, means_init=[[0.2], [0.6]], reg_covar=5e-4, max_iter=200, tol=1e-6)
    expected = other.fit(scaled).predict_proba(scaled)[:, 0]
    right = dividemix.mixture(jnp.asarray(losses, jnp.float32), dividemix.gaussian)
    np.testing.assert_allclose(right, expected, atol=0.03)


def test_each_network_is_told_by_its_peer():
    """By its own losses a network would confirm its own mistakes."""
    y = jnp.zeros(40, jnp.int32)
    confident = jnp.where(jnp.arange(40) < 30, 0.9, 0.1)
    said = jnp.stack([confident, confident[::-1]])
    said = jnp.stack([said, 1 - said], axis=-1)
    right = dividemix.rightness(Kind(2, "divide"), said, y)
    np.testing.assert_array_equal(right[0] > 0.5, np.asarray(confident)[::-1] > 0.5)
    np.testing.assert_array_equal(right[1] > 0.5, confident > 0.5)


def test_targets_by_hand():
    right, labels = jnp.array([[0.8, 0.1]] * 2), jnp.eye(2)[jnp.array([[0, 1]] * 2)]
    said = jnp.array([[[0.6, 0.4], [0.6, 0.4]]] * 2)  # by network 0, on both networks' batches
    said = jnp.stack([said, said[..., ::-1]])  # network 1 says the opposite
    target, labelled = dividemix.divide(right, labels, said)
    np.testing.assert_array_equal(labelled, [[True, False]] * 2)
    # Network 0 refines 0.8 (1, 0) + 0.2 (0.6, 0.4) = (0.92, 0.08), network 1 (0.88, 0.12).
    for found, share in zip(target[:, 0], (0.92, 0.88), strict=True):
        expected = np.square([share, 1 - share]) / (share**2 + (1 - share) ** 2)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(target[:, 1], 0.5)  # the two guesses cancel, whatever the label
    target, labelled = dividemix.bootstrap(right[:1], labels[:1], said[:1, :1])
    np.testing.assert_allclose(target[0], [[1, 0], [0.9, 0.1]], atol=1e-6)
    assert labelled.all()


def test_the_row_that_gives_the_loss_its_kind_is_the_larger_part():
    lam = jm.folded_beta(4.0)(KEY, (1000,))
    assert lam.min() >= 0.5
    # Unfolded, every other row would be learned by the loss of its partner's kind.
    assert 0.4 < (jm.symmetric_beta(KEY, 4.0, (1000,)) < 0.5).mean() < 0.6


def test_a_guess_costs_squared_error_and_grows_after_the_warm_up():
    x, labels = jnp.ones((2, 3)), jnp.eye(4)[:2]
    labelled = jnp.array([True, False])

    def loss_at(epoch, guessed):
        model = lambda x, train, key: jnp.broadcast_to(jnp.array([1.0, 0, 0, 0]), (2, 4))
        batch = (x, labels, labelled, jnp.int32(epoch))
        task = Task(model, model, KEY, jnp.int32(0), batch)
        method = Method(alpha=0.0, warmup=10.0, guessed=guessed)
        return float(dividemix.loss(Kind(2, "divide"), method, task)[0])

    p = softmax(np.array([1.0, 0, 0, 0]))
    plain = -np.log(p[0]) - np.log(4 * p).mean()
    squared = np.square(p - np.eye(4)[1]).mean()
    for epoch, share in ((5, 0), (10, 0), (18, 0.5), (26, 1), (60, 1)):
        np.testing.assert_allclose(loss_at(epoch, 25.0), plain + 25 * share * squared, rtol=1e-5)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    draw, path = np.random.default_rng(0), tmp_path_factory.mktemp("pictures") / "tiny.npz"
    parts = {"x_train": (60, 8, 8, 3), "x_test": (4000, 8, 8, 3)}
    arrays = {name: draw.integers(0, 256, size).astype(np.uint8) for name, size in parts.items()}
    labels = {"y_train": np.arange(60) % 3, "y_test": np.arange(4000) % 3}
    np.savez(path, **arrays, **labels, class_names=np.array(["a", "b", "c"]))
    return path


@pytest.mark.slow
def test_pictures_in_place_of_digits(pictures):
    title, draw, study_of = dividemix.sources(str(pictures), 60)
    seeds = range(1000, 1002)
    data, held = (draw(seeds, 0.5, choosing=choosing) for choosing in (False, True))
    assert title.startswith("60 of ") and data.x.shape == (2, 60, 8, 8, 3)
    assert data.x.max() <= 1 and 0 < data.wrong.mean() < 0.5
    np.testing.assert_array_equal(held.x, data.x)
    assert data.x_test.shape == held.x_test.shape == (2, 2000, 8, 8, 3)
    np.testing.assert_array_equal(data.x_test[0], data.x_test[1])
    parts = [{x.tobytes() for x in np.asarray(d.x_test[0])} for d in (data, held)]
    assert not parts[0] & parts[1]
    sizes = {"seeds": seeds, "epochs": 1, "tick": lambda n: None}
    scores = study_of(Kind())(Method(alpha=4.0), data, **sizes)
    assert scores["error"].shape == (2, 1) and np.isfinite(scores["nll"]).all()
    np.testing.assert_allclose(scores["error"], scores["one_error"], atol=1e-6)
    np.testing.assert_allclose(1 - scores["hits"].mean(-1), scores["error"], atol=1e-6)


def test_smoke(tmp_path):
    assert noisy_labels.main(noisy_labels.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("noisy_labels", tmp_path / "smoke")
    facts = {"pictures": "Digits"}
    settings = defining("noisy_labels", noisy_labels.Config(epochs=2), facts)
    runs, others = read_runs(tmp_path / "smoke" / "runs.jsonl", settings)
    assert not others and len(runs) == 4
    assert {run["method"] for run in runs} == {noisy_labels.RIVAL, "DivideMix"}
    assert all(len(run["curve"]) == 2 and run["train_wrong"] > 50 for run in runs)
    assert (tmp_path / "smoke" / "plot.png").stat().st_size > 20_000


def test_the_first_of_two_networks_starts_as_one_alone():
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    tiny = partial(MLP, 3, 2, 2)
    alone, pair = (dividemix.start(Kind(nets), tiny, Method(), keys).params for nets in (1, 2))
    for one, both in zip(jax.tree.leaves(alone), jax.tree.leaves(pair), strict=True):
        assert one.shape[:2] == (2, 1) and both.shape[:2] == (2, 2)
        np.testing.assert_array_equal(one[:, 0], both[:, 0])
    kernel = pair["first"]["kernel"][...]
    assert not np.allclose(kernel[:, 0], kernel[:, 1])


def test_missing_data_stop_with_one_sentence(tmp_path):
    config = noisy_labels.Config(out=tmp_path, data=str(tmp_path / "none.npz"))
    with pytest.raises(loop.Stop, match=r"none\.npz"):
        noisy_labels.main(config)


def test_verdict():
    def runs(*gains):
        return [
            {"group": group, "method": method, "seed": seed, "last_error": error + seed}
            for group, gain in zip("ab", gains, strict=True)
            for method, error in ((noisy_labels.RIVAL, gain), ("DivideMix", 0))
            for seed in range(3)
        ]

    chosen = {("a", "mixup"): Choice("mixup α=8", 0), ("a", "plain"): Choice("plain", 0)}
    search = Search({}, list, said=noisy_labels.said)
    assert search.describe(chosen) == "Chosen on other splits: a, mixup α=8."
    groups = {"a": 0.4, "b": 0.8}
    assert noisy_labels.rule_of(groups)(runs(2, 3)).endswith("PASS.")
    assert noisy_labels.rule_of(groups)(runs(2, -1)).endswith("FAIL.")
