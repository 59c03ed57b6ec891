"""The laws that every method obeys, whatever it draws."""

from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from tests.library.law_cases import FEW, FIRST, batch, named, pers, positions, real_shapes, same
from tests.library.methods import METHODS, PAIRINGS, PER

KEY = jax.random.key(7)
SHAPE = (16, 5, 7)  # odd sizes, so that nothing fits by chance; eight devices share 16 examples
AXIS_TYPES = (AxisType.Auto, AxisType.Explicit)
ALPHAS = (0.0, 1e-3, 0.2, 1.0, 32.0, 1e4, -1.0)

# What changes another method's mix, and no more, is for the slow runs. Laws of the verbs hold for
# masks, not methods: they are tried on one without positions, a bool one and a soft one.
SLOW = ("sometimes", "keep")


@pytest.fixture(scope="module")  # so that pytest runs a method's tests one after another
def method(request):
    return request.param


def of(chosen):
    rows = [named(m, *[pytest.mark.slow] * (m.name in SLOW)) for m in chosen]
    return pytest.mark.parametrize("method", rows, indirect=True)


methods = of(METHODS)
methods_with_per = of([m for m in METHODS if not m.own])  # what follows data draws per example


@cache
def drawn(method):
    """(mask, λ) of mixes of SHAPE for three keys and each `per`, all by one program, as NumPy."""
    keys = jnp.stack([KEY, KEY, jax.random.key(8)])

    def sample(key):
        mixes = {per: method(key, SHAPE, per=per) for per in PER}
        if not method.own:
            mixes["group"] = method(key, SHAPE, per="group", pairing=jm.reverse(groups=4))
        return {per: arrays(mix)[:2] for per, mix in mixes.items()}

    return jax.tree.map(np.asarray, jax.jit(lambda keys: jax.lax.map(sample, keys))(keys))


def arrays(mix):
    """Mask, weights and partners, as arrays, which every transformation returns alike."""
    return mix.mask, mix.lam, jm.partner_index(mix.partner, mix.lam.shape[0])


# Of the draw: every method.


@methods
@pers
def test_the_value_is_what_the_contract_says(method, per):
    mask, lam = drawn(method)[per]
    b, *spatial = SHAPE
    assert mask.dtype == (bool if method.hard else np.float32)
    leading = {1, b} if method.name == "keep" or (per == "batch" and not method.own) else {b}
    assert mask.shape[1] in leading
    assert mask.shape[2:] == tuple(spatial)[: method.rank]
    assert lam.shape == (3, b) and lam.dtype == np.float32
    for weight in (mask.astype(np.float32), lam):
        assert ((weight >= 0) & (weight <= 1)).all()


@methods
def test_one_key_one_mix(method):
    for array in jax.tree.leaves(drawn(method)):
        np.testing.assert_array_equal(array[0], array[1])
    mask, lam = drawn(method)["example"]
    assert (lam[0] != lam[2]).any() or (mask[0] != mask[2]).any()


@methods_with_per
def test_the_grain_of_the_draw(method):
    found = {}  # the mixes of each `per`, an example a row
    for per, (mask, lam) in drawn(method).items():
        mask = positions(mask[0], SHAPE).reshape(SHAPE[0], -1).astype(np.float32)
        found[per] = np.column_stack([mask, lam[0]])
        if method.name == "keep":  # which leaves examples 1 and 14 alone
            found[per] = np.delete(found[per], [1, 14], axis=0)
    different = {per: len(np.unique(rows, axis=0)) for per, rows in found.items()}
    assert different["batch"] == 1
    assert different["example"] > len(found["example"]) // 2
    np.testing.assert_array_equal(found["pair"], found["pair"][::-1])
    assert different["pair"] > len(found["pair"]) // 4
    if method.name != "keep":
        groups = np.stack(
            [
                np.column_stack([positions(mask, SHAPE).reshape(SHAPE[0], -1), lam])
                for mask, lam in zip(*drawn(method)["group"], strict=True)
            ]
        ).reshape(3, 4, 4, -1)  # key, group, example
        assert (groups == groups[:, :, :1]).all()
        assert max(len(np.unique(of_key[:, 0], axis=0)) for of_key in groups) > 2


@methods
def test_jit_is_vmap_is_scan(method):
    step = lambda key: arrays(method(key, FEW, per="pair"))
    keys = jax.random.split(KEY, 2)

    @jax.jit
    def ways(keys):
        alone = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(step, keys))
        scanned = jax.lax.scan(lambda carry, key: (carry, step(key)), 0, keys)[1]
        return alone, jax.vmap(step)(keys), scanned

    alone, mapped, scanned = jax.tree.map(np.asarray, ways(keys))
    same(mapped, alone)
    same(scanned, alone)


@methods
def test_a_sharded_batch_gives_the_same(method):
    x, labels = batch(SHAPE), jnp.arange(16) % 10
    mask, lam = (array[0] for array in drawn(method)["example"])
    mask, lam = positions(mask, SHAPE)[..., None].astype(np.float32), lam[:, None]
    hot, numbers = np.eye(10, dtype=np.float32)[np.arange(16) % 10], np.asarray(x)
    expected = (
        mask * numbers + (1 - mask) * numbers[::-1],
        lam * hot + (1 - lam) * hot[::-1],
    )

    @jax.jit
    def step(key, x, labels):
        mix = method(key, SHAPE, per="example")
        return jm.blend(mix, x), jm.blend_labels(mix, labels, num_classes=10)

    for axis_type in AXIS_TYPES if method.name in FIRST else AXIS_TYPES[-1:]:
        mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
        with jax.set_mesh(mesh):
            sharding = NamedSharding(mesh, PartitionSpec("data"))
            results = step(KEY, *jax.device_put((x, labels), sharding))
            for result in results:
                assert result.sharding.is_equivalent_to(sharding, result.ndim)
            same(jax.tree.map(np.asarray, results), expected, 1e-5)  # sums over 35 positions


@methods
def test_one_trace_for_all_values_of_traced_options(method):
    """And where alpha is 0 or less nothing is mixed."""
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def mixed(key, alpha, options):
        mix = method(key, FEW, alpha=alpha, per="example", **options)
        return mix.mask, mix.lam

    for i, alpha in enumerate(ALPHAS):
        options = {name: values[i % len(values)] for name, values in method.traced.items()}
        mask, lam = mixed(KEY, alpha, options)
        assert np.isfinite(lam).all() and np.isfinite(mask).all()
        if alpha <= 0 and method.options:
            assert (np.asarray(lam) == 1).all() and (np.asarray(mask) == 1).all()


@methods
def test_gradients_through_alpha_are_finite(method):
    def total(alpha):
        mix = method(KEY, FEW, alpha=alpha, per="example")
        return (mix.mask.astype(jnp.float32) ** 2).sum() + (mix.lam**2).sum()

    alphas = jnp.array([0.0, 1e-6, 0.01, 0.2, 1.0, 100.0, 1e4])
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(total)))(alphas))
    assert np.isfinite(slopes).all()
    soft = method.name in ("mixup", "fademix", "one_of")  # a box has no gradient
    assert (slopes[3:5] != 0).all() or not soft


@methods
def test_every_pairing_and_a_batch_of_one(method):
    """By the shapes alone: what moves for each pairing is a law of the verbs, below."""
    for pairing in (*PAIRINGS.values(), jnp.arange(8)):
        lam = jax.eval_shape(lambda p=pairing: method(KEY, (8, 4, 3), per="example", pairing=p).lam)
        assert lam.shape == (8,)
    for per in PER:
        lam = jax.eval_shape(lambda per=per: method(KEY, (1, 4, 3), per=per).lam)
        assert lam.shape == (1,)


# Labels: every method, and what was really taken of the examples.


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
