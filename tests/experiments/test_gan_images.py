"""GANs on pictures: README's step, the networks, what measures digits, and the script."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy import linalg

from experiments.core import loop
from experiments.gan import step as gan_train
from experiments.gan_images import __main__ as gan_images
from experiments.gan_images import scores as gan_digits
from experiments.models import dcgan
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
RNG = np.random.default_rng


class Plane(nnx.Module):
    """A linear discriminator."""

    def __init__(self):
        self.weight = nnx.Param(jnp.linspace(-1, 1, 4))

    def __call__(self, x):
        return x.reshape(len(x), -1) @ self.weight[...][:, None]


def readme_step(real, fake):
    source = block("discriminator_step")
    assert len(source.strip().splitlines()) <= 12
    step, model = run(source)["discriminator_step"], Plane()
    loss = step(model, nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param), KEY, real, fake)
    return float(loss), np.asarray(model.weight[...])


def test_readme_block():
    """BCE(d(λ real + (1 - λ) fake), λ), with a λ for each example, and its gradient by hand."""
    real, fake = RNG(0).normal(size=(2, 500, 2, 2, 1)).astype(np.float32)
    names = run(block("discriminator_step"))
    lam = np.asarray(names["jm"].sample_mixup(KEY, (500,), alpha=0.2, per="example").lam)
    assert len(np.unique(lam)) > 300
    x = (lam * real.T + (1 - lam) * fake.T).T.reshape(500, 4)
    weight = np.linspace(-1, 1, 4)
    p = 1 / (1 + np.exp(-x @ weight))
    expected = -(lam * np.log(p) + (1 - lam) * np.log(1 - p)).mean()
    loss, after = readme_step(real, fake)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(after, weight - 0.5 * ((p - lam) @ x) / 500, rtol=1e-3, atol=1e-5)


def test_fakes_that_do_not_fit_are_refused():
    real = jnp.ones((6, 2, 2, 1))
    for fake in (jnp.ones((5, 2, 2, 1)), jnp.ones((6, 4)), jnp.ones((6, 2, 2, 1), jnp.bfloat16)):
        with pytest.raises(ValueError, match="blend got other of shape"):
            readme_step(real, fake)
    with pytest.raises(TypeError, match="dtype="):  # bytes: scale them as the generator's are
        readme_step(real.astype(jnp.uint8), real)
    recipe = gan_train.Recipe(dcgan.Generator, dcgan.Discriminator, optax.sgd(0.1), 3, alpha=-1.0)
    with pytest.raises(ValueError, match="alpha"):
        gan_train.shown(recipe, KEY, real, real)


@pytest.mark.slow
def test_networks():
    generator = dcgan.Generator(3, width=2, rngs=nnx.Rngs(0))
    discriminator = dcgan.Discriminator(width=2, rngs=nnx.Rngs(0))
    x = generator(jax.random.normal(KEY, (5, 3)), train=True)
    assert x.shape == (5, 8, 8, 1) and 0 < float(x.min()) < float(x.max()) < 1
    assert float(x.std(axis=0).max()) > 1e-3  # the noise matters
    logits = discriminator(x, train=True)
    assert logits.shape == (5, 1)
    # No example sees another, so that R1's gradient is its own.
    other = discriminator(x.at[2].add(0.5), train=True)
    assert (np.asarray(other != logits)[:, 0] == (np.arange(5) == 2)).all()
    squares = jnp.arange(16).reshape(1, 4, 4, 1)
    found = dcgan._patches(squares)[0].reshape(4, 4).tolist()
    assert found == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_frechet_distance_by_matrix_roots():
    rng = RNG(0)
    x, y = rng.normal(size=(200, 5)), rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + 1
    a, b = np.cov(x.T), np.cov(y.T)
    means = ((x.mean(0) - y.mean(0)) ** 2).sum()
    expected = means + np.trace(a + b - 2 * np.real(linalg.sqrtm(a @ b)))
    np.testing.assert_allclose(gan_digits.frechet(x, y), expected, rtol=1e-6)
    np.testing.assert_allclose(gan_digits.frechet(x, x + 2), 5 * 4, rtol=1e-9)
    np.testing.assert_allclose(gan_digits.frechet(x, 3 * x - 2 * x.mean(0)), 4 * np.trace(a))
    flat = np.zeros((200, 5))  # all the same: no covariance, and no NaN
    np.testing.assert_allclose(gan_digits.frechet(flat, x - x.mean(0)), np.trace(a), rtol=1e-6)


def test_divergence_and_shares_by_hand():
    shares = gan_digits.shares(np.array([1, 1, 1, 9]))
    assert shares.tolist() == [0, 0.75, 0, 0, 0, 0, 0, 0, 0, 0.25]
    assert gan_digits.shares(np.array([], int)).tolist() == [0] * 10
    even = np.full(10, 0.1)
    found = gan_digits.divergence(shares, even)
    np.testing.assert_allclose(found, 0.75 * np.log(7.5) + 0.25 * np.log(2.5))
    assert gan_digits.divergence(even, even) == 0


def test_classes_need_a_tenth_of_their_due_in_good_samples():
    """The first ten numbers of a row are its logits, here ten times what it is given."""

    def look(x):
        logits = 10 * x.reshape(len(x), 64)[:, :10]
        return logits, jax.nn.softmax(logits)

    def place(label, n, strength=1.0):
        x = np.zeros((n, 64), np.float32)
        x[:, label] = strength
        return x

    judge = gan_digits.Scorer(look, RNG(0).normal(size=(50, 10)), np.full(10, 0.1), 1.0)
    parts = [place(0, 90), place(1, 1), place(2, 2), place(3, 7, 0.3)]  # of 100; e^3 is not sure
    found = gan_digits.score(judge, np.concatenate(parts).reshape(-1, 8, 8, 1))
    assert found["classes"] == 3 and found["good"] == 93
    shares = np.array([0.9, 0.01, 0.02, 0.07])
    np.testing.assert_allclose(found["kl"], (shares * np.log(10 * shares)).sum(), atol=1e-5)
    parts[1] = place(1, 1, 0.3)
    assert gan_digits.score(judge, np.concatenate(parts).reshape(-1, 8, 8, 1))["classes"] == 2


def test_real_digits_score_well_and_others_do_not():
    data = gan_digits.data()
    assert data.x.shape[0] == 1197 and data.x_test.shape[0] == 600
    judge = gan_digits.scorer()
    assert judge.accuracy > 0.9 and judge.features.shape == (600, 32)
    np.testing.assert_allclose(judge.shares.sum(), 1)
    x = np.asarray(data.x)
    real, one = (
        gan_digits.score(judge, x[:600]),
        gan_digits.score(judge, x[:600][data.y[:600] == 3]),
    )
    noise = gan_digits.score(judge, RNG(0).random((600, 8, 8, 1)).astype(np.float32))
    assert real["classes"] == 10 and one["classes"] == 1 and one["kl"] > 1.5
    assert real["distance"] < one["distance"] / 10 and real["distance"] < noise["distance"] / 10
    features, probabilities = judge.look(data.x_test)
    np.testing.assert_allclose(features, judge.features, rtol=1e-5)
    assert (features >= 0).all() and (probabilities.argmax(1) == data.y_test).mean() > 0.9
    checks = np.stack([x[:600], np.repeat(x[:1], 600, 0)])[None]
    (found,) = gan_digits.measure(judge, (0,), checks)
    assert found["seed"] == 0 and found["classes"] == 1 and found["missed"] == 9
    assert found["least_distance"] == found["distance_curve"][0] == real["distance"]


def test_samples_are_tiled_in_rows():
    images = np.arange(5)[:, None, None] * np.ones((1, 8, 8), int)
    tiled = gan_digits._tiled(images)
    assert tiled.shape == (18, 18) and not tiled[0].any() and not tiled[:, 9].any()
    assert [int(tiled[i, j]) for i in (4, 13) for j in (4, 13)] == [0, 1, 2, 3]


@pytest.mark.slow
def test_smoke_prints_writes_and_goes_on(tmp_path, capsys):
    assert gan_images.main(gan_images.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("gan_images", tmp_path / "smoke")
    printed = capsys.readouterr().out
    for word in (*gan_images.METHODS, gan_images.FLOOR, "Pass rule"):
        assert word in printed
    out = tmp_path / "smoke"
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "runs.jsonl").read_text()
    runs = [json.loads(line) for line in text.splitlines()]
    assert len(runs) == 2 * (len(gan_images.METHODS) + 1)
    drawn = [one for one in runs if "samples" in one]
    assert {one["method"] for one in drawn} == set(gan_images.METHODS)
    samples = np.array(drawn[0]["samples"])
    assert samples.shape == (len(gan_images.SHOWN), gan_images.DRAWN, 8, 8)
    assert samples.min() >= 0 and samples.max() <= 16
    assert gan_images.main(gan_images.Config(out=tmp_path, smoke=True)) == 0
    assert (out / "runs.jsonl").read_text() == text


def test_steps_that_cannot_be_checked_are_refused(tmp_path):
    with pytest.raises(loop.Stop, match="steps got 35"):
        gan_images.main(gan_images.Config(out=tmp_path, steps=35))
