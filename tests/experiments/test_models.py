"""The models of the experiments: sizes, precision, statistics, and what is drawn in training."""

from functools import cache, partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import models
from experiments.models import cnn, densenet, layers, preact
from experiments.models.cnn import CNN
from experiments.models.densenet import DenseNet
from experiments.models.mlp import MLP
from experiments.models.preact import PreActResNet
from experiments.models.resnet import Bottleneck, ConvNorm, ResNet, resnet50
from experiments.models.vit import ViT, vit_s16

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (8, 32, 32, 3))
TINY = {
    "mlp": partial(MLP, 32 * 32 * 3, 8, 5),
    "cnn": partial(CNN, 5, width=4),
    "preact": partial(PreActResNet, 5, stages=(1, 2), width=8, stem=4, last_norm=True),
    "densenet": partial(DenseNet, 5, depth=10, growth=4),
    "resnet": partial(ResNet, 5, stages=(1, 1), width=8),
    "vit": partial(ViT, 5, image=32, patch=8, width=16, depth=2, heads=2),
}


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


def preact_size(stages, widths, stem, last_norm):
    """Parameters at ten classes: BatchNorm has two a channel, convolutions no bias."""
    total, inputs = 27 * stem, stem
    for depth, width in zip(stages, widths, strict=True):
        total += 2 * inputs + 9 * inputs * width + inputs * width * (inputs != width)
        total += 2 * width + 9 * width**2
        total += (depth - 1) * 2 * (2 * width + 9 * width**2)
        inputs = width
    return total + 2 * inputs * last_norm + 10 * inputs + 10


def densenet_size(depth, growth):
    total, size = 27 * 2 * growth, 2 * growth
    for block in range(3):
        if block:
            total, size = total + 2 * size + size**2 // 2, size // 2
        for _ in range((depth - 4) // 6):
            total += 2 * size + 4 * growth * size + 8 * growth + 36 * growth**2
            size += growth
    return total + 2 * size + 10 * size + 10


CIFAR = {  # as kuangliu/pytorch-cifar has PreAct ResNets, and osmr/imgclsmob's tests the others
    "preact18": (11_171_146, preact_size((2, 2, 2, 2), (64, 128, 256, 512), 64, False)),
    "preact34": (21_279_306, preact_size((3, 4, 6, 3), (64, 128, 256, 512), 64, False)),
    "wrn28_10": (36_479_194, preact_size((4, 4, 4), (160, 320, 640), 16, True)),
    "densenet100_12": (769_162, densenet_size(100, 12)),
    "densenet190_40": (25_624_430, densenet_size(190, 40)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CIFAR)
def test_sizes_for_cifar_are_the_published_ones(name):
    make = models.make(name, num_classes=10, dtype=jnp.bfloat16)
    # To trace the counters of nnx.Rngs takes seconds, by the square of the depth.
    keys = SimpleNamespace(params=lambda: KEY)
    params, rest, apply = pure(nnx.eval_shape(lambda: make(keys)))
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert (size, size) == CIFAR[name]
    assert {leaf.dtype for leaf in jax.tree.leaves((params, rest))} == {jnp.dtype("float32")}
    x = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    logits, _ = jax.eval_shape(apply, params, rest, x)
    assert logits.shape == (2, 10) and logits.dtype == jnp.float32


def test_models_by_name():
    make = models.make("cnn", num_classes=3, width=2, dropout=0.5)
    model = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    assert model.head.kernel.shape == (16, 3) and model.dropout.rate == 0.5
    with pytest.raises(
        ValueError, match=r"make got name='preact19'; it needs one of cnn, preact8, preact18"
    ):
        models.make("preact19", num_classes=10)
    with pytest.raises(ValueError, match=r"DenseNet got depth=99; it needs"):
        DenseNet(10, depth=99, growth=12, rngs=nnx.Rngs(0))


@pytest.mark.slow
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

    assert "bf16[8," in str(jax.make_jaxpr(apply)(params, rest, X))
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


def test_drop_is_unbiased_and_takes_whole_rows():
    x = jnp.asarray([[1.0, 2.0], [-3.0, 4.0]], jnp.bfloat16)
    drop = jax.jit(jax.vmap(lambda key: layers.drop(key, x, 0.2, (2, 1))))
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


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("mlp", [(8,), (8,)]),
        ("cnn", [(32, 32, 4), (16, 16, 8), (8, 8, 16), (4, 4, 32)]),
        ("preact", [(32, 32, 8), (16, 16, 16)]),
    ],
)
def test_a_tap_sees_and_changes_each_layer(name, features):
    params, rest, apply = pure(tiny(name))
    seen = []

    def note(i, x):
        seen.append((i, x.shape))
        return x

    @jax.jit
    def run(params, rest, at):
        changing = lambda i, x: jnp.where(at == i, x[::-1], x)
        return apply(params, rest, X, tap=changing)[0]

    plain = jax.jit(apply)(params, rest, X)[0]
    same = jax.jit(partial(apply, tap=note))(params, rest, X)[0]
    np.testing.assert_array_equal(same, plain)
    assert seen == list(enumerate([X.shape, *((8, *shape) for shape in features)]))
    np.testing.assert_allclose(run(params, rest, -1), plain, atol=1e-4)
    for layer in range(len(seen)):  # rows turned round within the model come out turned round
        np.testing.assert_allclose(run(params, rest, layer), plain[::-1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["mlp", pytest.param("cnn", marks=pytest.mark.slow), "preact"])
def test_dropout_draws_in_training_only(name):
    params, rest, plain = pure(tiny(name))
    make = TINY[name]
    dropping = pure(shapes(make, dropout=0.5))[2]
    other = jax.random.key(1)

    @jax.jit
    def calls(params, rest):
        train = [dropping(params, rest, X, train=True, key=key)[0] for key in (KEY, KEY, other)]
        test = [dropping(params, rest, X, key=key)[0] for key in (KEY, None)]
        return train, test, plain(params, rest, X)[0], plain(params, rest, X, train=True)[0]

    train, test, expected, undropped = calls(params, rest)
    np.testing.assert_array_equal(train[0], train[1])
    assert (train[0] != train[2]).any() and (train[0] != undropped).any()
    for logits in test:
        np.testing.assert_array_equal(logits, expected)
    with pytest.raises(ValueError, match="train=True and no key"):
        dropping(params, rest, X, train=True)


def test_dropout_rates_may_be_traced():
    """One program gives what each plain rate gives; and what a rate of 0 gives is x itself."""
    x = jnp.ones((4000, 3), jnp.bfloat16)
    rngs = lambda: nnx.Rngs(KEY)
    traced = jax.jit(lambda rate: layers.Dropout(rate)(x, True, rngs()))
    np.testing.assert_array_equal(traced(0.0), x)
    for rate in (0.1, 0.8):
        dropped = layers.Dropout(rate)(x, True, rngs())
        np.testing.assert_array_equal(traced(rate), dropped)
        zero = np.asarray(dropped == 0)
        assert abs(zero.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / x.size)
        np.testing.assert_allclose(
            np.asarray(dropped, np.float32)[~zero], 1 / (1 - rate), rtol=0.01
        )
    shared = rngs()
    layer = layers.Dropout(0.5)
    assert (layer(x, True, shared) != layer(x, True, shared)).any()  # a draw for each call
    assert layers.Dropout(0.0)(x, True, None) is x
    with pytest.raises(ValueError, match=r"Dropout got rate=1.0; it needs a number in \[0, 1\)"):
        layers.Dropout(1.0)


def convolved(x, kernel, stride):
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(("side", "stride"), [(8, 1), (8, 2), (7, 2)])
def test_a_layer_of_the_cnn_is_a_convolution(side, stride):
    layer = new(cnn.Layer, 3, 4, stride, dtype=jnp.float32)
    x = X[:, :side, :side]
    y = convolved(x, layer.linear.kernel[...].reshape(3, 3, 3, 4), stride)
    expected = np.maximum(y, 0) / np.sqrt(1 + 1e-5)  # fresh statistics: mean 0, variance 1
    np.testing.assert_allclose(layer(x, False), expected, atol=1e-5)


@pytest.mark.parametrize(("inputs", "stride"), [(3, 2), (4, 1)])
def test_a_pre_activation_block_by_hand(inputs, stride):
    """And what dropout drops lies between the two convolutions."""
    x = jnp.resize(X, (2, 8, 8, inputs))
    by = jax.lax.conv_general_dilated
    make = partial(new, preact.Block, inputs, 4, stride, dtype=jnp.float32, by=by)
    block = make(0.0)
    unit = 1 / np.sqrt(1 + 1e-5)
    y = np.maximum(x, 0) * unit
    hidden = np.maximum(convolved(y, block.conv1.kernel[...], stride), 0) * unit
    shortcut = x if stride == 1 else convolved(y, block.shortcut.kernel[...], stride)
    expected = shortcut + convolved(hidden, block.conv2.kernel[...], 1)
    np.testing.assert_allclose(block(x, False, None), expected, atol=1e-5)
    block.dropout = layers.Dropout(0.5)
    dropped = block(x, True, nnx.Rngs(0))
    y = nnx.relu(layers.normed(block.norm1, x, True))
    hidden = nnx.relu(layers.normed(block.norm2, block.conv1(y), True))
    hidden = layers.drop(nnx.Rngs(0)(), hidden, 0.5, hidden.shape)
    shortcut = x if stride == 1 else block.shortcut(y)
    np.testing.assert_allclose(dropped, shortcut + block.conv2(hidden), atol=1e-5)


def test_dense_layers_keep_what_they_get():
    x = X[:2, :8, :8]
    layer = new(densenet.Layer, 3, 4, dtype=jnp.float32)
    y = nnx.jit(lambda layer, x: layer(x, False))(layer, x)
    assert y.shape == (2, 8, 8, 7)
    np.testing.assert_array_equal(y[..., :3], x)
    unit = 1 / np.sqrt(1 + 1e-5)
    narrow = convolved(np.maximum(x, 0) * unit, layer.narrow.conv.kernel[...], 1)
    grown = convolved(np.maximum(narrow, 0) * unit, layer.grow.conv.kernel[...], 1)
    np.testing.assert_allclose(y[..., 3:], grown, atol=1e-5)
    half = new(densenet.Transition, 4, dtype=jnp.float32)
    y = convolved(np.maximum(grown, 0) * unit, half.half.conv.kernel[...], 1)
    y = y.reshape(2, 4, 2, 4, 2, 2).mean((2, 4))
    np.testing.assert_allclose(half(grown, False), y, atol=1e-5)
