"""Partners by any weights."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.statistics import KEYS, close, frequencies

WEIGHTS = np.array([[0, 1, 3, 0], [2, 2, 0, 0], [0, 0, 0, 0], [0.1, 0, 0, 0.3]], np.float32)


def test_partners_are_drawn_by_weight():
    expected = np.where(WEIGHTS.any(axis=1, keepdims=True), WEIGHTS, np.eye(4))
    expected = expected / expected.sum(axis=1, keepdims=True)
    close(frequencies(lambda key: jm.by_weight(key, WEIGHTS), 4), expected)
    for dtype in (jnp.int32, jnp.bfloat16, jnp.float16):
        whole = jnp.asarray(np.ceil(WEIGHTS), dtype)
        assert (jm.by_weight(KEYS[0], whole) == jm.by_weight(KEYS[0], np.ceil(WEIGHTS))).all()


def test_what_is_no_weight():
    weights = jnp.array([[jnp.nan, 1, 0], [jnp.inf, 1, jnp.inf], [-1, -jnp.inf, 2]])
    half = np.array([0.5, 0, 0.5])
    expected = np.stack([[1, 0, 0], half, [0, 0, 1]])
    close(frequencies(lambda key: jm.by_weight(key, weights), 3), expected)
    for scale in (1e-37, 1e38):  # the sum of the second is infinite
        extreme = scale * np.float32([[1, 3, 0]] * 3)
        close(frequencies(lambda key, w=extreme: jm.by_weight(key, w), 3), [0.25, 0.75, 0])


def test_groups():
    """By the weights within groups, as indices within them."""
    weights = np.asarray(jax.random.uniform(KEYS[1], (6, 6))).copy()
    weights[0, 5], weights[1, 4], weights[3, 3:], weights[4, 5] = np.nan, np.inf, 0, np.nan
    expected = np.where(np.arange(6)[:, None] // 3 == np.arange(6) // 3, weights, 0)
    expected[3:5] = np.eye(6)[3:5]
    expected /= expected.sum(axis=1, keepdims=True)

    def pair(key):
        found = jm.by_weight(key, weights, groups=2)
        assert found.shape == (2, 3) and found.dtype == jnp.int32
        return jm.partner_index(found, 6)

    close(frequencies(pair, 6), expected)


def test_older_pairings_are_cases_of_it():
    ids = jnp.array([4, 0, 4, 2, 0, 4, -1])
    same = ids[:, None] == ids[None, :]
    y = ids.astype(jnp.float32)
    kernel = jnp.exp(-jnp.square(y[:, None] - y[None, :]) / 2.0)
    cases = {
        "across_class": (~same, lambda key: jm.across_class(key, ids)),
        "class_balanced": (
            np.tile(1 / np.asarray(same).sum(0, dtype=np.float32), (7, 1)),
            lambda key: jm.class_balanced(key, ids),
        ),
        "by_label_kernel": (kernel, lambda key: jm.by_label_kernel(key, ids, 1.0)),
    }
    for name, (weights, pair) in cases.items():
        ours = jax.vmap(lambda key, w=weights: jm.by_weight(key, w))(KEYS[:2000])
        np.testing.assert_array_equal(ours, jax.vmap(pair)(KEYS[:2000]), name)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_sharded_weights_stay_where_they_are(axis_type):
    weights = np.asarray(jax.random.uniform(KEYS[2], (64, 64)))
    expected = jm.by_weight(KEYS[0], weights)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        sharded = jax.device_put(weights, rows)
        for groups in (None, 8):
            step = jax.jit(lambda key, w, n=groups: jm.by_weight(key, w, groups=n))
            program = step.lower(KEYS[0], sharded).compile()
            moved = Program(program).collectives()  # of the result, which is 64 indices
            assert set(moved) <= {"all-gather"} and sum(moved.values()) <= 2 * 4 * 64
        found = jax.jit(jm.by_weight)(KEYS[0], sharded)
    np.testing.assert_array_equal(found, expected)


def test_mistakes():
    call = unwrap(jm.by_weight)
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(B, B\)"):
        call(KEYS[0], jnp.ones((3, 4)))
    with pytest.raises(ValueError, match=r"shape \(3,\).*broadcast_to"):
        call(KEYS[0], jnp.ones(3))
    with pytest.raises(ValueError, match=r"shape \(\)"):
        call(KEYS[0], 1.0)
    with pytest.raises(TypeError, match="complex64"):
        call(KEYS[0], jnp.ones((2, 2), jnp.complex64))
    with pytest.raises(ValueError, match="groups=2"):
        call(KEYS[0], jnp.ones((3, 3)), groups=2)
