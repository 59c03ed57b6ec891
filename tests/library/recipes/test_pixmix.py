"""PixMix: its rounds by NumPy, the distribution of its draws, and what stays."""

from functools import partial
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import stats

import jax_mixup as jm
from tests.library.statistics import seed, within

KEY = jax.random.key(5)
N = 20_000


def rounds_by_hand(rng, x, view, picture, k, beta):
    """The paper's algorithm for single values, each with draws of its own."""
    out = []
    for _ in range(N):
        mixed = view if rng.random() < 0.5 else x
        for _ in range(rng.integers(k + 1)):
            other = view if rng.random() < 0.5 else picture
            is_sum = rng.random() < 0.5
            if rng.random() < 0.5:
                a, b = rng.beta(beta, 1), rng.beta(1, beta)
            else:
                a, b = 1 + rng.beta(1, beta), -rng.beta(1, beta)
            if is_sum:
                mixed = (a * (2 * mixed - 1) + b * (2 * other - 1) + 1) / 2
            else:
                mixed = (2 * mixed) ** a * max(2 * other, 1e-37) ** b / 2
            mixed = min(max(mixed, 0.0), 1.0)
        out.append(mixed)
    return np.array(out).round(6)


def drawn(*name, x=0.3, view=0.7, picture=0.6, **options):
    ones = jnp.ones((N, 1))
    run = jax.jit(partial(jm.pixmix, augment=lambda key, x: jnp.full_like(x, view), **options))
    return (
        np.asarray(run(seed("pixmix", *name), x * ones, picture * ones))[:, 0]
        .astype(float)
        .round(6)
    )


@pytest.mark.parametrize("k, beta", [(1, 3.0), (4, 3.0), (2, 0.6)])
def test_the_distribution_is_that_of_the_algorithm(k, beta):
    expected = rounds_by_hand(np.random.default_rng(k), 0.3, 0.7, 0.6, k, beta)
    found = drawn(k, k=k, beta=beta)
    assert stats.ks_2samp(found, expected).pvalue > 1e-4
    for value in (0.3, 0.7):  # no round
        within(found == value, 0.5 / (k + 1))


def test_no_rounds():
    found = drawn("none", k=0)
    assert set(found) == {0.3, 0.7}
    within(found > 0.5, 0.5)
    call = jax.jit(partial(jm.pixmix, augment=lambda key, x: x))
    x = jax.random.uniform(KEY, (8, 3))
    for off in (0.0, -1.0, jnp.nan):
        np.testing.assert_array_equal(call(KEY, x, 1 - x, beta=off), x)
    np.testing.assert_allclose(call(KEY, x, 1 - x, beta=jnp.inf), x, atol=1e-6)  # of no strength


def test_each_example_has_its_own_draws_and_each_round_its_own_view():
    keys = []

    def augment(key, x):
        jax.debug.callback(lambda key: keys.append(tuple(key.tolist())), jax.random.key_data(key))
        return 1 - x

    x = jnp.full((64, 4, 3), 0.3)
    mixed = jax.block_until_ready(jax.jit(partial(jm.pixmix, augment=augment, k=3))(KEY, x, 2 * x))
    jax.effects_barrier()
    assert len(set(keys)) == len(keys) == 4
    values = np.asarray(mixed).reshape(64, -1)
    np.testing.assert_array_equal(values, values[:, :1].repeat(12, 1))  # all positions alike
    assert len(set(values[:, 0].tolist())) > 32
    assert (values >= 0).all() and (values <= 1).all()


def test_the_ends_of_the_range_stay_finite():
    x = jnp.tile(jnp.array([0.0, 0.0, 1.0, 1.0, 0.5]), (2000, 1))
    pictures = jnp.tile(jnp.array([0.0, 1.0, 0.0, 1.0, 0.0]), (2000, 1))
    mixed = jm.pixmix(KEY, x, pictures, lambda key, x: x[:, ::-1])
    assert np.isfinite(mixed).all() and mixed.min() >= 0 and mixed.max() <= 1


def test_dtypes_and_a_batch_of_one():
    for dtype in (jnp.bfloat16, jnp.float16):
        x = jax.random.uniform(KEY, (6, 2, 3)).astype(dtype)
        found = jm.pixmix(KEY, x, 1 - x, lambda key, x: x[:, ::-1])
        assert found.dtype == dtype
        exact = jm.pixmix(KEY, *(y.astype(jnp.float32) for y in (x, 1 - x)),
                          lambda key, x: x[:, ::-1])  # fmt: skip
        np.testing.assert_array_equal(found, exact.astype(dtype))
    assert jm.pixmix(KEY, jnp.ones((1, 2)), jnp.ones((1, 2)), lambda key, x: x).shape == (1, 2)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("batch", [8, 4 * 8])
def test_sharded_images_stay_where_they_are(axis_type, batch):
    x = np.asarray(jax.random.uniform(KEY, (batch, 8, 3)))
    single = jax.vmap(lambda key, x: x * jax.random.uniform(key))
    augment = lambda key, x: single(jax.random.split(key, len(x)), x)
    run = jax.jit(partial(jm.pixmix, augment=lambda key, x: x[:, ::-1], k=8))
    plain = run(KEY, x, 1 - x)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        found = run(KEY, *jax.device_put((x, 1 - x), rows))
        assert found.sharding.is_equivalent_to(rows, found.ndim)
    np.testing.assert_allclose(found, plain, atol=1e-6)
    assert jm.pixmix(KEY, x, x, augment).shape == x.shape  # the vmap of the docstring


def test_black_pixels_leave_the_gradient_finite():
    x = jax.random.uniform(KEY, (32, 6)).at[:, :3].set(0.0)
    mixed = lambda x, beta: jm.pixmix(KEY, x, 0.5 * x + 0.2, lambda key, x: x, beta=beta).sum()
    slopes = jax.jit(jax.grad(mixed, (0, 1)))(x, 3.0)
    assert all(np.isfinite(slope).all() for slope in slopes) and slopes[1] != 0


def test_images_and_pictures_may_lie_differently():
    x = np.asarray(jax.random.uniform(KEY, (8, 4, 3)))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        everywhere, rows = (NamedSharding(mesh, PartitionSpec(*axis)) for axis in ((), ("data",)))
        run = jax.jit(partial(jm.pixmix, augment=lambda key, x: x[:, ::-1]))
        one = run(KEY, jax.device_put(x, everywhere), jax.device_put(1 - x, rows))
        other = run(KEY, jax.device_put(x, rows), jax.device_put(1 - x, everywhere))
    plain = jax.jit(partial(jm.pixmix, augment=lambda key, x: x[:, ::-1]))(KEY, x, 1 - x)
    for found in (one, other):
        np.testing.assert_allclose(found, plain, atol=1e-6)


def test_mistakes():
    x, same = jnp.ones((4, 2, 3)), lambda key, x: x
    call = unwrap(jm.pixmix)
    with pytest.raises(TypeError, match=r"images of dtype uint8.*astype\(jnp.float32\) / 255"):
        jm.pixmix(KEY, x.astype(jnp.uint8), x, same)
    with pytest.raises(TypeError, match="pictures of dtype int32"):
        jm.pixmix(KEY, x, x.astype(int), same)
    with pytest.raises(ValueError, match=r"pictures of shape \(3, 2, 3\).*crop or resize"):
        call(KEY, x, x[:3], same)
    with pytest.raises(TypeError, match="augment=None; it needs a function"):
        call(KEY, x, x, None)
    with pytest.raises(ValueError, match=r"from augment images of shape \(4, 2\)"):
        jm.pixmix(KEY, x, x, lambda key, x: x[..., 0])
    with pytest.raises(ValueError, match="k=-1"):
        jm.pixmix(KEY, x, x, same, k=-1)
    with pytest.raises(ValueError, match=r"beta=0\.0; it needs a number > 0"):
        jm.pixmix(KEY, x, x, same, beta=0.0)
    with pytest.raises(ValueError, match=r"beta of shape \(4,\)"):
        jm.pixmix(KEY, x, x, same, beta=jnp.ones(4))
    for bad in (lambda key, x: None, lambda key, x: (255 * x).astype(jnp.uint8)):
        with pytest.raises(TypeError, match=r"from augment .*floats in \[0, 1\]"):
            call(KEY, x, x, bad)
    assert call(KEY, x, x, same, k=2.0).shape == x.shape
