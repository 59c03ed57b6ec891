"""Nothing is added to the step: passes, bytes, loops and repeated draws, from the compiled HLO."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.methods import METHODS, SEVERAL

KEY = jax.random.key(0)
ROWS, SPATIAL, CLASSES = 32, (64, 48), 10
IMAGES = jax.ShapeDtypeStruct((ROWS, *SPATIAL, 3), jnp.uint8)
IDS = jax.ShapeDtypeStruct((ROWS,), jnp.int32)
POSITIONS = ROWS * SPATIAL[0] * SPATIAL[1]
SAMPLERS = {
    "mixup": jm.sample_mixup,
    "cutmix": jm.sample_cutmix,
    "either": jm.sample_mixup_or_cutmix,
}
CASES = [
    ("mixup", "batch", jm.reverse(), jnp.float32),
    ("mixup", "example", jm.roll(), jnp.float32),
    ("cutmix", "batch", jm.neighbours(), jnp.float32),
    ("cutmix", "pair", jm.reverse(), jnp.bfloat16),
    ("cutmix", "example", jm.reverse(), jnp.float32),
    ("either", "batch", jm.reverse(), jnp.float32),
    ("either", "batch", jm.neighbours(), jnp.bfloat16),
    ("either", "pair", jm.neighbours(), jnp.float32),
    ("either", "example", jm.reverse(), jnp.float32),
    ("either", "example", jm.roll(), jnp.bfloat16),
]


def normalise(x, dtype=jnp.float32):
    return ((x - 127.0) / 58.0).astype(dtype)


def prepare(sampler, dtype, key, images, ids):
    """All of it: draw, blend, normalise, labels."""
    mix = sampler(key, images.shape[:-1])
    mixed = normalise(jm.blend(mix, images, dtype=jnp.float32), dtype)
    return mixed, jm.blend_labels(mix, ids, num_classes=CLASSES)


def compiled(step, *arrays):
    return jax.jit(step).lower(KEY, *arrays).compile()


def problems(program, positions=POSITIONS):
    """What mixing should not do to a step that only normalises, in words."""
    read = Program(program)
    passes = read.passes(positions)
    found = []
    if [i["opcode"] for i in passes] != ["fusion"]:
        found.append(f"passes over the images: {[i['name'] for i in passes]}")
    if repeated := read.repeated(positions):
        found.append(f"drawn again for each pixel: {sorted(repeated)}")
    if read.count("while") > 1:
        found.append(f"{read.count('while')} loops; one draw of random bits is one on CPU")
    if read.count("conditional", "gather", "sort"):
        found.append("a conditional, a gather or a sort")
    if read.collectives():
        found.append(f"collectives: {read.collectives()}")
    return found


@pytest.mark.parametrize("name, per, pairing, dtype", CASES, ids=lambda v: getattr(v, "rule", None))
def test_one_pass_from_bytes_to_normalised_floats(name, per, pairing, dtype):
    sampler = partial(SAMPLERS[name], per=per, pairing=pairing)
    program = compiled(partial(prepare, sampler, dtype), IMAGES, IDS)
    assert not problems(program)
    values = POSITIONS * 3
    labels = 4 * ROWS * (CLASSES + 1)
    floor = values * (1 + jnp.dtype(dtype).itemsize) + labels
    # What is drawn for a row takes less than 1 kB to draw, 0.1 % of a step of 224 x 224 pictures.
    assert program.cost_analysis()["bytes accessed"] <= floor + 1024 * ROWS
    assert program.memory_analysis().temp_size_in_bytes <= 128 * ROWS  # no mask, no image


@pytest.mark.parametrize("per", ["batch", "example"])
def test_policies_are_one_pass_too(per):
    either = jm.one_of([jm.sample_mixup, jm.sample_cutmix], (0.5, 0.5), per=per)
    program = compiled(
        partial(prepare, jm.sometimes(either, 0.9, per=per), jnp.float32), IMAGES, IDS
    )
    read = Program(program)
    assert [i["opcode"] for i in read.passes(POSITIONS)] == ["fusion"]
    assert not read.count("conditional")
    assert program.memory_analysis().temp_size_in_bytes <= 128 * ROWS


FAMILY = {m.name: m.sample for m in METHODS if not m.own and m.name not in ("sometimes", "keep")}
FAMILY |= {draw.name: draw.run for draw in SEVERAL}


@pytest.mark.parametrize("name", FAMILY)
def test_the_whole_family_is_one_pass(name):
    program = compiled(partial(prepare, FAMILY[name], jnp.float32), IMAGES, IDS)
    assert [i["opcode"] for i in Program(program).passes(POSITIONS)] == ["fusion"]
    # What is drawn for one picture, and its blur, and no more: no image, no mask for each row.
    assert program.memory_analysis().temp_size_in_bytes <= 5 * 4 * SPATIAL[0] * SPATIAL[1]


def test_one_compile_for_all_values_of_traced_options():
    @jax.jit
    def step(key, images, ids, alpha, prob):
        sampler = partial(
            jm.sample_mixup_or_cutmix, mixup_alpha=alpha, cutmix_alpha=alpha, prob=prob
        )
        return prepare(sampler, jnp.float32, key, images, ids)

    images, ids = jnp.zeros((2, 4, 4, 3), jnp.uint8), jnp.zeros(2, jnp.int32)
    for alpha, prob in ((0.2, 1.0), (8.0, 0.5), (0.0, 0.0)):
        step(jax.random.key(1), images, ids, jnp.float32(alpha), jnp.float32(prob))
    assert step._cache_size() == 1


def test_no_step_waits_for_the_host():
    step = jax.jit(partial(prepare, jm.sample_mixup_or_cutmix, jnp.float32))
    arrays = jax.device_put((KEY, jnp.zeros((2, 4, 4, 3), jnp.uint8), jnp.zeros(2, jnp.int32)))
    with jax.transfer_guard("disallow"):
        step(*arrays)
    program = step.lower(*arrays).compile()
    assert not Program(program).count("infeed", "outfeed", "send", "recv", "custom-call")


# What others do, and what this file would say if it came back.


def by_permutation(key, shape):
    return jm.sample_mixup(key, shape, pairing=jm.permutation(key, shape[0]))


def by_rejection(key, shape):
    return jm.sample_mixup(key, shape, lam_law=lambda key, n: jax.random.beta(key, 0.5, 0.5, n))


def by_cond(key, images, ids):
    def use(sampler):
        return lambda: jm.blend(sampler(key, images.shape[:-1]), images, dtype=jnp.float32)

    mixed = jax.lax.cond(jax.random.bernoulli(key), use(jm.sample_mixup), use(jm.sample_cutmix))
    return normalise(mixed), ids


def by_trap(key, images, ids):
    """The weight's cosine and the roll in one fusion, as in the textbooks' two lines."""
    u, v = jax.random.uniform(key, (2,))
    lam = 0.5 + 0.5 * jnp.cos(2 * jnp.pi * v) * u
    x = images.astype(jnp.float32)
    return normalise(lam * x + (1 - lam) * jnp.roll(x, 1, axis=0)), ids


@pytest.mark.parametrize(
    "step, words",
    [
        (partial(prepare, by_permutation, jnp.float32), "gather"),
        (partial(prepare, by_rejection, jnp.float32), "loops"),
        (by_cond, "passes"),
        (by_trap, "for each pixel"),
    ],
    ids=["permutation", "beta", "cond", "roll"],
)
def test_these_checks_can_fail(step, words):
    assert words in " ".join(problems(compiled(step, IMAGES, IDS)))
