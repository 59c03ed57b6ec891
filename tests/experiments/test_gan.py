"""GANs: the discriminators' losses by hand, what measures samples, and the script."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy import integrate, stats

from experiments.core import loop
from experiments.gan import __main__ as gan
from experiments.gan import mixtures as toys
from experiments.gan import step as gan_train
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
RING, GRID = toys.ring(), toys.grid()
RNG = np.random.default_rng


class Point(nnx.Module):
    """A generator that gives one point, whatever the noise; it counts its calls in training."""

    def __init__(self, rngs):
        self.point, self.calls = nnx.Param(jnp.array([0.5, -1.0])), nnx.Variable(jnp.zeros(()))

    def __call__(self, x, *, train=False, key=None):
        self.calls[...] += train
        return jnp.broadcast_to(self.point[...], (x.shape[0], 2))


class Plane(nnx.Module):
    """A linear discriminator."""

    def __init__(self, rngs):
        self.weight = nnx.Param(jnp.array([0.7, -0.4]))

    def __call__(self, x, *, train=False, key=None):
        return x @ self.weight[...][:, None]


def recipe(**options):
    return gan_train.Recipe(Point, Plane, optax.sgd(0.1), 3, **options)


def bce(logit, target):
    p = 1 / (1 + np.exp(-logit))
    return -target * np.log(p) - (1 - target) * np.log(1 - p)


def losses(real, **options):
    one = recipe(**options)
    _, scores = gan_train.gan_step(one, gan_train.init(one, KEY), KEY, jnp.asarray(real))
    return scores


def test_sliced_wasserstein_is_scipy_s_on_each_line():
    x, y = toys.sample(RNG(0), RING, (200,)), toys.sample(RNG(1), GRID, (200,))
    angles = np.pi * np.arange(6) / 6
    lines = [np.array([np.cos(a), np.sin(a)]) for a in angles]
    expected = np.mean([stats.wasserstein_distance(x @ line, y @ line) for line in lines])
    np.testing.assert_allclose(toys.sliced_wasserstein(x, y, directions=6), expected, rtol=1e-5)
    assert toys.sliced_wasserstein(x, x[::-1]) == 0
    # A shift by v costs |v · line| on each line, 2/π |v| on average.
    shift = toys.sliced_wasserstein(x, x + np.float32([3, 4]))
    np.testing.assert_allclose(shift, 10 / np.pi, rtol=1e-2)


def test_modes_and_good_samples_by_hand():
    assert RING.centres.shape == (8, 2) and GRID.centres.shape == (25, 2)
    place = lambda mode, offset, n: np.tile(RING.centres[mode] + [0, offset * RING.sigma], (n, 1))
    # 80 samples: the due of a mode is 10, and a tenth of it one sample.
    x = np.concatenate([place(0, 2.9, 40), place(3, -2.9, 1), place(5, 3.1, 39)])
    assert toys.coverage(x, RING) == (2, 41 / 80)
    assert toys.coverage(np.concatenate([x, x]), RING) == (2, 41 / 80)
    more = np.concatenate([x, place(0, 0, 20)])  # 100 samples: the one of mode 3 is too few
    assert toys.coverage(more, RING) == (1, 61 / 100)


def test_mixtures_are_as_they_say():
    for mixture in (RING, GRID):
        x = toys.sample(RNG(2), mixture, (50, 400))
        assert x.shape == (50, 400, 2) and x.dtype == np.float32
        x = x.reshape(-1, 2)
        modes, good = toys.coverage(x, mixture, share=0.8)
        assert modes == len(mixture.centres)
        assert abs(good - (1 - np.exp(-4.5))) < 4e-3  # Rayleigh within 3σ
        nearest = np.linalg.norm(x[:, None] - mixture.centres, axis=-1).min(axis=1)
        np.testing.assert_allclose((nearest**2).mean(), 2 * mixture.sigma**2, rtol=0.05)
    gaps = np.linalg.norm(GRID.centres[:, None] - GRID.centres, axis=-1)
    np.testing.assert_allclose(np.sort(gaps, axis=1)[:, 1:3], 1)
    np.testing.assert_allclose(np.linalg.norm(RING.centres, axis=1), 2)


def test_each_row_s_target_is_its_share_of_the_real_one():
    x, target = gan_train.shown(recipe(alpha=0.2), KEY, jnp.ones((5000, 1)), jnp.zeros((5000, 1)))
    np.testing.assert_allclose(x[:, 0], target, atol=1e-6)
    np.testing.assert_allclose(target[:5000] + target[5000:], 1, atol=1e-6)
    assert len(np.unique(target[:5000])) > 3000  # one λ for each example
    np.testing.assert_allclose(target[:5000].var(), 1 / (4 * 1.4), rtol=0.03)
    noisy, same = gan_train.shown(recipe(noise=0.3), KEY, jnp.ones((5000, 2)), jnp.zeros((5000, 2)))
    np.testing.assert_array_equal(same, np.repeat([1, 0], 5000))
    np.testing.assert_allclose((noisy - same[:, None]).std(), 0.3, rtol=0.03)


def test_without_mixing_it_is_the_plain_discriminator():
    """α = 0 by definition, and the limit for α to 0, where λ is a fair coin."""
    real, fake = (jax.random.normal(key, (64, 2)) for key in jax.random.split(KEY))
    x, target = gan_train.shown(recipe(), KEY, real, fake)
    np.testing.assert_array_equal(x, np.concatenate([real, fake]))
    np.testing.assert_array_equal(target, np.repeat([1.0, 0.0], 64))
    coin, side = gan_train.shown(recipe(alpha=1e-6), KEY, real, fake)
    assert set(np.unique(side)) == {0, 1} and 10 < side[:64].sum() < 54
    by_row = lambda x, target: np.array(sorted(np.column_stack([x, target]).tolist()))
    np.testing.assert_array_equal(by_row(coin, side), by_row(x, target))
    given = np.asarray(real)[None]
    loss = {alpha: losses(given, alpha=alpha)["discriminator_loss"] for alpha in (0.0, 1e-6)}
    np.testing.assert_allclose(loss[1e-6], loss[0.0], rtol=1e-6)


def test_losses_by_hand():
    real = toys.sample(RNG(3), RING, (1, 10))
    weight, point = np.array([0.7, -0.4]), np.array([0.5, -1.0])
    own, fake = real[0] @ weight, point @ weight
    found = losses(real)
    plain = (bce(own, 1).mean() + bce(fake, 0)) / 2
    np.testing.assert_allclose(found["discriminator_loss"], plain, rtol=1e-5)
    smooth = (bce(own, 0.9).mean() + bce(fake, 0)) / 2
    np.testing.assert_allclose(losses(real, smoothing=0.1)["discriminator_loss"], smooth, rtol=1e-5)
    steep = plain + 3 / 2 * (weight**2).sum()
    np.testing.assert_allclose(losses(real, penalty=3.0)["discriminator_loss"], steep, rtol=1e-5)
    # The generator meets the discriminator after its step, whose gradient is by hand, too.
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    grad = ((sigmoid(own) - 1) @ real[0] / 10 + sigmoid(fake) * point) / 2
    expected = bce(point @ (weight - 0.1 * grad), 1)
    np.testing.assert_allclose(found["generator_loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_mixup_loss_is_the_formula_s(alpha):
    """E BCE(d(λ x + (1 - λ) g), λ) over λ ~ Beta(α, α), by quadrature."""
    real, weight, point = np.array([2.0, 1.0]), np.array([0.7, -0.4]), np.array([0.5, -1.0])
    loss = lambda lam: bce((lam * real + (1 - lam) * point) @ weight, lam)
    # With u = λ^α up to ½ the density has no pole, and the other half is its mirror image.
    density = lambda u: (1 - u ** (1 / alpha)) ** (alpha - 1)
    both = lambda u: density(u) * (loss(u ** (1 / alpha)) + loss(1 - u ** (1 / alpha)))
    mean = lambda f: integrate.quad(f, 0, 0.5**alpha)[0]
    found = losses(np.tile(np.float32(real), (1, 200_000, 1)), alpha=alpha)
    expected = mean(both) / (2 * mean(density))
    np.testing.assert_allclose(found["discriminator_loss"], expected, atol=2e-3)


class Painter(nnx.Module):
    """A generator of pictures, with BatchNorm."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, momentum=0.9, rngs=rngs)

    def __call__(self, x, *, train=False, key=None):
        return self.norm(self.linear(x), use_running_average=not train).reshape(-1, 4, 4, 1)


class Critic(nnx.Module):
    """A discriminator of pictures, with noise in training."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x, *, train=False, key=None):
        x = x.reshape(x.shape[0], -1)
        return self.linear(x * jax.random.bernoulli(key, 0.5, x.shape) if train else x)


@pytest.mark.slow
def test_a_step_takes_pictures_and_many_discriminator_steps():
    """What is kept of BatchNorm comes from the generator's own step alone."""
    one = gan_train.Recipe(Painter, Critic, optax.sgd(0.1), 3, alpha=jnp.float32(0.2))
    start = gan_train.init(one, KEY)
    real = jax.random.normal(KEY, (3, 10, 4, 4, 1))
    step = jax.jit(lambda state, real: gan_train.gan_step(one, state, KEY, real)[0])
    many, single = step(start, real), step(start, real[:1])
    assert int(many.step) == 1
    far = lambda a, b: float(optax.tree.norm(jax.tree.map(jnp.subtract, a.params, b.params)))
    critic = start.discriminator
    assert far(many.discriminator, critic) > 1.5 * far(single.discriminator, critic) > 0
    assert far(many.generator, start.generator) > 0
    kept = jax.tree.leaves(gan_train.init(recipe(), KEY).generator.stats)
    after, _ = gan_train.gan_step(recipe(), gan_train.init(recipe(), KEY), KEY, jnp.ones((3, 4, 2)))
    assert kept == [0] and jax.tree.leaves(after.generator.stats) == [1]
    assert gan_train.generate(one, many, KEY, 6).shape == (6, 4, 4, 1)


def test_a_seed_is_the_same_run_whatever_is_beside_it():
    """All seeds at once, and one compile for methods that differ in numbers."""
    traced = []

    def recipe_of(alpha):
        traced.append(alpha)
        return recipe(alpha=alpha)

    fit, keys, ticks = gan_train.seeds(recipe_of), jax.random.split(KEY, 3), []
    chunks = [toys.sample(RNG(i), RING, (3, 4, 1, 8)) for i in range(2)]
    options = {"samples": 5, "tick": ticks.append}
    plain = fit(0.0, keys, chunks, **options)
    count = len(traced)
    mixed = fit(1.0, keys, chunks, **options)
    assert len(traced) == count and ticks == [1] * 4
    assert plain.shape == (3, 2, 5, 2) and (plain != mixed).all()
    assert (plain[:, 0] != plain[:, 1]).all()
    fewer = fit(1.0, keys[1:2], [chunk[1:2] for chunk in chunks], **options)
    np.testing.assert_allclose(fewer, mixed[1:2], rtol=1e-5)


def test_results_are_of_the_last_and_of_the_best_check():
    real = toys.sample(RNG(5), RING, (2, 400))
    point = np.broadcast_to(RING.centres[0], (2, 400, 2))
    samples = np.stack([point, toys.sample(RNG(6), RING, (2, 400)), point], axis=1)
    for seed, run in enumerate(toys.measure(RING, (0, 1), samples, real)):
        assert (run["seed"], run["modes"], run["missed"], run["most_modes"]) == (seed, 1, 7, 8)
        assert run["good"] == 100 and run["modes_curve"] == (1, 8, 1)
        assert run["least_distance"] == run["distance_curve"][1] < run["distance"] / 5


@pytest.mark.slow
def test_smoke_prints_writes_and_goes_on(tmp_path, capsys):
    assert gan.main(gan.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("gan", tmp_path / "smoke")
    printed = capsys.readouterr().out
    for word in ("mixup α=0.2", "real samples", "ring", "grid", "Pass rule"):
        assert word in printed
    assert [path.name for path in tmp_path.iterdir()] == ["smoke"]  # real results stay
    out = tmp_path / "smoke"
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    text, table = (out / "runs.jsonl").read_text(), (out / "table.md").read_text()
    runs = [json.loads(line) for line in text.splitlines()]
    assert len(runs) == 2 * 2 * (len(gan.METHODS) + 1)
    drawn = [run for run in runs if "samples" in run]
    assert {run["method"] for run in drawn} == set(gan.METHODS)
    assert {(run["group"], run["seed"]) for run in drawn} == {("grid", 0)}
    assert np.shape(drawn[0]["samples"]) == (len(gan.SHOWN), gan.DOTS, 2)
    assert gan.main(gan.Config(out=tmp_path, smoke=True)) == 0
    assert (out / "runs.jsonl").read_text() == text and (out / "table.md").read_text() == table


def test_both_rules_are_judged():
    def judged(ring, grid):
        runs = [
            {"group": group, "method": method, "seed": seed, "missed": missed + seed}
            for group, gain in {"ring": ring, "grid": grid}.items()
            for method, missed in (("plain", gain), ("mixup α=0.2", 0))
            for seed in range(3)
        ]
        return [word in gan.verdicts(runs) for word in ("above 0): PASS.", "both): PASS.")]

    assert judged(1, 1) == [True, True] and judged(0, 1) == [True, False]
    assert judged(0, 0) == judged(-1, 1) == [False, False]


def test_steps_that_cannot_be_checked_are_refused(tmp_path):
    with pytest.raises(loop.Stop, match="steps got 30"):
        gan.main(gan.Config(out=tmp_path, steps=30))
