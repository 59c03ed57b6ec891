"""Class ids of every dtype, and targets next to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.x64 import enable_x64

KEY = jax.random.key(0)
MIX = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


@pytest.mark.parametrize(
    "dtype", [pytest.param(t, marks=[pytest.mark.slow] * (t != "int8")) for t in INTEGERS]
)
def test_ids_of_any_width_are_ids(dtype):
    ids, wide = jnp.array([0, 3], dtype), jnp.array([0, 3])
    blended = jm.blend_labels(MIX, ids, num_classes=1000)
    np.testing.assert_array_equal(blended.sum(axis=1), [1, 1])
    np.testing.assert_array_equal(blended, jm.blend_labels(MIX, wide, num_classes=1000))
    logits = jax.nn.one_hot(jnp.array([256, 259]), 1000)  # 0 and 3 in eight bits
    np.testing.assert_array_equal(jm.mixed_accuracy(MIX, logits, ids), [0, 0])
    counts = jnp.arange(1.0, 1001.0)
    calls = [
        lambda ids: jm.remix(MIX, ids, counts).lam,
        lambda ids: jm.mamix(MIX, ids, counts).lam,
        lambda ids: jm.decoupled_loss(MIX, logits, ids),
        lambda ids: jm.mixupe_penalty(logits, ids, alpha=1.0),
        lambda ids: jm.mixup(KEY, logits, ids, num_classes=1000)[1],
        lambda ids: jm.stackmix(KEY, logits, ids, num_classes=1000)[1],
        lambda ids: jm.mixup_inference(KEY, lambda x: x, logits, logits, ids, samples=1),
        lambda ids: jm.mixed_accuracy(MIX, jax.nn.one_hot(wide, 1000), ids),
        lambda ids: jm.blend_labels(MIX, ids, other=ids, num_classes=1000),
    ]
    for call in calls:
        np.testing.assert_array_equal(call(ids), call(wide))


def test_ids_beyond_int32_are_no_class():
    far = np.array([2**32 + 1, 2**32 - 1], np.uint64)
    with enable_x64(True):
        for ids in (jnp.asarray(far), jnp.asarray(far.astype(np.int64))):
            blended = jm.blend_labels(MIX, ids, num_classes=3)
            np.testing.assert_array_equal(blended, np.zeros((2, 3)))
    ids = jnp.array([2**32 - 1, 1], jnp.uint32)
    np.testing.assert_array_equal(jm.blend_labels(MIX, ids, num_classes=2), [[0, 0.25], [0, 0.75]])


def test_float_ids_are_refused_and_targets_next_to_ids_are_not():
    with pytest.raises(ValueError, match=r"integer ids: cast.*int32.*regression targets"):
        jm.mixup(KEY, jnp.ones((2, 3)), jnp.array([0.0, 2.0]), num_classes=3)
    labels = {"class": jnp.array([0, 2]), "age": jnp.array([10.0, 20.0])}
    found = jm.blend_labels(MIX, labels, num_classes=3, smoothing=0.3)
    np.testing.assert_array_equal(found["age"], [12.5, 17.5])
    np.testing.assert_allclose(found["class"][0], [0.625, 0.1, 0.275], rtol=1e-6)
