"""PixMix and AugMix on digits: the views and pictures by hand, the losses, and the rule."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.core import classify
from experiments.core.step import Task
from experiments.data import digits
from experiments.robustness import __main__ as robustness
from experiments.robustness import views

KEY = jax.random.key(0)
WEIGHTS = jax.random.normal(KEY, (64, 10))


def batch(n=50):
    x, y = digits.digits()
    return jnp.asarray(x[:n]), jnp.asarray(y[:n])


def student(x, train):
    return x.reshape(len(x), -1) @ WEIGHTS


def task(key=KEY):
    return Task(student, student, key, jnp.int32(0), batch())


def test_rows_are_moved_and_zoomed_about_their_middle():
    image = jax.random.uniform(KEY, (5, 5))
    np.testing.assert_allclose(views.along_rows(image, jnp.float32(1), jnp.float32(0)), image)
    moved = views.along_rows(image, jnp.float32(1), jnp.float32(1))
    for row, by in enumerate(range(-2, 3)):
        padded = np.pad(np.asarray(image)[row], 2)
        np.testing.assert_allclose(moved[row], padded[2 - by : 7 - by], atol=1e-6)
    large = views.along_rows(image, jnp.float32(2), jnp.float32(0))
    np.testing.assert_allclose(large[:, ::2], image[:, 1:4], rtol=1e-6)
    np.testing.assert_allclose(large[:, 1], image[:, 1:3].mean(1), rtol=1e-6)


def test_each_picture_has_a_view_of_one_of_five_kinds():
    x, _ = batch()
    seen = jax.jit(views.views)(KEY, x)
    assert seen.shape == x.shape and seen.min() >= 0 and seen.max() <= 1
    assert (jnp.abs(seen - x).max((1, 2, 3)) > 0).all() and jnp.abs(seen - x).mean() < 0.1
    # Tones change every place by itself: equal values stay equal. Movements do not.
    image = jnp.asarray(digits.digits()[0][7, ..., 0])
    made = jax.vmap(views.view, (0, None))(jax.random.split(KEY, 200), image)
    tones = [len(np.unique(m)) <= len(np.unique(image)) for m in np.asarray(made).round(4)]
    few = [len(np.unique(np.asarray(m).round(4))) <= views.GREYS for m in made]
    assert 50 < sum(tones) < 110 and 20 < sum(few) < 65  # of 200 two fifths, and one
    assert jnp.abs(made.mean(0) - image).max() < 0.25


def test_the_pictures_are_noise_of_falling_amplitudes():
    x = views.pictures()
    assert x.shape == (1000, 8, 8, 1) and x is views.pictures()
    assert (x.min((1, 2, 3)) == 0).all() and (x.max((1, 2, 3)) == 1).all()
    power = (np.abs(np.fft.fft2(x[..., 0])) ** 2).mean(0)
    np.testing.assert_allclose(power[0, 1] / power[0, 2], 4, rtol=0.15)
    np.testing.assert_allclose(power[1, 0] / power[0, 1], 1, rtol=0.15)


def test_without_strength_the_losses_are_those_of_pictures_and_views():
    x, y = batch()
    clean = classify.cross_entropy(student(x, True), y).mean()
    loss = lambda weight: views.augmix_loss(views.AugMix(weight), task())[0]
    np.testing.assert_allclose(loss(jnp.float32(0)), clean, rtol=1e-5)
    one, two = loss(jnp.float32(1)) - clean, loss(jnp.float32(2)) - clean
    np.testing.assert_allclose(two, 2 * one, rtol=1e-3)
    assert one > 1e-3
    mixed = jax.jit(lambda beta: views.pixmix_loss(views.PixMix(beta), task())[0])
    strong, weak, off = map(mixed, (1.0, 1e4, 0.0))
    assert abs(weak - off) < 0.3 * abs(strong - off)  # off: half of the pictures are views
    assert off != clean


def test_augmix_is_an_average():
    x, _ = batch()
    mixed = views.augmix(KEY, x)
    flat = views.augmix(KEY, jnp.full((50, 8, 8, 1), 0.5))
    assert mixed.shape == x.shape and mixed.min() >= 0 and mixed.max() < 1.00001
    assert jnp.abs(mixed - x).mean() > 0.005 and flat.max() < 0.75


def test_the_verdict_on_pixmix():
    def verdict(corrupted, clean, noise=20):
        errors = {("corruptions", "plain"): 30, ("clean", "plain"): 3}
        errors |= {("corruptions", "PixMix"): corrupted, ("clean", "PixMix"): clean}
        errors |= {("corruptions", "Gaussian noise"): noise}
        return robustness.PIXMIX_RULE(
            [
                {"group": group, "method": method, "seed": seed}
                | {"last_error": error + shift * (method != "plain")}
                for (group, method), error in errors.items()
                for seed, shift in enumerate((-1, 0, 1))
            ]
        )

    assert verdict(26, 3.9).endswith("PASS.") and "-6.0 ± 0.0 under" in verdict(26, 3.9)
    assert verdict(29, 3).endswith("FAIL.")  # within noise
    assert verdict(26, 4.1).endswith("FAIL.")
