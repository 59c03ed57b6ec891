"""Samplers, pairings and saliency on arrays of any dtype."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import jax_mixup as jm
from tests.library.samplers.all_samplers import (
    ALL,
    FROM_DATA,
    IDS,
    KEY,
    SHAPE,
    B,
    F,
    draw,
    mixes_in,
    refused,
    takes,
    traced,
)
from tests.library.x64 import enable_x64

DTYPES = [("float64", "int64"), ("float32", "uint8"), ("bfloat16", "int8"), ("float16", "int32")]


@pytest.mark.parametrize(
    "law",
    [
        lambda key, shape: np.full(shape, 0.5),
        lambda key, shape: jnp.full(shape, 0.5, jnp.bfloat16),
        lambda key, shape: jnp.full(shape, 0.5, jnp.float16),
        lambda key, shape: jnp.ones(shape, jnp.int32),
    ],
    ids=["numpy64", "bf16", "f16", "int"],
)
def test_laws_of_any_dtype(law):
    for name in ALL:
        if "lam_law" in takes(name):
            for mix in mixes_in(traced(partial(draw, name, lam_law=law))):
                assert mix.lam.dtype == jnp.float32, name
                assert mix.mask.dtype in (jnp.float32, jnp.bool_), name
    lam = jm.sample_mixup(KEY, (4,), lam_law=law).lam
    np.testing.assert_array_equal(lam, np.asarray(law(KEY, (4,)), np.float32))


def test_laws_of_another_shape_are_told():
    for name in ALL:
        if "lam_law" in takes(name):
            scalar = partial(draw, name, lam_law=lambda key, shape: jnp.float32(0.5))
            refused(r"lam_law an array of shape \(\).*constant", scalar)
            pairs = lambda key, shape: jnp.ones((*shape, 2))
            refused(r"lam_law an array of shape \(\d, 2\)", partial(draw, name, lam_law=pairs))
    complex_law = lambda key, shape: jnp.ones(shape, jnp.complex64)
    refused("complex64", partial(draw, "sample_mixup", lam_law=complex_law))


def sampler_calls(f, i):
    """Every sampler, with its options as arrays: f floats [B, 6, 6], i integers [B]."""
    law = lambda key, shape: jnp.broadcast_to(f[0, 0, 0], shape)
    ids = jnp.broadcast_to(i[:, None], (B, 6))
    data = {"sample_classmix": ids, "sample_copy_paste": ids, "sample_span": i}
    found = {}
    for name, (sampler, args) in ALL.items():
        if name not in FROM_DATA:
            given = args
        else:
            given = (data.get(name, f), *args[1:])
        found[name] = partial(sampler, KEY, *given)
        if "lam_law" in takes(name):
            found[name + " law"] = partial(sampler, KEY, *given, lam_law=law)
        if "alpha" in takes(name):
            per = {"per": "example"} if "per" in takes(name) else {}
            found[name + " alpha"] = partial(sampler, KEY, *given, alpha=f[0, 0, 0])
            found[name + " alphas"] = partial(sampler, KEY, *given, alpha=f[:, 0, 0], **per)
    each = {"per": "example", "prob": f[:, 0, 0], "switch_prob": f[:, 0, 0]}
    found["either"] = partial(jm.sample_mixup_or_cutmix, KEY, SHAPE, **each)
    found["ratios"] = partial(jm.sample_hmix, KEY, SHAPE, per="pair", ratio=f[:, 0, 0])
    found["gammas"] = partial(jm.sample_patchup, KEY, SHAPE, per="pair", gamma=f[:, 0, 0])
    return found


def calls(f, i):
    """Every sampler, policy, pairing and map of saliency: f floats [B, 6, 6], i integers [B]."""
    found = sampler_calls(f, i)
    found["sometimes"] = partial(
        jm.sometimes(jm.sample_ricap, f[:, 0, 0], per="example"), KEY, SHAPE
    )
    three = [jm.sample_mixup, jm.sample_ricap, jm.sample_dirichlet]
    policy = lambda: jm.one_of(three, f[0, 0, :3], per="example")
    found["one_of"] = lambda: policy()(KEY, SHAPE)
    found["colours"] = partial(jm.sample_puzzlemix, KEY, f, x=f[..., None], grid=(3, 3))
    for name in ("within_class", "across_class", "class_balanced"):
        found[name] = partial(getattr(jm, name), KEY, i)
    for name, x in (("floats", f), ("ints", i)):
        found[f"kernel {name}"] = partial(jm.by_label_kernel, KEY, x, f[0, 0, 0])
        found[f"nearest {name}"] = partial(jm.nearest, KEY, x, k=2)
        found[f"transported {name}"] = partial(jm.transported, KEY, x[:3], k=2)
    found["by_weight"] = partial(jm.by_weight, KEY, f[0])
    found["zeta_weights"] = partial(jm.zeta_weights, KEY, B, gamma=f[0, 0, 0])
    found["dirichlet_weights"] = partial(jm.dirichlet_weights, KEY, B, B, alpha=f[:, 0, 0])
    found["anchor_weights"] = partial(jm.anchor_weights, i, gamma=f[0, 0, 0])
    found["salient_pairs"] = partial(jm.salient_pairs, f)
    found["sinkhorn"] = partial(jm.sinkhorn, f, epsilon=f[0, 0, 0])
    found["spectral"] = partial(jm.spectral_residual, f[..., None])
    found["gradient"] = partial(jm.gradient_saliency, lambda x: (x * x).sum(), f[..., None])
    cut = lambda: jm.puzzle_transport(jm.sample_cutmix(KEY, SHAPE), f, grid=(3, 3), iterations=3)
    found["transport"] = cut
    found["folded"] = partial(jm.folded_beta(f[0, 0, 0]), KEY, (B,))
    return found


@pytest.mark.parametrize(
    "x64, floats, ints",
    [
        pytest.param(x64, *dtypes, marks=[pytest.mark.slow] * (dtypes != DTYPES[0] or not x64))
        for x64 in (True, False)
        for dtypes in DTYPES
        if x64 or dtypes[0] != "float64"  # there is none without x64
    ],
)
def test_results_are_float32_int32_and_bool_whatever_comes(x64, floats, ints):
    with enable_x64(x64):
        f, i = F.astype(floats), IDS.astype(ints)
        for name in calls(F, IDS):
            drawn = traced(partial(jax.jit(lambda f, i, name=name: calls(f, i)[name]()), f, i))
            dtypes = {leaf.dtype.name for leaf in jax.tree.leaves(drawn)}
            assert dtypes <= {"float32", "int32", "bool"}, (name, dtypes)


@pytest.mark.slow
def test_everything_traces_inside_shard_map():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    rows = PartitionSpec("d")
    f, i = jnp.tile(F, (8, 1, 1)), jnp.tile(IDS, 8)
    needs_key = {"sample_dirichlet alpha", "sample_dirichlet alphas"}  # one as varied as its alpha
    for name in set(calls(F, IDS)) - needs_key:

        def body(f, i, name=name):
            return [leaf[None] for leaf in jax.tree.leaves(calls(f, i)[name]())]

        mapped = jax.shard_map(body, mesh=mesh, in_specs=rows, out_specs=rows)
        traced(partial(mapped, f, i))


def test_ids_in_narrow_dtypes_do_not_wrap():
    rows = np.tile(np.repeat([0, 255], 8), (2, 1)).astype(np.uint8)
    for classes in (256, 300, 1000):
        mix = jm.sample_classmix(KEY, rows, num_classes=classes)
        np.testing.assert_array_equal(mix.lam, 0.5)  # one of two classes
    mix = jm.sample_classmix(KEY, rows, num_classes=255)  # 255 is no class, and 0 the only one
    np.testing.assert_array_equal(mix.lam, 0)
    with enable_x64(True):
        far = jnp.array([[0, 0, 2**32, 2**32]] * 2)
        assert not jm.sample_classmix(KEY, far, num_classes=3).mask.any()
    lengths = jnp.array([200, 250], jnp.uint8)
    mix, _ = jm.sample_span(KEY, lengths, 250, lam_law=jm.constant(0.0))
    np.testing.assert_allclose(mix.lam, [0, 1 - 200 / 250], rtol=1e-6)
