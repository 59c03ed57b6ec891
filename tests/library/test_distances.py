"""Distances between examples: no overflow, no memory of all differences."""

import jax
import jax.numpy as jnp
import pytest

import jax_mixup as jm
from jax_mixup import _distances
from tests.library.samplers.all_samplers import KEY, refused


def test_distances_neither_overflow_nor_vanish():
    x = jnp.array([0.0, 5.0, 0.1])
    for scale in (1.0, 1e30, 1e-30):
        assert jm.nearest(KEY, x * scale).tolist() == [2, 2, 0]
        assert jm.by_label_kernel(KEY, x * scale, 1e-3 * scale).tolist() == [0, 1, 2]
        assert sorted(jm.transported(KEY, x * scale, k=1).tolist()) == [0, 1, 2]
    years = jnp.array([2000.0, 2001.0, 2001.0])  # not to be rounded by the bandwidth
    assert set(jm.by_label_kernel(KEY, years, 1e-4)[1:].tolist()) <= {1, 2}
    off = jax.jit(lambda h: jm.by_label_kernel(KEY, years, h))
    for h in (0.0, -1.0, jnp.nan):
        assert off(h).tolist() == [0, 1, 2]
    refused(r"bandwidth of shape \(3,\)", lambda: jm.by_label_kernel(KEY, years, jnp.ones(3)))


@pytest.mark.parametrize("name", ["nearest", "by_label_kernel"])
def test_distances_take_no_more_memory_than_a_few_inputs(name):
    options = {"bandwidth": 1.0} if name == "by_label_kernel" else {}
    x = jax.ShapeDtypeStruct((64, 2048), jnp.float32)
    scale = (jax.ShapeDtypeStruct((), jnp.float32),) if options else ()
    # What runs eagerly as one program, and all of it under jit.
    eager = _distances.by_differences.lower(x, *scale).compile()
    whole = jax.jit(lambda x: getattr(jm, name)(KEY, x, **options)).lower(x).compile()
    for program in (eager, whole):
        assert program.memory_analysis().temp_size_in_bytes <= 3 * 4 * 64 * 2048
