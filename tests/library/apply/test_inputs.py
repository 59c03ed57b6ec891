"""What `blend` and `select` do with users' inputs: layout, hidden values, energy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.by_hand import mixed

KEY = jax.random.key(0)
HALF = jm.Mix(jm.reverse(), jnp.array([[True, True, False, False]]), jnp.full(2, 0.5))


def test_energy_comes_back():
    noise = jax.random.normal(KEY, (5, 20_000))
    for mix in (mixed([0.2] * 5), jm.sample_cutmix(KEY, (5, 20_000))):
        out = jm.restore_energy(mix, jm.blend(mix, noise))
        np.testing.assert_allclose(out.std(axis=1), 1, atol=0.02)
        np.testing.assert_allclose(out[2], noise[2], rtol=1e-6)  # its own partner: nothing lost
    half = jm.restore_energy(mixed([0.5] * 5), noise.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    with pytest.raises(TypeError, match="needs floats"):
        jm.restore_energy(mixed([0.5] * 5), jnp.ones((5, 2), int))


def test_the_energy_of_several_comes_back():
    noise = jax.random.normal(KEY, (6, 20_000))
    weights = np.array([[0.5, 0.3, 0.2], [1, 1, 1], [1, 0, 0], [0.2, 0.2, 0.6]] * 2)[:6]
    mix = jm.from_weights(jnp.asarray(weights, jnp.float32))
    mixed = jm.blend(mix, noise)
    out = jm.restore_energy(mix, mixed)
    shares = weights / weights.sum(axis=1, keepdims=True)
    energy = np.sqrt(np.square(shares).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(out, mixed / energy, rtol=1e-5)
    np.testing.assert_allclose(out.std(axis=1), 1, atol=0.02)
    box = jm.sample_ricap(KEY, (6, 4, 5), alpha=1.0)  # in parts, so that nothing is quieter
    x = jax.random.normal(KEY, (6, 4, 5))
    np.testing.assert_array_equal(jm.restore_energy(box, jm.blend(box, x)), jm.blend(box, x))


def test_the_energy_of_an_example_that_is_mixed_in_twice():
    """As its own partner in a later layer, or as the partner of two layers."""
    noise = jax.random.normal(KEY, (5, 20_000))
    index = jnp.array([1, 1, 0, 3, 2])  # in both layers; 1 and 3 are their own
    weights = np.full((5, 3), 1 / 3, np.float32)
    for pairings in ((jm.roll(), index), (index, index), (index, jm.roll())):
        mix = jm.from_weights(jnp.asarray(weights), pairings=pairings)
        shares = np.asarray(jm.blend_labels(mix, jnp.arange(5), num_classes=5))
        mixed = jm.blend(mix, noise)
        expected = mixed / np.sqrt(np.square(shares).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(jm.restore_energy(mix, mixed), expected, rtol=1e-5, atol=1e-6)


def test_channels_first_by_moving_the_axis():
    """The documented way: it cuts space, and adds no pass to a step."""

    def mixed(key, images):
        x = jnp.moveaxis(images, 1, -1)
        mix = jm.sample_cutmix(key, x.shape[:-1])
        return jnp.moveaxis(jm.blend(mix, x, dtype=jnp.float32), -1, 1)

    def convolved(images):
        kernel = jnp.ones((4, 3, 3, 3))
        numbers = ("NCHW", "OIHW", "NCHW")
        return jax.lax.conv_general_dilated(images, kernel, (2, 2), "SAME", None, None, numbers)

    images = jax.random.bits(KEY, (8, 3, 64, 48), jnp.uint8)
    mask = jm.sample_cutmix(KEY, (8, 64, 48)).mask
    expected = jnp.where(mask[:, None], images, images[::-1]).astype(jnp.float32)
    np.testing.assert_array_equal(jax.jit(mixed)(KEY, images), expected)

    def passes(step, *arrays):
        return Program(jax.jit(step).lower(*arrays).compile()).passes(8 * 64 * 48 // 4)

    plain = passes(lambda images: convolved(images.astype(jnp.float32) / 2), images)
    assert len(passes(lambda *a: convolved(mixed(*a)), KEY, images)) == len(plain)


def test_the_remedy_for_a_misfit_names_the_layout():
    mix = jm.sample_cutmix(KEY, (2, 8, 6))
    with pytest.raises(ValueError, match=r"channels last.*moveaxis"):
        jm.blend(mix, jnp.zeros((2, 3, 8, 6)))


def test_hidden_values_have_no_influence():
    nan = jnp.nan
    amount = jnp.array([[1.0, 1, nan, nan], [nan, nan, 3, 1]])
    np.testing.assert_allclose(jm.reweigh(HALF, amount).lam[0], 1 / 3)
    logits = jnp.array([[0.0, -jnp.inf], [-jnp.inf, 0.0]])
    own = jm.Mix(jm.reverse(), jnp.ones(1), jnp.ones(2))
    np.testing.assert_array_equal(jm.decoupled_loss(own, logits, jnp.array([0, 1])), [0, 0])
    features = jnp.array([[[nan], [nan], [1.0], [3.0]]] * 2)
    np.testing.assert_array_equal(jm.pool_given(HALF, features), [[2], [2]])
    soft = jm.Mix(jm.reverse(), jnp.array([1.0, 0.0]), jnp.array([1.0, 0.0]))
    x = jnp.array([1.0, nan])
    np.testing.assert_array_equal(jm.blend(soft, x), [1, 1])
    np.testing.assert_array_equal(jm.blend_labels(soft, x), [1, 1])
    loss = jm.pair_loss(soft, lambda o, t: t, None, x)
    np.testing.assert_array_equal(loss, [1, 1])
    infinite = jm.blend(soft, jnp.array([1.0, jnp.inf]))
    np.testing.assert_array_equal(infinite, [1, 1])


def test_select_twice_undoes_itself_where_pairs_share_a_mask():
    x = jnp.arange(4 * 25).reshape(4, 5, 5)
    for per, undone in (("batch", True), ("pair", True), ("example", False)):
        mix = jm.sample_cutmix(jax.random.key(3), (4, 5, 5), per=per)
        assert bool((jm.select(mix, jm.select(mix, x)) == x).all()) == undone
