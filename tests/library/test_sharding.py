"""Many devices: what moves between them, read from the compiled HLO."""

import os
import re
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments.benchmarks.hlo import Program

KEY = jax.random.key(1)
LOCAL = {
    "reverse8": jm.reverse(groups=8),
    "reverse16": jm.reverse(groups=16),
    "roll8": jm.roll(groups=8),
    "neighbours": jm.neighbours(),
}


def compiled(axis_type, step, *arrays):
    """The step on a batch sharded over 8 devices, by jit alone: its collectives and results."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        arrays = jax.device_put(arrays, rows)
        program = jax.jit(step).lower(KEY, *arrays).compile()
        results = jax.tree.map(np.asarray, program(KEY, *arrays))
    return set(Program(program).collectives()), results


def use(sampler, pairing, per, key, images, labels):
    mix = sampler(key, images.shape[:-1], per=per, pairing=pairing)
    mixed = jm.blend(mix, images, dtype=jnp.bfloat16)
    loss = jm.pair_loss(mix, lambda o, t: (o - t) ** 2, labels, labels)
    return mixed, jm.blend_labels(mix, labels.astype(int), num_classes=10), loss


IMAGES = (jnp.arange(64 * 9 * 7 * 3) % 256).astype(jnp.uint8).reshape(64, 9, 7, 3)
LABELS = (jnp.arange(64) % 10).astype(jnp.float32)


CASES = [
    *((pairing, jm.sample_mixup_or_cutmix) for pairing in LOCAL.values()),
    (jm.reverse(groups=8), jm.sample_mixup),
    (jm.neighbours(), jm.sample_cutmix),
]


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("pairing, sampler", CASES, ids=lambda v: getattr(v, "__name__", str(v)))
def test_local_pairings_add_no_collective(axis_type, pairing, sampler):
    pers = ["batch", "example"] if pairing.rule == "roll" else ["pair"]
    for per in pers:
        step = partial(use, sampler, pairing, per)
        collectives, results = compiled(axis_type, step, IMAGES, LABELS)
        assert collectives == set()
        for found, expected in zip(results, jax.jit(step)(KEY, IMAGES, LABELS), strict=True):
            found, expected = (np.asarray(a, np.float32) for a in (found, expected))
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize(
    "pairing, moves",
    [(jm.reverse(), {"collective-permute"}), (jm.roll(), {"collective-permute"})],
    ids=["reverse", "roll"],
)
def test_whole_batch_pairings_permute_and_do_not_gather(axis_type, pairing, moves):
    step = partial(use, jm.sample_mixup, pairing, "batch")
    collectives, results = compiled(axis_type, step, IMAGES, LABELS)
    assert collectives == moves
    expected = jax.jit(step)(KEY, IMAGES, LABELS)[0]
    np.testing.assert_array_equal(results[0], np.asarray(expected))


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_permutation_is_the_one_that_gathers(axis_type):
    def step(key, images, labels):
        mix = jm.sample_mixup(key, (64,), pairing=jm.permutation(key, 64))
        return jm.blend(mix, images, dtype=jnp.float32), mix.lam

    collectives, results = compiled(axis_type, step, IMAGES, LABELS)
    assert collectives & {"all-gather", "all-reduce"}
    np.testing.assert_allclose(results[0], jax.jit(step)(KEY, IMAGES, LABELS)[0], rtol=1e-6)


def test_explicit_arrays_work_without_a_current_mesh():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    x = jax.device_put(LABELS, NamedSharding(mesh, PartitionSpec("data")))
    mix = jm.sample_mixup(KEY, (64,))
    np.testing.assert_allclose(jm.blend(mix, x), jm.blend(mix, LABELS), rtol=1e-6)


def test_transformations_on_explicit_axes():
    """Scans, gradients, rematerialisation, and shard_map over one of two axes: steps have them."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
    x = LABELS[:8]
    key = jax.random.key(0)

    def step(x, key):
        mix = jm.sample_mixup(key, x.shape)
        return jm.blend(mix, x), jm.nearest(key, x)

    def loss(x):
        mixed, partners = step(x, key)
        mix = jm.sample_mixup(key, x.shape, pairing=partners)
        return jm.pair_loss(mix, lambda o, t: (o - t) ** 2, mixed, x).mean()

    def steps(x):
        return jax.lax.scan(lambda x, key: (step(x, key)[0], None), x, jax.random.split(key, 3))[0]

    uses = [steps, jax.grad(loss), jax.grad(jax.checkpoint(loss))]
    plain = [jax.jit(use)(x) for use in uses]
    halves = jnp.concatenate([step(part, key)[0] for part in jnp.split(x, 4)])
    with jax.set_mesh(mesh):
        rows = PartitionSpec("data")
        sharded = jax.device_put(x, NamedSharding(mesh, rows))
        for use, expected in zip(uses, plain, strict=True):
            found = jax.jit(use)(sharded)
            assert jax.typeof(found).sharding.spec == rows
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        each = jax.shard_map(
            lambda x: step(x, key)[0], in_specs=rows, out_specs=rows, axis_names={"data"}
        )
        np.testing.assert_allclose(jax.jit(each)(sharded), halves, rtol=1e-6)


def test_two_axes_and_a_sharded_height():
    mesh = jax.make_mesh((4, 2), ("data", "space"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        x = jax.device_put(IMAGES[:, :8], NamedSharding(mesh, PartitionSpec("data", "space")))
        step = jax.jit(partial(use, jm.sample_cutmix, jm.reverse(), "example"))
        mixed = step(KEY, x, LABELS)[0]
        assert jax.typeof(mixed).sharding.spec[:2] == ("data", "space")
        mixed = np.asarray(mixed, np.float32)
    np.testing.assert_array_equal(
        mixed, np.asarray(step(KEY, IMAGES[:, :8], LABELS)[0], np.float32)
    )


def test_inputs_stay_bytes_on_the_wire():
    step = partial(use, jm.sample_mixup, jm.reverse(), "batch")
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=rows) for a in (IMAGES, LABELS)]
    text = jax.jit(step).lower(KEY, *shapes).compile().as_text()
    moved = re.findall(r"= (\w+)\[[\d,]*\]\S* collective-permute", text)
    assert "u8" in moved and not {"bf16"} & set(moved)
    assert all(
        dtype == "u8" for dtype in re.findall(r"= (\w+)\[8,9,7,3\]\S* collective-permute", text)
    )


SIXTY_FOUR = """
import jax, sys
from functools import partial
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import jax_mixup as jm
from tests.library import test_hlo

mesh = jax.make_mesh((64,), ("data",), axis_types=(AxisType.Auto,))
rows = NamedSharding(mesh, PartitionSpec("data"))
images, ids = (
    jax.ShapeDtypeStruct((64 * 8, *shape), dtype, sharding=rows)
    for shape, dtype in (((16, 16, 3), "uint8"), ((), "int32"))
)
pairing = jm.pairing_for(64 * 8, shards=64, backend=sys.argv[1])
for per in ("batch", "example"):
    sampler = partial(jm.sample_mixup_or_cutmix, per=per, pairing=pairing)
    step = jax.jit(partial(test_hlo.prepare, sampler, "bfloat16"), out_shardings=rows)
    program = step.lower(test_hlo.KEY, images, ids).compile()
    print(pairing.rule, per, test_hlo.problems(program, 8 * 16 * 16))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["cpu", "tpu"])  # its pairing; compiled for CPU
def test_sixty_four_devices(backend):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=64"}
    command = [sys.executable, "-c", SIXTY_FOUR, backend]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    rule = "neighbours" if backend == "cpu" else "reverse"
    assert done.stdout.splitlines() == [f"{rule} batch []", f"{rule} example []"], done.stderr
