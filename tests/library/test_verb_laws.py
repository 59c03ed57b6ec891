"""The laws of the verbs, on three kinds of mask: without positions, bool, and soft."""

from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from tests.library.law_cases import FEW, FIRST, batch, named, pers, positions, real_shapes, same
from tests.library.methods import METHODS, PAIRINGS

KEY = jax.random.key(7)


@pytest.fixture(scope="module")  # so that pytest runs a method's tests one after another
def method(request):
    return request.param


few_methods = pytest.mark.parametrize(
    "method", [named(m) for m in METHODS if m.name in FIRST], indirect=True
)


@cache
def program(method, per):
    return jax.jit(lambda key: method(key, FEW, per=per))


def draw(method, per="example"):
    """A small mix, drawn under jit: eagerly each operation would compile alone."""
    return program(method, per)(KEY)


def steps(method):
    """What a train step does with a mix, and keys."""
    x, labels = batch(FEW), jnp.arange(FEW[0])

    def step(key):
        mix = method(key, FEW, per="pair")
        return mix, jm.blend(mix, x), jm.blend_labels(mix, labels, num_classes=9)

    return step, jax.random.split(KEY, 2)


def stack(results):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


@few_methods  # eagerly each operation compiles alone; the docstrings' examples run so, too
def test_eager_is_jit(method):
    step, keys = steps(method)
    same(stack([jax.jit(step)(key) for key in keys]), stack([step(key) for key in keys]))


@few_methods
@real_shapes
def test_off_and_a_batch_of_one_leave_everything_as_it_is(method, shape, per, dtype):
    @jax.jit
    def apply(key, x, y, alpha):
        mix = method(key, (x.shape[0], *shape[1:]), alpha=alpha, per=per)
        soft = jm.blend_labels(mix, y.astype(int), num_classes=5)
        return jm.blend(mix, x, dtype=dtype), jm.blend_labels(mix, y), soft

    key = jax.random.key(3)
    x, y = np.asarray(batch(shape, dtype)), np.arange(shape[0], dtype=np.float32)
    one_hot = np.eye(5, dtype=np.float32)[: shape[0]]
    if method.options:
        chex.assert_trees_all_equal(apply(key, x, y, 0.0), (x, y, one_hot))
    chex.assert_trees_all_equal(apply(key, x[:1], y[:1], 1.0), (x[:1], y[:1], one_hot[:1]))


@few_methods
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16], ids=str)
def test_the_dtype_in_is_the_dtype_out(method, dtype):
    x = batch(FEW, dtype)
    mix = draw(method)
    mixed = jm.blend(mix, x)
    chex.assert_type(mixed, dtype)
    exact = np.asarray(jm.blend(mix, x.astype(jnp.float32)))
    eps = float(jnp.finfo(dtype).eps)  # one rounding of the float32 result, not one each step
    np.testing.assert_allclose(np.asarray(mixed, np.float32), exact, rtol=eps / 2, atol=0)
    chex.assert_type(jm.blend_labels(mix, x[:, 0, 0]), dtype)
    losses = jm.pair_loss(mix, lambda o, t: t, None, x[:, 0, 0, 0])
    chex.assert_type(losses, jnp.float32)  # half precision would overflow under loss scaling


@few_methods
def test_uint8_is_rounded_or_goes_to_a_float(method):
    x = batch(FEW, jnp.uint8)
    mix = draw(method)
    exact = np.asarray(jm.blend(mix, x.astype(jnp.float32)))
    np.testing.assert_allclose(jm.blend(mix, x, dtype=jnp.float32), exact, rtol=1e-6)
    rounded = jm.blend(mix, x, dtype=jnp.uint8)
    chex.assert_type(rounded, jnp.uint8)
    assert np.abs(np.asarray(rounded, np.float32) - exact).max() <= 0.5 + 1e-4


@few_methods
def test_inputs_are_untouched(method):
    x, labels = np.asarray(batch(FEW)), np.arange(6)
    x_before, labels_before = x.copy(), labels.copy()
    mix = draw(method, "batch")
    jm.blend(mix, x)
    jm.blend_labels(mix, labels, num_classes=6)
    jm.keep(mix, labels > 2)
    jm.resize_mix(mix, (10, 14)[: method.rank])
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(labels, labels_before)


@few_methods
@pers
def test_blend_is_the_equation(method, per):
    x, n = np.asarray(batch(FEW)), FEW[0]
    mix = draw(method, per)  # which another law has compiled
    mask, expected = positions(mix.mask, FEW), np.zeros_like(x)
    for i, r, c in np.ndindex(*FEW):
        m = np.float32(mask[i, r, c])
        expected[i, r, c] = m * x[i, r, c] + (1 - m) * x[n - 1 - i, r, c]
    np.testing.assert_allclose(jm.blend(mix, x), expected, rtol=1e-6)
    y = np.eye(n, dtype=np.float32)
    lam = np.asarray(mix.lam)[:, None]
    np.testing.assert_allclose(
        jm.blend_labels(mix, jnp.arange(n), num_classes=n), lam * y + (1 - lam) * y[::-1], rtol=1e-6
    )


@few_methods
def test_blending_constants_and_sums(method):
    mix = draw(method)
    x, y = batch(FEW), batch(FEW)[..., ::-1]
    same(jm.blend(mix, jnp.full_like(x, 3.0)), jnp.full_like(x, 3.0))
    same(jm.blend(mix, x + y), jm.blend(mix, x) + jm.blend(mix, y), 1e-5)
    mixed, partner = jm.blend(mix, x), jm.take_partner(mix, x)
    slack = 1e-4  # two roundings at 250
    assert bool((mixed <= jnp.maximum(x, partner) + slack).all())
    assert bool((mixed >= jnp.minimum(x, partner) - slack).all())
    labels = jm.blend_labels(mix, jnp.arange(6), num_classes=6)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)


@few_methods
def test_pair_loss_is_cross_entropy_to_the_blended_label(method):
    mix = draw(method)
    logits = jax.random.normal(KEY, (6, 10))
    ids = jnp.array([0, 3, 3, 9, 1, 2])

    def on_ids(logits):
        def loss(logits, ids):
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), ids[:, None], axis=1)[:, 0]

        return jm.pair_loss(mix, loss, logits, ids).mean()

    def dense(logits):
        target = jm.blend_labels(mix, ids, num_classes=10)
        return -(target * jax.nn.log_softmax(logits)).sum(axis=1).mean()

    same(jax.value_and_grad(on_ids)(logits), jax.value_and_grad(dense)(logits))


@few_methods
def test_gradients_are_finite_through_inputs_and_alpha(method):
    x = batch(FEW)

    @jax.grad
    def gradient(inputs):
        alpha, x = inputs
        mix = method(KEY, FEW, alpha=alpha, per="example")
        labels = jm.blend_labels(mix, jnp.arange(6.0))
        return (jm.blend(mix, x) ** 2).sum() + (labels**2).sum()

    alphas = jnp.array([0.0, 1e-6, 0.01, 0.2, 1.0, 100.0, 1e4])
    d_alpha, d_x = jax.jit(jax.vmap(lambda alpha: gradient((alpha, x))))(alphas)
    chex.assert_tree_all_finite((d_alpha, d_x))
    assert bool((d_x != 0).any())
    soft = method.name in ("mixup", "fademix", "one_of")  # a box has no gradient
    assert bool((d_alpha[3:5] != 0).all()) or not soft


@few_methods
def test_every_pairing_serves_every_method(method):
    shape = (8, 4, 3)
    x = batch(shape)
    indices = {name: jm.partner_index(pairing, 8) for name, pairing in PAIRINGS.items()}

    def use(pairing):
        mix = method(KEY, shape, per="example", pairing=pairing)
        return jm.take_partner(mix, x), jm.blend(mix, x)

    static = jax.jit(lambda: {name: use(pairing) for name, pairing in PAIRINGS.items()})()
    drawn = jax.jit(lambda indices: {name: use(index) for name, index in indices.items()})(indices)
    for name, index in indices.items():
        same(static[name][0], x[index], 0)
        same(static[name], drawn[name])


@few_methods
def test_works_under_shard_map_and_pmap(method):
    shape = (2, 5, 7)
    x = batch((16, 5, 7))

    def step(key, x):
        mix = method(key, shape, per="example")
        return jm.blend(mix, x), jm.blend_labels(mix, x[:, 0, 0])

    keys = jax.random.split(KEY, 8)
    stacked = x.reshape(8, 2, 5, 7, 3)
    expected = jax.vmap(step)(keys, stacked)
    same(jax.pmap(step)(keys, stacked), expected)
    spec = PartitionSpec("data")

    def shard(keys, x):
        return step(keys[0], x)

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        mapped = jax.jit(jax.shard_map(shard, in_specs=spec, out_specs=spec))
        result = mapped(*jax.device_put((keys, x), NamedSharding(mesh, spec)))
        result = jax.tree.map(np.asarray, result)
    same(result, jax.tree.map(lambda a: np.asarray(a).reshape(16, *a.shape[2:]), expected))


@few_methods
def test_nested_batches(method):
    x = {"rgb": batch(FEW), "extra": [batch(FEW, jnp.bfloat16, 1), None]}
    mix = draw(method, "batch")
    mixed = jm.blend(mix, x)
    chex.assert_trees_all_equal_shapes_and_dtypes(mixed, x)
    same(mixed["rgb"], jm.blend(mix, x["rgb"]), 0)
    again = jm.blend(mix, x, other=jm.take_partner(mix, x))
    # Two programs may round a product and a sum once or twice: by one digit of the dtype.
    same(again["rgb"], mixed["rgb"], 2**-22)
    same(again["extra"], mixed["extra"], 2**-7)


class Variants(chex.TestCase):
    """The whole use of a mix, in each way that chex knows to call a function."""

    @chex.all_variants(with_pmap=False)
    def test_sample_and_apply(self):
        [method] = (m for m in METHODS if m.name == FIRST[-1])  # eagerly each takes seconds
        x, ids = batch(FEW), jnp.arange(6)

        @self.variant
        def use(key, x, ids):
            mix = method(key, FEW, per="example")
            loss = jm.pair_loss(mix, lambda o, t: o * t, mix.lam, ids.astype(jnp.float32))
            return jm.blend(mix, x), loss, jm.mixed_accuracy(mix, jnp.eye(6), ids)

        mix = draw(method)
        lam, other = np.asarray(mix.lam), np.asarray(ids)[::-1]
        expected = (
            jm.blend(mix, x),
            jnp.asarray(lam * (lam * np.asarray(ids) + (1 - lam) * other), jnp.float32),
            jnp.asarray(lam * 1.0 + (1 - lam) * (other == np.asarray(ids)), jnp.float32),
        )
        same(use(KEY, x, ids), expected)
