"""Attacks and corruptions: what they may do, and that they do it."""

import itertools
import json
import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.data import digits
from experiments.harness.intervals import unpacked
from experiments.harness.jobs import Task
from experiments.robustness import __main__ as robustness
from experiments.robustness import attacks, corruptions
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
WEIGHTS = jax.random.normal(KEY, (64, 10))
BOTH = jax.random.normal(jax.random.key(1), (2, 64, 64))
EPSILON = 0.1


def linear(x):
    return x.reshape(len(x), -1) @ WEIGHTS


def network(x):
    """Curved, so that one step is not the best one."""
    hidden = jnp.sin(x.reshape(len(x), -1) @ BOTH[0])
    return jnp.sin(hidden @ BOTH[1]) @ WEIGHTS


def losses(logits_fn, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits_fn(x)), y[:, None], axis=1)[:, 0]


def images(n=40):
    x, _ = digits.digits()
    x = jnp.asarray(x[:n])
    return x, network(x).argmax(-1).astype(jnp.int32)


ATTACKS = {
    "fgsm": partial(attacks.fgsm, epsilon=EPSILON),
    "iterative": partial(attacks.iterative, epsilon=EPSILON, steps=20, step_size=EPSILON / 8),
    "pgd": partial(attacks.pgd, KEY, epsilon=EPSILON, steps=20, step_size=EPSILON / 8),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_stay_in_the_ball_and_in_range_and_raise_the_loss(name):
    x, y = images()
    moved = jax.jit(partial(ATTACKS[name], network))(x, y)
    assert moved.shape == x.shape and moved.dtype == x.dtype
    assert 0.9 * EPSILON < float(jnp.abs(moved - x).max()) <= EPSILON + 1e-6
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    assert float(losses(network, moved, y).mean()) > float(losses(network, x, y).mean()) + 1


def test_more_steps_raise_the_loss_more():
    x, y = images()
    found = {
        name: losses(network, attack(network, x, y), y).mean() for name, attack in ATTACKS.items()
    }
    assert found["iterative"] > found["fgsm"] and found["pgd"] > found["fgsm"]


def test_attacks_on_a_linear_model_by_hand():
    x, y = images()
    logits = np.asarray(linear(x), np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    gradient = (p - np.eye(10)[np.asarray(y)]) @ np.asarray(WEIGHTS, np.float64).T
    expected = np.clip(x + EPSILON * np.sign(gradient).reshape(x.shape), 0, 1)
    np.testing.assert_allclose(ATTACKS["fgsm"](linear, x, y), expected, atol=1e-6)
    one = attacks.iterative(linear, x, y, epsilon=EPSILON, steps=1, step_size=EPSILON / 2)
    expected = np.clip(x + EPSILON / 2 * np.sign(gradient).reshape(x.shape), 0, 1)
    np.testing.assert_allclose(one, expected, atol=1e-6)


def test_a_sure_model_does_not_pass_for_robust():
    """With logits this large its softmax is 0 and 1, and the gradient of its loss vanishes."""
    x, y = images()
    sure = lambda x: 1e5 * linear(x)
    y = linear(x).argmax(-1)
    assert float(jnp.abs(jax.grad(lambda x: losses(sure, x, y).sum())(x)).max()) == 0
    moved = ATTACKS["fgsm"](sure, x, y)
    np.testing.assert_array_equal(sure(moved).argmax(-1), linear(moved).argmax(-1))
    assert float((sure(moved).argmax(-1) != y).mean()) > 0.5


def test_pgd_starts_at_random_and_follows_its_key():
    x, y = images()
    start = partial(attacks.pgd, epsilon=EPSILON, steps=0, step_size=0.0)
    moved = start(KEY, network, x, y)
    np.testing.assert_array_equal(moved, start(KEY, network, x, y))
    assert float(jnp.abs(moved - start(jax.random.key(1), network, x, y)).mean()) > EPSILON / 10
    inner = (x > EPSILON) & (x < 1 - EPSILON)
    assert abs(float(jnp.std((moved - x)[inner])) / (EPSILON / np.sqrt(3)) - 1) < 0.1


def grey():
    return jax.random.uniform(jax.random.key(2), (64, 8, 8, 1), minval=0.2, maxval=0.8)


@pytest.mark.parametrize("kind", corruptions.KINDS)
def test_corruptions_keep_shape_dtype_and_range_and_grow(kind):
    x = grey()
    corrupt = jax.jit(partial(corruptions.corrupt, KEY, kind=kind))
    np.testing.assert_allclose(corrupt(x, severity=0.0), x, atol=1e-6)
    change = [0.0]
    for severity in (1.0, 3.0, 5.0):
        y = corrupt(x, severity=severity)
        assert y.shape == x.shape and y.dtype == x.dtype
        assert float(y.min()) >= 0 and float(y.max()) <= 1
        change.append(float(jnp.abs(y - x).mean()))
    assert all(np.diff(change) > 0), change
    integers = jnp.round(255 * x).astype(jnp.uint8)
    np.testing.assert_array_equal(corrupt(integers, severity=0.0), integers)
    y = corrupt(integers, severity=3.0)
    assert y.dtype == jnp.uint8
    if kind != "shot noise":  # photons are counted: one of 255 can be another count
        np.testing.assert_allclose(y / 255, corrupt(x, severity=3.0), atol=0.02)


def test_corruptions_by_hand():
    x = grey()
    corrupt = lambda kind, severity, x=x: corruptions.corrupt(KEY, x, kind=kind, severity=severity)
    np.testing.assert_allclose(corrupt("brightness", 1), np.minimum(x + 0.1, 1), rtol=1e-5)
    mean = x.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(corrupt("contrast", 5), mean + 0.2 * (x - mean), rtol=1e-4)
    blocks = np.asarray(x).reshape(64, 4, 2, 4, 2).mean((2, 4)).repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(corrupt("pixelate", 1 / 0.6)[..., 0], blocks, rtol=1e-4)
    noise = corrupt("Gaussian noise", 1) - x
    assert abs(float(noise.std()) - 0.06) < 0.003
    photons = corrupt("shot noise", 3, jnp.full((64, 8, 8, 1), 0.5)) * 10  # 5 on average
    np.testing.assert_allclose(photons, jnp.round(photons), atol=1e-4)
    assert abs(float((corrupt("impulse noise", 5) != x).mean()) - 0.2) < 0.03
    # A dot stays as bright and becomes as wide as it should, in both directions.
    dot = jnp.zeros((1, 21, 21, 1)).at[0, 10, 10, 0].set(1)
    blurred = corrupt("blur", 4, dot)[0, :, :, 0]
    place = jnp.arange(21) - 10
    for axis in (0, 1):
        variance = (blurred.sum(axis) * place**2).sum()
        np.testing.assert_allclose([blurred.sum(), variance], [1, 1], rtol=1e-3)


def test_movements_by_hand():
    x = jnp.zeros((32, 9, 9, 1)).at[:, 4, 4].set(1.0).at[:, 4, 6].set(0.5)
    moved = corruptions.corrupt(KEY, x, kind="translate", severity=2.5)  # one pixel
    place = jnp.arange(9.0)
    centre = lambda x: jnp.stack([(x.sum((2, 3)) @ place), (x.sum((1, 3)) @ place)]) / 1.5
    np.testing.assert_allclose(jnp.linalg.norm(centre(moved) - centre(x), axis=0), 1, rtol=1e-4)
    turned = corruptions.corrupt(KEY, x, kind="rotate", severity=10)  # a quarter
    expected = np.stack([np.rot90(np.asarray(x[0]), side) for side in (1, -1)])
    for image in np.asarray(turned):
        assert min(np.abs(image - expected).max((1, 2, 3))) < 1e-4
    assert {int(image[2, 4, 0] > 0.4) for image in np.asarray(turned)} == {0, 1}  # both sides


def test_an_unknown_corruption_is_refused():
    with pytest.raises(ValueError, match="kind='fog'; it needs one of Gaussian noise, "):
        corruptions.corrupt(KEY, grey(), kind="fog", severity=1)


def verdict(changed=()):
    """Of runs in which all three parts hold, but for what is changed."""
    errors = {(group, name): 50.0 for group in robustness.ATTACKS for name in robustness.METHODS}
    errors |= {("FGSM, white", f"mixup α={alpha}"): 60.0 for alpha in (1, 8)}
    errors |= {(f"{attack}, black", "mixup α=1"): 40.0 for attack in ("FGSM", "I-FGSM")}
    errors |= dict(changed)
    runs = [
        {
            "group": group,
            "method": name,
            "seed": seed,
            "last_error": error + shift * (name != "plain"),
        }
        for (group, name), error in errors.items()
        for seed, shift in enumerate((-1, 0, 1))
    ]
    text = robustness.RULE(runs)
    assert ("PASS" in text) == ("does not hold" not in text)
    return ["holds" in text.split(f"({part}) ")[1][:8] for part in (1, 2, 3)]


def test_the_verdict_on_robustness():
    """Each part, and a change that breaks it alone."""
    assert verdict() == [True, True, True]
    assert verdict({("FGSM, white", "mixup α=8"): 51.0}) == [False, True, True]  # within noise
    assert verdict({("PGD, white", "mixup α=0.2"): 44.0}) == [True, False, True]
    assert verdict({("I-FGSM, white", "mixup α=8"): 44.0}) == [True, False, True]
    assert verdict({("I-FGSM, black", "mixup α=1"): 49.0}) == [True, True, False]


def test_robustness_trains_a_method_once_in_any_order_of_jobs(monkeypatch):
    """All groups share networks; a fake one's error says which method it learned by."""
    fits = []

    def fit(method, data, **_):
        fits.append(method)
        return jnp.full(2, method.alpha), {}

    def hits(method, keys, state, stranger, x, y):
        right = jnp.arange(10) >= state[:, None]  # of ten images as many are wrong as alpha says
        attacked = {name: jnp.stack([right] * 5, axis=1) for name in robustness.ATTACKS}
        return {"clean": right, "corruptions": jnp.stack([right] * 9, axis=1), **attacked}

    fake = types.SimpleNamespace(fit=fit)
    monkeypatch.setattr(robustness.digits_mlp, "study_of", lambda: fake)
    monkeypatch.setattr(robustness, "hits", hits)
    groups = ("clean", *robustness.ATTACKS, "corruptions")
    work = robustness.make_work(robustness.Config(seeds=2, epochs=2))
    for group, name in itertools.product(groups, ("plain", "mixup α=1", "mixup α=8")):
        runs = work(Task(group, name, range(2), lambda n: None))
        alpha = robustness.METHODS[name].alpha
        np.testing.assert_allclose([run["last_error"] for run in runs], [10 * alpha] * 2)
        assert ("hits" in runs[0]) == (group != "corruptions")
        assert "hits" not in runs[0] or unpacked(runs[0]["hits"]).sum() == 10 - alpha
    assert len(fits) == 1 + 3  # the stranger, and each method


@pytest.mark.slow
def test_robustness_smoke(tmp_path):
    assert robustness.main(robustness.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("robustness", tmp_path / "smoke")
    lines = (tmp_path / "smoke" / "runs.jsonl").read_text().splitlines()
    groups = ("clean", *robustness.ATTACKS, "corruptions")
    assert len(lines) == 2 * len(groups) * len(robustness.METHODS)
    runs = [json.loads(line) for line in lines]
    for run in runs:
        if run["group"] in robustness.ATTACKS:
            assert run["last_error"] == run["errors"][robustness.MAIN]
            assert run["errors"][-1] >= run["errors"][0]
        else:
            np.testing.assert_allclose(run["last_error"], np.mean(run["errors"]), atol=1e-4)
    # What is crafted on a stranger moves a network less than what is crafted on itself.
    plain = {(r["group"], r["seed"]): r["last_error"] for r in runs if r["method"] == "plain"}
    for attack, seed in itertools.product(("FGSM", "I-FGSM"), (0, 1)):
        clean, black, white = (
            plain[g, seed] for g in ("clean", f"{attack}, black", f"{attack}, white")
        )
        assert clean < black < white
    assert (tmp_path / "smoke" / "plot.png").stat().st_size > 20_000
