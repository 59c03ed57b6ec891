"""The models of the experiments: sizes, precision, statistics, and what is drawn in training."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.models import vit
from experiments.models.resnet import Bottleneck, ConvNorm, ResNet, resnet50
from experiments.models.vit import ViT, vit_s16

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (8, 32, 32, 3))
TINY = {
    "resnet": partial(ResNet, 5, stages=(1, 1), width=8),
    "vit": partial(ViT, 5, image=32, patch=8, width=16, depth=2, heads=2),
}


@pytest.fixture(autouse=True)
def plain_promotion():
    """Flax promotes; the library's own strictness is tested elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def shapes(make, *arguments, **options):
    return nnx.eval_shape(lambda: make(*arguments, **options, rngs=nnx.Rngs(0)))


def new(make, *arguments, **options):
    """A model, compiled as one program: a third of the time of one operation after another."""
    return nnx.jit(lambda: make(*arguments, **options, rngs=nnx.Rngs(0)))()


@cache
def tiny(name):
    """Random parameters, without the seconds that compiling their initialisers takes."""
    graph, params, rest = nnx.split(shapes(TINY[name]), nnx.Param, ...)
    rng = np.random.default_rng(0)
    draw = lambda leaf: jnp.asarray(0.3 * rng.standard_normal(leaf.shape, np.float32))
    ones = lambda leaf: jnp.asarray(np.ones(leaf.shape, np.float32))
    return nnx.merge(graph, jax.tree.map(draw, params), jax.tree.map(ones, rest))


def pure(model):
    """Parameters, the other state, and (params, rest, x, ...) -> logits, statistics."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def apply(params, rest, x, **options):
        model = nnx.merge(graph, params, rest, copy=True)
        return model(x, **options), nnx.state(model, nnx.BatchStat)

    return params, rest, apply


@pytest.mark.parametrize(("make", "size"), [(resnet50, 25_557_032), (vit_s16, 22_050_664)])
def test_sizes_are_the_published_ones(make, size):
    params, rest, apply = pure(shapes(make))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == size
    assert {leaf.dtype for leaf in jax.tree.leaves((params, rest))} == {jnp.dtype("float32")}
    x = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.bfloat16)
    logits, _ = jax.eval_shape(partial(apply, train=True, key=KEY), params, rest, x)
    assert logits.shape == (2, 1000) and logits.dtype == jnp.float32


@pytest.mark.parametrize("name", TINY)
def test_a_step_in_bfloat16(name):
    """Float32 logits near those of float32; finite gradients; statistics move in training only."""
    params, rest, exact = pure(tiny(name))
    apply = pure(shapes(TINY[name], dtype=jnp.bfloat16))[2]

    def loss(params, rest):
        logits, stats = apply(params, rest, X, train=True, key=KEY)
        return (logits**2).mean(), (logits, stats)

    @jax.jit
    def run(params, rest):
        grads, (logits, stats) = jax.grad(loss, has_aux=True)(params, rest)
        expected, _ = exact(params, rest, X, train=True)
        return grads, logits, expected, stats, apply(params, stats, X)[1]

    assert "bf16[8,32,32,3]" in str(jax.make_jaxpr(apply)(params, rest, X))
    grads, logits, expected, stats, same = run(params, rest)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((grads, stats))} == {jnp.dtype("float32")}
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(grads))
    np.testing.assert_allclose(logits, expected, atol=0.05 * float(expected.std()))
    for before, after in zip(jax.tree.leaves(rest), jax.tree.leaves(stats), strict=True):
        assert (np.asarray(before) != after).any()
    jax.tree.map(np.testing.assert_array_equal, stats, same)


def test_batch_norm_by_hand():
    layer = new(ConvNorm, 3, 4, 3, 2, dtype=jnp.float32, axis_name=None)
    y = np.asarray(layer.conv(X))
    assert y.shape == (8, 16, 16, 4)
    mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
    np.testing.assert_allclose(layer(X, True), (y - mean) / np.sqrt(var + 1e-5), atol=1e-4)
    mean, var = 0.1 * mean, 0.9 + 0.1 * var
    np.testing.assert_allclose(layer(X, False), (y - mean) / np.sqrt(var + 1e-5), atol=1e-4)


def test_axis_name_makes_the_statistics_common():
    """Two halves of a batch, under one name, are normalised as the whole batch."""
    make = partial(new, ConvNorm, 3, 4, 3, dtype=jnp.float32)
    whole, half = make(axis_name=None), make(axis_name="d")
    run = nnx.vmap(lambda layer, x: layer(x, True), in_axes=(None, 0), axis_name="d")
    halves = run(half, X.reshape(2, 4, 32, 32, 3))
    np.testing.assert_allclose(halves.reshape(8, 32, 32, 4), whole(X, True), atol=1e-4)
    np.testing.assert_allclose(half.norm.var[...], whole.norm.var[...], rtol=1e-5)
    assert shapes(resnet50, axis_name="d").first.norm.axis_name == "d"


def test_a_fresh_bottleneck_is_its_shortcut():
    conv = partial(ConvNorm, dtype=jnp.float32, axis_name=None)
    make = lambda stride, rngs: Bottleneck(16, 4, stride, partial(conv, rngs=rngs))
    x = jax.random.normal(KEY, (2, 4, 4, 16))
    run = nnx.jit(lambda block, x: block(x, True))
    np.testing.assert_array_equal(run(new(make, 1), x), np.maximum(x, 0))
    assert jax.eval_shape(run, shapes(make, 2), x).shape == (2, 2, 2, 16)


def test_the_scan_is_a_loop_over_blocks():
    """Forward as written by hand; blocks are initialised apart."""

    @nnx.jit
    def both(model, x):
        graph, blocks = nnx.split(model.blocks)
        y = model.embed(x).reshape(8, 16, 16)
        y = jnp.concatenate([jnp.tile(model.token[...], (8, 1, 1)), y], 1) + model.positions[...]
        for i in range(2):
            y = nnx.merge(graph, jax.tree.map(lambda leaf, i=i: leaf[i], blocks))(y, None)
        return model(x), model.head(model.norm(y[:, 0]))

    np.testing.assert_allclose(*both(tiny("vit"), X), atol=1e-5)
    first, second = np.asarray(new(TINY["vit"]).blocks.qkv.kernel[...])
    assert (first != second).all() and first.std() == pytest.approx(0.0176, rel=0.1)


def test_drop_path_is_unbiased_and_takes_whole_rows():
    x = jnp.asarray([[1.0, 2.0], [-3.0, 4.0]], jnp.bfloat16)
    drop = jax.jit(jax.vmap(lambda key: vit.drop_path(key, x, 0.2)))
    drawn = drop(jax.random.split(KEY, 4000))
    assert drawn.dtype == x.dtype
    drawn = np.asarray(drawn, np.float32)
    kept = (drawn != 0).all(-1)
    assert (kept | (drawn == 0).all(-1)).all()
    # The rows' draws are independent, and right on average: 5 standard errors.
    error = 5 * np.sqrt(0.8 * 0.2 / 4000)
    np.testing.assert_allclose(kept.mean(0), 0.8, atol=error)
    np.testing.assert_allclose(kept.all(1).mean(), 0.64, atol=error)
    np.testing.assert_allclose(drawn[kept.all(1)][0], np.asarray(x, np.float32) / 0.8, rtol=0.01)


def test_paths_drop_in_training_only_and_in_later_blocks():
    params, _, plain = pure(tiny("vit"))
    model = shapes(TINY["vit"], drop_path=0.999)
    _, _, dropping = pure(model)

    @jax.jit
    def run(params):
        # The first block's rate is 0; the last one's leaves, by this key, its shortcut alone.
        short = jax.tree.map(lambda leaf: leaf, params)
        for layer in ("out", "down"):
            for leaf in short["blocks"][layer].values():
                leaf[...] = leaf[...].at[1].set(0)
        calls = (dropping, {}), (plain, {}), (dropping, {"train": True, "key": KEY})
        logits = [apply(params, {}, X, **options)[0] for apply, options in calls]
        return *logits, plain(short, {}, X)[0]

    test, expected_test, train, expected_train = run(params)
    np.testing.assert_array_equal(test, expected_test)
    np.testing.assert_allclose(train, expected_train, atol=1e-6)
    assert (train != test).any()
    with pytest.raises(ValueError, match="train=True and no key"):
        model(X, train=True)
    for options in ({"patch": 5}, {"heads": 3}, {"drop_path": 1.0}):
        with pytest.raises(ValueError, match=r"ViT got .*; it needs"):
            ViT(5, **({"image": 32, "width": 16, "depth": 2} | options), rngs=nnx.Rngs(0))
