"""What mixing adds on GPUs, from the programs that XLA compiles for them; none is there, none runs.

For every method of the catalogue: what is launched, no loop that the host has to watch, and no
collective on 8 GPUs. For mixup, CutMix and either also what `test_hlo` reads: one pass, no image.
"""

import json
from functools import cache, partial
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import pytest

import jax_mixup as jm

if find_spec("jax_cuda13_plugin") is None:
    needed = "no GPU compiler: pip install '.[gpu-compile]', on Linux"
    pytest.skip(needed, allow_module_level=True)

from experiments.benchmarks import ahead, gpu, launches
from experiments.benchmarks.hlo import Program
from experiments.core.devices import rows

ROWS, SIZE = 64, 8
POSITIONS = ROWS * 224 * 224

# The most that a step of 64 pictures of 224 x 224 on each of 8 GPUs may launch: normalising and
# dense labels are two of them. A newer XLA may need other numbers; a method should need fewer.
LAUNCHES = {
    "mixup, per batch": 3,
    "mixup, per example": 4,
    "CutMix, per batch": 4,
    "CutMix, per example": 6,
    "mixup or CutMix, per batch": 5,
    "mixup or CutMix, per example": 6,
    "FMix, per batch": 45,
    "FMix, per example": 51,
    "ResizeMix, per batch": 11,
    "ResizeMix, per example": 12,
    "ResizeMix, nearest, per batch": 8,
    "ResizeMix, nearest, per example": 11,
    "GridMix 4 x 4, per batch": 5,
    "GridMix 4 x 4, per example": 8,
    "GridMixup, per batch": 6,
    "GridMixup, per example": 8,
    "SmoothMix, per batch": 5,
    "SmoothMix, per example": 6,
    "HMix, per batch": 5,
    "HMix, per example": 6,
    "GMix, per batch": 6,
    "GMix, per example": 7,
    "CowMix, per batch": 48,
    "CowMix, per example": 54,
    "TokenMix, per batch": 217,
    "TokenMix, per example": 219,
    "PatchUp, of inputs, per batch": 6,
    "PatchUp, of inputs, per example": 9,
    "SpecMix, per batch": 7,
    "SpecMix, per example": 8,
    "FadeMixUp, per batch": 4,
    "FadeMixUp, per example": 6,
    "VH-mixup, per batch": 5,
    "VH-mixup, per example": 7,
    "random pixels, per batch": 6,
    "random pixels, per example": 7,
    "noisy mixup, per batch": 7,
    "noisy mixup, per example": 11,
    "RICAP, per batch": 8,
    "RICAP, per example": 11,
    "3 rows, Dirichlet, per batch": 8,
    "3 rows, Dirichlet, per example": 9,
    "3 rows, boxes, per batch": 9,
    "3 rows, boxes, per example": 12,
    "SaliencyMix": 8,
    "CutMix, avoiding": 12,  # one of them makes NaN in the map 0
    "Attentive CutMix": 24,
    "GuidedMixup": 16,
    "GuidedMixup, salient pairs": 121,
    "Saliency Grafting": 17,
    "SnapMix": 30,
    "Puzzle Mix, transport": 609,
    "Puzzle Mix, 8 x 8": 265,
    "SMMix": 18,
}
ASK = {"SnapMix"}  # asks other GPUs for the corners of a partner's box, a few bytes
FLOOR = POSITIONS * 3 * (1 + 2) + ROWS * (1 + 1000) * 4  # u8 in, bf16 out; ids in, labels out


@pytest.fixture(autouse=True)
def plain_promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@cache
def mesh(chip="h100", size=SIZE):
    return gpu.mesh_of(chip, size)


def compiled(draw, on, *made):
    return gpu.compiled(ahead.mixing(on, ROWS, draw, *made))


def problems(program):
    """What mixing should not do to a step that only normalises, in words."""
    read = Program(program)
    found = []
    passes = read.passes(POSITIONS)
    if [i["opcode"] for i in passes] != ["fusion"]:
        found.append(f"passes over the images: {[i['name'] for i in passes]}")
    if repeated := read.repeated(POSITIONS):
        found.append(f"drawn again for each pixel: {sorted(repeated)}")
    if rounds := launches.loops(read):
        found.append(f"loops: {rounds}")
    if read.count("conditional"):
        found.append("a conditional")
    if read.collectives():
        found.append(f"collectives: {read.collectives()}")
    temporaries = program.memory_analysis().temp_size_in_bytes
    if temporaries > 1024 * ROWS:  # no image, and no mask for each row
        found.append(f"temporaries of {temporaries} bytes")
    return found


SAMPLERS = {
    "mixup": jm.sample_mixup,
    "cutmix": jm.sample_cutmix,
    "either": jm.sample_mixup_or_cutmix,
}


@pytest.mark.parametrize("per", ["batch", "example"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_one_pass_from_bytes_to_normalised_floats(name, per):
    sampler = partial(SAMPLERS[name], per=per, pairing=jm.reverse(groups=SIZE))
    program = compiled(ahead.by_shape(sampler), mesh())
    assert not problems(program)
    # Per batch one map of weights is written, and read.
    assert launches.summary(Program(program))["bytes"] <= 1.015 * FLOOR


@pytest.mark.parametrize("chip", ["a100", "b200"])
def test_on_other_chips_too(chip):
    either = jm.sample_mixup_or_cutmix
    assert not problems(compiled(ahead.by_shape(either), mesh(chip, 1)))
    program = compiled(ahead.by_shape(partial(either, per="example")), mesh(chip, 1))
    # There the masks of all rows may be written as bools, and read.
    assert launches.summary(Program(program))["bytes"] <= 1.01 * FLOOR + 2 * POSITIONS
    assert program.memory_analysis().temp_size_in_bytes <= 1.01 * POSITIONS


def test_every_method_has_its_limit():
    assert LAUNCHES.keys() == gpu.cases().keys()


@pytest.mark.parametrize("name", LAUNCHES)
def test_what_a_method_launches(name):
    saliency = ahead.on_rows(mesh(), ROWS, (224, 224), jnp.float32)
    read = Program(compiled(gpu.cases(SIZE)[name], mesh(), saliency))
    found = launches.summary(read)
    assert found["launches"] <= LAUNCHES[name]
    assert None not in found["loops"]  # the host would ask in each round whether there is another
    assert not found["collectives"] or name in ASK


def test_a_roll_within_groups_is_a_gather():
    """A roll of the whole batch is a concatenation: each thread makes one value, and not four."""
    kinds = {}
    for name, pairing in {"groups": jm.roll(groups=SIZE), "whole": jm.roll()}.items():
        draw = ahead.by_shape(partial(jm.sample_mixup, pairing=pairing))
        kinds[name] = "concatenate" in compiled(draw, mesh("h100", 1)).as_text()
    assert kinds == {"groups": False, "whole": True}


def test_a_train_step_gains_a_few_launches(tmp_path):
    """By the command itself, with a small model."""
    options = {"chips": ("h100",), "devices": (1,), "methods": ("mixup",), "models": ("tiny",)}
    assert gpu.main(gpu.Config(out=tmp_path, model_devices=(SIZE,), **options)) == 0
    runs = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    found = {row["method"]: row for row in runs if "tiny" in row["group"]}
    plain, hand = found.pop("no mixing"), found.pop("by hand: permutation, beta")
    for row in found.values():
        assert row["launches"] <= plain["launches"] + 8
        assert row["collectives"] == plain["collectives"] and row["loops"] == []
    assert None in hand["loops"] and "all-gather" in hand["collectives"]
    table = (tmp_path / "table.md").read_text()
    assert (
        "**1 x h100, 64 rows a GPU**" in table and "| mixup, per example | 3 | 0 | none |" in table
    )


def test_without_the_compiler_the_command_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu, "PLUGIN", "no_such_module")
    assert gpu.main(gpu.Config(out=tmp_path)) == 2
    assert "pip install '.[gpu-compile]', on Linux." in capsys.readouterr().err


def shaped(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=rows(mesh("h100", 1)))


def test_launches_and_bytes_are_those_of_a_known_program():
    def counted(x, row):
        x = jax.lax.fori_loop(0, 7, lambda i, x: jnp.sin(x), x)
        return x, jax.lax.dynamic_index_in_dim(x, row[0].astype(jnp.int32), 0)

    read = Program(gpu.compiled(jax.jit(counted).trace(shaped(1024, 1024), shaped(1)).lower))
    found = launches.summary(read)
    assert found["loops"] == [7]
    assert found["looped"] % 7 == 0 and 7 <= found["looped"] <= 14  # and one to count the rounds
    assert found["launches"] - found["looped"] <= 5
    assert 8 <= found["bytes"] / 2**22 / 2 <= 8.1  # seven rounds and a copy, not the one row


def test_a_loop_of_unknown_rounds_counts_one():
    def halved(x):
        return jax.lax.while_loop(lambda x: x[0] > 1, lambda x: x / 2, x)

    read = Program(gpu.compiled(jax.jit(halved).trace(shaped(1024)).lower))
    assert launches.loops(read) == [None]
    assert launches.summary(read)["looped"] == 2  # whether to go on, and the half


# What others do, and what this file would say if it came back.


def by_permutation(key, shape):
    return jm.sample_mixup(key, shape, pairing=jm.permutation(key, shape[0]))


def by_rejection(key, shape):
    return jm.sample_mixup(key, shape, lam_law=lambda key, n: jax.random.beta(key, 0.5, 0.5, n))


def by_cond(key, shape):
    masks = [lambda sampler=s: sampler(key, shape).mask for s in (jm.sample_hmix, jm.sample_cutmix)]
    soft = [lambda make=m: make().astype(jnp.float32) for m in masks]
    mask = jax.lax.cond(jax.random.bernoulli(key), *soft)
    return jm.Mix(jm.reverse(groups=SIZE), mask, jnp.broadcast_to(mask.mean(), shape[:1]))


@pytest.mark.parametrize(
    "sampler, words",
    [(by_permutation, "collectives"), (by_rejection, "loops: [None"), (by_cond, "a conditional")],
    ids=["permutation", "beta", "cond"],
)
def test_these_checks_can_fail(sampler, words):
    assert words in " ".join(problems(compiled(ahead.by_shape(sampler), mesh())))
