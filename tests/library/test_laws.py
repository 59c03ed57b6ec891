"""The laws that every method obeys, whatever it draws."""

from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from tests.library.methods import METHODS, PAIRINGS, PER

KEY = jax.random.key(7)
SHAPE = (6, 5, 7)
AXIS_TYPES = (AxisType.Auto, AxisType.Explicit)
ALPHAS = (0.0, 1e-3, 0.2, 1.0, 32.0, 1e4, -1.0)

# A method's tests go to one worker, where they share what is compiled. What changes another row's
# mix, and no more, is for the slow runs; so are laws of the verbs, but for the first three rows: a
# mask without positions, a bool one and a soft one.
SLOW = ("sometimes", "keep")
FIRST = ("mixup", "cutmix", "mixup-or-cutmix")


def rows(quick):
    marks = lambda m: [pytest.mark.xdist_group(m.name), *[pytest.mark.slow] * (not quick(m.name))]
    return [pytest.param(m, id=m.name, marks=marks(m)) for m in METHODS]


@pytest.fixture(scope="module")  # so that pytest runs a method's tests one after another
def method(request):
    yield request.param
    jax.clear_caches()  # what they compiled goes with them, before it is gigabytes


methods = pytest.mark.parametrize("method", rows(lambda name: name not in SLOW), indirect=True)
few_methods = pytest.mark.parametrize("method", rows(lambda name: name in FIRST), indirect=True)
pers = pytest.mark.parametrize("per", PER)


@cache
def program(method, shape, options):
    return jax.jit(lambda key: method(key, shape, **dict(options)))


def draw(method, shape, *, key=KEY, **options):
    """What the method draws under jit: eagerly each operation would compile alone."""
    return program(method, shape, tuple(sorted(options.items())))(key)


def positions(mix, shape):
    """The mask as NumPy, with an entry for every row and position."""
    mask = np.asarray(mix.mask)
    mask = mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    return np.broadcast_to(mask, shape)


def batch(shape, dtype=jnp.float32, channels=3):
    """Rows whose values name row and position, so that nothing can hide."""
    size = int(np.prod(shape)) * channels
    x = jnp.arange(size).reshape(*shape, channels) % 251
    return x.astype(dtype)


def same(a, b, tolerance=1e-6):
    """Equal trees; floats to 1e-6, for the compiler contracts products and sums differently."""
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)
    chex.assert_trees_all_equal_shapes_and_dtypes(a, b)


# Odd sizes, so that nothing fits by chance; each case compiles for every method.
real_shapes = pytest.mark.parametrize(
    "shape, per, dtype",
    [((5, 9, 7), "example", "uint8"), ((4, 5, 4, 3), "pair", "bfloat16")],
    ids=["2-D", "3-D"],
)


@methods
@pers
def test_the_value_is_what_the_contract_says(method, per):
    mix = draw(method, SHAPE, per=per)
    b, *spatial = SHAPE
    np.testing.assert_array_equal(jm.partner_index(mix.partner, b), np.arange(b)[::-1])
    assert mix.mask.dtype == (jnp.bool_ if method.hard else jnp.float32)
    leading = {1, b} if method.name == "keep" or (per == "batch" and not method.own) else {b}
    assert mix.mask.shape[0] in leading
    assert mix.mask.shape[1:] == tuple(spatial)[: method.rank]
    chex.assert_shape(mix.lam, (b,))
    chex.assert_type(mix.lam, jnp.float32)
    for share in (np.asarray(mix.mask, np.float32), np.asarray(mix.lam)):
        assert ((share >= 0) & (share <= 1)).all()


@methods
@real_shapes
def test_label_weight_is_the_share_really_taken(method, shape, per, dtype):
    """For odd sizes, many keys and several α, which one program draws."""
    batch, total = shape[0], np.float32(np.prod(shape[1:]))
    own = np.arange(batch).reshape(-1, *[1] * (len(shape) - 1))
    x = np.broadcast_to(own, shape).astype(jnp.dtype(dtype))  # rows of their own number

    @jax.jit
    @jax.vmap
    def drawn(key, alpha):
        mix = method(key, shape, alpha=alpha, per=per, pairing=jm.neighbours())
        return mix.lam, mix.mask, jm.blend(mix, x, dtype=dtype)

    keys, alphas = jax.random.split(jax.random.key(2), 24), jnp.tile(jnp.array([0.3, 1, 4]), 8)
    lam, mask, mixed = (np.asarray(a) for a in drawn(keys, alphas))
    mask = mask.reshape(mask.shape + (1,) * (len(shape) + 1 - mask.ndim))
    mask = np.broadcast_to(mask, (len(keys), *shape)).reshape(*lam.shape, -1)
    some = (lam > 0) & (lam < 1)
    assert some.any()
    if mask.dtype == bool and method.exact:
        count = lambda hits: hits.reshape(*lam.shape, -1).sum(axis=2).astype(np.float32)
        np.testing.assert_array_equal(lam, count(mask) / total)
        others = jm.partner_index(jm.neighbours(), batch) != np.arange(batch)  # else all are alike
        taken = count(mixed.astype(np.float32) == own) / total
        np.testing.assert_array_equal(lam[:, others], taken[:, others])
    elif method.exact:
        np.testing.assert_allclose(lam, mask.astype(np.float64).mean(axis=2), rtol=1e-6)


@methods
def test_one_key_one_mix(method):
    same(draw(method, SHAPE, per="example"), draw(method, SHAPE, per="example"), 0)
    others = [draw(method, SHAPE, key=k, per="example").lam for k in jax.random.split(KEY, 16)]
    assert len({tuple(np.asarray(lam)) for lam in others}) > 1


@methods
def test_the_grain_of_the_draw(method):
    if method.own:
        pytest.skip("each row's draw is its own")
    shape = (16, 31, 29)
    mixes = jax.jit(lambda: {per: method(KEY, shape, per=per) for per in PER})()
    lam = {per: np.asarray(mix.lam) for per, mix in mixes.items()}
    if method.name == "keep":  # which leaves rows 1 and 14 alone
        lam = {per: np.delete(values, [1, 14]) for per, values in lam.items()}
    assert len(set(lam["batch"])) == 1
    assert len(set(lam["example"])) > len(lam["example"]) // 2
    np.testing.assert_array_equal(lam["pair"], lam["pair"][::-1])
    assert len(set(lam["pair"])) > len(lam["pair"]) // 4
    pair = positions(mixes["pair"], shape)
    np.testing.assert_array_equal(pair, pair[::-1])


def steps(method):
    """What a train step does with a mix, and keys."""
    x, labels = batch(SHAPE), jnp.arange(SHAPE[0])

    def step(key):
        mix = method(key, SHAPE, per="pair")
        return mix, jm.blend(mix, x), jm.blend_labels(mix, labels, num_classes=9)

    return step, jax.random.split(KEY, 2)


def stack(results):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


@few_methods  # eagerly each operation compiles alone; the docstrings' examples run so, too
def test_eager_is_jit(method):
    step, keys = steps(method)
    same(stack([jax.jit(step)(key) for key in keys]), stack([step(key) for key in keys]))


@methods
def test_jit_is_vmap_is_scan(method):
    step, keys = steps(method)
    jitted = stack([jax.jit(step)(key) for key in keys])
    same(jax.jit(jax.vmap(step))(keys), jitted)
    _, scanned = jax.jit(lambda: jax.lax.scan(lambda carry, key: (carry, step(key)), 0, keys))()
    same(scanned, jitted)


@methods
def test_a_sharded_batch_gives_the_same(method):
    shape = (16, 5, 7)
    x, labels = batch(shape), jnp.arange(16) % 10

    @jax.jit
    def step(key, x, labels):
        mix = method(key, shape, per="example")
        mixed = jm.blend(mix, x)
        loss = jm.pair_loss(
            mix, lambda o, t: (o - t) ** 2, mixed.mean((1, 2, 3)), labels.astype(float)
        )
        accuracy = jm.mixed_accuracy(mix, mixed.reshape(16, -1)[:, :10], labels)
        return mixed, jm.blend_labels(mix, labels, num_classes=10), loss, accuracy

    expected = jax.tree.map(np.asarray, step(KEY, x, labels))
    for axis_type in AXIS_TYPES if method.name in FIRST else AXIS_TYPES[-1:]:
        mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
        with jax.set_mesh(mesh):
            sharding = NamedSharding(mesh, PartitionSpec("data"))
            results = step(KEY, *jax.device_put((x, labels), sharding))
            for result in results:
                assert result.sharding.is_equivalent_to(sharding, result.ndim)
            same(jax.tree.map(np.asarray, results), expected, 1e-5)  # sums over 105 positions


@methods
def test_one_trace_for_all_values_of_traced_options(method):
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def lam(key, alpha, options):
        return method(key, SHAPE, alpha=alpha, per="example", **options).lam

    for i, alpha in enumerate(ALPHAS):
        options = {name: values[i % len(values)] for name, values in method.traced.items()}
        drawn = lam(KEY, alpha, options)
        assert bool(jnp.isfinite(drawn).all())
        if alpha <= 0 and method.options:
            assert (drawn == 1).all()


@methods
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


@methods
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16], ids=str)
def test_the_dtype_in_is_the_dtype_out(method, dtype):
    x = batch(SHAPE, dtype)
    mix = draw(method, SHAPE, per="example")
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
    x = batch(SHAPE, jnp.uint8)
    mix = draw(method, SHAPE, per="example")
    exact = np.asarray(jm.blend(mix, x.astype(jnp.float32)))
    np.testing.assert_allclose(jm.blend(mix, x, dtype=jnp.float32), exact, rtol=1e-6)
    rounded = jm.blend(mix, x, dtype=jnp.uint8)
    chex.assert_type(rounded, jnp.uint8)
    assert np.abs(np.asarray(rounded, np.float32) - exact).max() <= 0.5 + 1e-4


@few_methods
def test_inputs_are_untouched(method):
    x, labels = np.asarray(batch(SHAPE)), np.arange(6)
    x_before, labels_before = x.copy(), labels.copy()
    mix = draw(method, SHAPE, per="batch")
    jm.blend(mix, x)
    jm.blend_labels(mix, labels, num_classes=6)
    jm.keep(mix, labels > 2)
    jm.resize_mix(mix, (10, 14)[: method.rank])
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(labels, labels_before)


@methods
@pers
def test_blend_is_the_equation(method, per):
    x, n = np.asarray(batch(SHAPE)), SHAPE[0]
    mix = draw(method, SHAPE, per=per)  # which another law has compiled
    mask, expected = positions(mix, SHAPE), np.zeros_like(x)
    for i, r, c in np.ndindex(*SHAPE):
        m = np.float32(mask[i, r, c])
        expected[i, r, c] = m * x[i, r, c] + (1 - m) * x[n - 1 - i, r, c]
    np.testing.assert_allclose(jm.blend(mix, x), expected, rtol=1e-6)
    y = np.eye(n, dtype=np.float32)
    lam = np.asarray(mix.lam)[:, None]
    np.testing.assert_allclose(
        jm.blend_labels(mix, jnp.arange(n), num_classes=n), lam * y + (1 - lam) * y[::-1], rtol=1e-6
    )


@methods
def test_blending_constants_and_sums(method):
    mix = draw(method, SHAPE, per="example")
    x, y = batch(SHAPE), batch(SHAPE)[..., ::-1]
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
    mix = draw(method, SHAPE, per="example")
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


@methods
def test_gradients_are_finite_through_inputs_and_alpha(method):
    x = batch(SHAPE)

    @jax.grad
    def gradient(inputs):
        alpha, x = inputs
        mix = method(KEY, SHAPE, alpha=alpha, per="example")
        labels = jm.blend_labels(mix, jnp.arange(6.0))
        return (jm.blend(mix, x) ** 2).sum() + (labels**2).sum()

    alphas = jnp.array([0.0, 1e-6, 0.01, 0.2, 1.0, 100.0, 1e4])
    d_alpha, d_x = jax.jit(jax.vmap(lambda alpha: gradient((alpha, x))))(alphas)
    chex.assert_tree_all_finite((d_alpha, d_x))
    assert bool((d_x != 0).any())
    soft = method.name in ("mixup", "fademix", "one_of")  # a box has no gradient
    assert bool((d_alpha[3:5] != 0).all()) or not soft


@methods
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
    x = {"rgb": batch(SHAPE), "extra": [batch(SHAPE, jnp.bfloat16, 1), None]}
    mix = draw(method, SHAPE, per="batch")
    mixed = jm.blend(mix, x)
    chex.assert_trees_all_equal_shapes_and_dtypes(mixed, x)
    same(mixed["rgb"], jm.blend(mix, x["rgb"]), 0)
    same(jm.blend(mix, x, other=jm.take_partner(mix, x)), mixed, 0)


class Variants(chex.TestCase):
    """The whole use of a mix, in each way that chex knows to call a function."""

    @chex.all_variants(with_pmap=False)
    def test_sample_and_apply(self):
        [method] = (m for m in METHODS if m.name == FIRST[-1])  # eagerly each takes seconds
        x, ids = batch(SHAPE), jnp.arange(6)

        @self.variant
        def use(key, x, ids):
            mix = method(key, SHAPE, per="example")
            loss = jm.pair_loss(mix, lambda o, t: o * t, mix.lam, ids.astype(jnp.float32))
            return jm.blend(mix, x), loss, jm.mixed_accuracy(mix, jnp.eye(6), ids)

        mix = draw(method, SHAPE, per="example")
        lam, other = np.asarray(mix.lam), np.asarray(ids)[::-1]
        expected = (
            jm.blend(mix, x),
            jnp.asarray(lam * (lam * np.asarray(ids) + (1 - lam) * other), jnp.float32),
            jnp.asarray(lam * 1.0 + (1 - lam) * (other == np.asarray(ids)), jnp.float32),
        )
        same(use(KEY, x, ids), expected)
