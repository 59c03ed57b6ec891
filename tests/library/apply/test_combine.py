"""Rows by a matrix, and weights for it."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.statistics import KEYS, within

KEY = jax.random.key(0)
W = np.random.default_rng(0).dirichlet(np.ones(6), 9).astype(np.float32)
X = np.random.default_rng(1).normal(size=(6, 3, 4)).astype(np.float32)
IDS = np.array([0, 3, 3, -1, 2, 7], np.int32)


def test_the_product_by_hand():
    batch = {"x": X, "pixels": (X * 40 + 128).astype(np.uint8), "y": IDS, "age": X[:, 0, 0]}
    found = jax.jit(lambda w, x: jm.combine(w, x, num_classes=4, dtype=jnp.float32))(W, batch)
    hot = (IDS[:, None] == np.arange(4)).astype(np.float32)  # zeros for -1 and 7
    expected = {
        "x": np.einsum("ij,jkl->ikl", W, X),
        "pixels": np.einsum("ij,jkl->ikl", W, batch["pixels"].astype(np.float64)),
        "y": W @ hot,
        "age": W @ batch["age"],
    }
    for name, x in expected.items():
        assert found[name].dtype == jnp.float32
        np.testing.assert_allclose(found[name], x, rtol=2e-6, atol=1e-6)


def test_dtypes():
    for dtype in (jnp.bfloat16, jnp.float16, jnp.complex64):
        found = jm.combine(W, jnp.asarray(X, dtype))
        assert found.dtype == dtype
        exact = np.einsum("ij,jkl->ikl", W, np.asarray(jnp.asarray(X, dtype), np.complex64))
        eps = float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(np.asarray(found, np.complex64), exact, rtol=2 * eps, atol=eps)
    assert jm.combine(jnp.asarray(W, jnp.bfloat16), X, dtype=jnp.bfloat16).dtype == jnp.bfloat16


def test_a_mix_is_such_a_matrix():
    mix = jm.sample_dirichlet(KEY, (6,), k=3, per="example")
    rows = jm.blend_labels(mix, jnp.arange(6), num_classes=6)
    np.testing.assert_allclose(jm.combine(rows, X), jm.blend(mix, jnp.asarray(X)), atol=1e-6)


def test_mistakes():
    with pytest.raises(TypeError, match=r"int32.*take_partner"):
        jm.combine(jnp.ones((2, 6), int), X)
    with pytest.raises(ValueError, match=r"shape \(6,\).*\(N, B\)"):
        unwrap(jm.combine)(jnp.ones(6), X)
    with pytest.raises(ValueError, match=r"x\['a'\] of shape \(6, 3, 4\).*5 examples"):
        jm.combine(jnp.ones((2, 5)), {"a": X})
    with pytest.raises(ValueError, match="batch first"):
        jm.combine(jnp.ones((2, 5)), 1.0)
    for x in (IDS, X > 0, X.astype(np.uint8)):
        with pytest.raises(TypeError, match=r"float dtype.*num_classes"):
            jm.combine(W, x)
    with pytest.raises(TypeError, match="int8"):
        jm.combine(W, X, dtype=jnp.int8)
    with pytest.raises(TypeError, match="num_classes='4'"):
        unwrap(jm.combine)(W, IDS, num_classes="4")
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="gamma="):
            jm.zeta_weights(KEY, 4, gamma=wrong)
        with pytest.raises(ValueError, match="gamma="):
            jm.anchor_weights(IDS, gamma=wrong)
        with pytest.raises(ValueError, match="alpha="):
            jm.dirichlet_weights(KEY, 3, 4, alpha=wrong)
    with pytest.raises(ValueError, match="batch=0"):
        jm.zeta_weights(KEY, 0)
    with pytest.raises(ValueError, match="n=0"):
        jm.dirichlet_weights(KEY, 0, 4)
    with pytest.raises(ValueError, match=r"shape \(2,\).*\(3,\)"):
        unwrap(jm.dirichlet_weights)(KEY, 3, 4, alpha=jnp.ones(2))
    with pytest.raises(TypeError, match="ids"):
        unwrap(jm.anchor_weights)(jnp.ones(4))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.8, np.inf])
def test_zeta(gamma):
    weights = np.asarray(jax.jit(lambda gamma: jm.zeta_weights(KEY, 7, gamma=gamma))(gamma))
    series = np.where(np.arange(1, 8) == 1, 1, np.arange(1.0, 8) ** -gamma)
    np.testing.assert_allclose(np.sort(weights)[:, ::-1], np.tile(series / series.sum(), (7, 1)),
                               rtol=2e-6)  # fmt: skip
    np.testing.assert_array_equal(np.diagonal(weights), weights.max(axis=1))


def test_the_order_of_zeta_is_uniform():
    """Each of the others has each of the other ranks equally often."""
    draw = lambda key: jm.zeta_weights(key, 4, gamma=1.0)
    weights = np.asarray(jax.jit(jax.vmap(draw))(KEYS))
    rank = np.round(weights.max(axis=2, keepdims=True) / weights).astype(int)
    for i in range(4):
        assert (rank[:, i, i] == 1).all()
        for j in set(range(4)) - {i}:
            for place in (2, 3, 4):
                within(rank[:, i, j] == place, 1 / 3)
    within((rank[:, 0, 1] == 2) & (rank[:, 1, 0] == 2), 1 / 9)  # rows are independent
    orders = (rank[:, 0, 1] == 2) & (rank[:, 0, 2] == 3)
    within(orders, 1 / 6)


def test_dirichlet():
    alpha = jnp.array([0.5, 2.0])
    draw = lambda key: jm.dirichlet_weights(key, 2, 3, alpha=alpha)
    weights = np.asarray(jax.jit(jax.vmap(draw))(KEYS), np.float64)
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-6)
    for i, a in enumerate((0.5, 2.0)):
        within(weights[:, i, 1], 1 / 3)
        within((weights[:, i, 1] - 1 / 3) ** 2, 2 / 9 / (3 * a + 1))  # p (1 - p) / (αK + 1)
        within(weights[:, i, 0] * weights[:, i, 2], a / (3 * (3 * a + 1)))


def test_weights_at_their_limits():
    @jax.jit
    def at(number):
        return (
            jm.zeta_weights(KEY, 5, gamma=number),
            jm.dirichlet_weights(KEY, 5, 5, alpha=number),
            jm.anchor_weights(jnp.array([0, 1, 0, 1, 1]), gamma=number),
        )

    same = np.eye(5)
    for number in (jnp.nan, -1.0):
        for weights in at(number):
            np.testing.assert_array_equal(weights, same)
    np.testing.assert_array_equal(at(0.0)[1], same)
    np.testing.assert_array_equal(at(0.0)[2], same)
    np.testing.assert_array_equal(at(1.0)[2], same)
    np.testing.assert_allclose(at(0.0)[0], 0.2, rtol=1e-6)
    np.testing.assert_array_equal(at(jnp.inf)[0], same)
    np.testing.assert_allclose(at(jnp.inf)[1], 0.2, rtol=1e-6)
    means = np.array([[0.5, 0, 0.5, 0, 0], [0, 1 / 3, 0, 1 / 3, 1 / 3]])[[0, 1, 0, 1, 1]]
    np.testing.assert_allclose(at(jnp.inf)[2], means, rtol=1e-6)
    wide = jm.dirichlet_weights(KEY, 7, 3, alpha=0.0)  # row i is example i mod B
    np.testing.assert_array_equal(wide.argmax(axis=1), np.arange(7) % 3)
    for alpha in (1e-38, 1e-3, 1e4):
        weights = jm.dirichlet_weights(KEY, 50, 6, alpha=alpha)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


def test_anchors_keep_the_means_of_clusters():
    clusters = jnp.array([5, -1, 5, 5, -1], jnp.int8)
    for gamma in (0.2, 3.0):
        moved = jm.combine(jm.anchor_weights(clusters, gamma=gamma), X[:5])
        for of in (np.array([0, 2, 3]), np.array([1, 4])):
            mean = X[of].mean(axis=0)
            np.testing.assert_allclose(moved[of].mean(axis=0), mean, atol=1e-6)
            expected = mean + (X[of] - mean) / np.sqrt(gamma)
            np.testing.assert_allclose(moved[of], expected, atol=1e-5)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_the_examples_are_gathered_and_not_the_weights(axis_type):
    batch, n, rng = 64, 512, np.random.default_rng(2)
    weights = rng.dirichlet(np.ones(batch), n).astype(np.float32)
    x, ids = rng.normal(size=(batch, 4, 2)).astype(np.float32), np.arange(batch) % 10
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        given = jax.device_put((weights, (x, ids)), rows)
        step = jax.jit(lambda w, tree: jm.combine(w, tree, num_classes=10))
        program = step.lower(*given).compile()
        found = step(*given)
        for array in found:
            assert array.sharding.is_equivalent_to(rows, array.ndim)
    assert set(Program(program).collectives()) == {"all-gather"}
    moved = Program(program).collectives()["all-gather"]
    assert moved <= 4 * batch * (4 * 2 + 10)  # the batch, its labels dense at most; no weights
    for array, plain in zip(found, jm.combine(weights, (x, ids), num_classes=10), strict=True):
        np.testing.assert_allclose(array, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("draw", ["zeta", "dirichlet"])
def test_weights_drawn_in_the_step_do_not_move(draw):
    batch, n = 64, {"zeta": 64, "dirichlet": 512}[draw]
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec("data"))

    def step(key, x):
        if draw == "zeta":
            weights = jm.zeta_weights(key, batch)
        else:
            weights = jm.dirichlet_weights(key, n, batch)
        return jm.combine(jax.lax.with_sharding_constraint(weights, rows), x)

    x = np.random.default_rng(3).normal(size=(batch, 40)).astype(np.float32)
    x = jax.device_put(x, rows)
    program = jax.jit(step).lower(KEY, x).compile()
    assert Program(program).collectives() == {"all-gather": 4 * batch * 40}  # of x, to the byte
    found, alone = jax.jit(step)(KEY, x), jax.jit(step)(KEY, np.asarray(x))
    np.testing.assert_allclose(found, alone, atol=1e-5)
