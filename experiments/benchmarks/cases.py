"""What is timed: floors, this library, and the JAX formulations that the field writes by hand."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType
from jaxtyping import Array, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.benchmarks.timing import Row, compiled
from experiments.core import devices
from experiments.core.classify import by_shape, with_draw
from experiments.core.step import Metrics, State
from experiments.imagenet import __main__ as imagenet

SIZES = {  # shape, classes
    "tiny": ((8, 8, 8, 3), 4),  # for --smoke alone
    "small": ((256, 32, 32, 3), 10),
    "large": ((64, 224, 224, 3), 1000),
    "video": ((16, 8, 112, 112, 3), 400),
}
TYPES = {  # of the pictures, of the result, whether it is normalised
    "f32": (jnp.float32, jnp.float32, False),
    "u8 to f32": (jnp.uint8, jnp.float32, True),
    "u8 to bf16": (jnp.uint8, jnp.bfloat16, True),
}
MEAN, STD = 127.0, 58.0
METHODS = {
    "mixup": partial(jm.sample_mixup, alpha=0.2),
    "CutMix": jm.sample_cutmix,
    "mixup or CutMix": jm.sample_mixup_or_cutmix,
}
PAIRINGS = {"reverse": jm.reverse(), "roll": jm.roll(), "neighbours": jm.neighbours()}


def batch(size: str, types: str) -> tuple[PRNGKeyArray, Array, Int[Array, "b"], int]:
    """A key, pictures, ids, and the number of classes."""
    shape, classes = SIZES[size]
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, shape, np.uint8)).astype(TYPES[types][0])
    return jax.random.key(0), images, jnp.asarray(rng.integers(0, classes, shape[0])), classes


def finish(types: str, x: Array) -> Array:
    """Pictures normalised, in the given type."""
    _, out, normalise = TYPES[types]
    return ((x.astype(jnp.float32) - MEAN) / STD if normalise else x).astype(out)


def floor(types: str) -> Callable:
    """One read and one write of the same shapes: normalising, or a product."""

    def step(key: PRNGKeyArray, images: Array, ids: Array) -> Array:
        return finish(types, images) if TYPES[types][2] else images * 1.1

    return step


def prepare(sampler: Callable, types: str, classes: int) -> Callable:
    """The whole of mixing by this library: draw, blend, normalise, dense labels."""

    def step(key: PRNGKeyArray, images: Array, ids: Array) -> tuple[Array, Array]:
        mix = sampler(key, images.shape[:-1])
        mixed = finish(types, jm.blend(mix, images, dtype=jnp.float32))
        return mixed, jm.blend_labels(mix, ids, num_classes=classes)

    return step


def ours(size: str, types: str, per: str, methods: dict = METHODS) -> dict[str, Row]:
    """This library, with the pairing that it chooses."""
    key, images, ids, classes = batch(size, types)
    pairing = jm.pairing_for(images.shape[0])
    return {
        name: compiled(
            prepare(partial(sampler, per=per, pairing=pairing), types, classes), key, images, ids
        )
        for name, sampler in methods.items()
    }


def _mix(
    key: PRNGKeyArray, alpha: float, x: Array, other: Array, draws: int
) -> tuple[Array, Array]:
    lam = jax.random.beta(key, alpha, alpha, (draws,))
    weight = lam.reshape((-1,) + (1,) * (x.ndim - 1))
    return weight * x + (1 - weight) * other, lam


def _cut(key: PRNGKeyArray, x: Array, other: Array, draws: int) -> tuple[Array, Array]:
    rank = x.ndim
    key_lam, *key_axes = jax.random.split(key, rank - 1)
    lam = jax.random.beta(key_lam, 1.0, 1.0, (draws,))
    inside = jnp.ones((1,) * rank, bool)
    for axis, key_axis in enumerate(key_axes, start=1):
        length = x.shape[axis]
        half = length * (1 - lam) ** (1 / (rank - 2)) / 2
        centre = jax.random.uniform(key_axis, (draws,), maxval=length)
        place = jnp.arange(length)[None]
        within = (place >= (centre - half)[:, None]) & (place < (centre + half)[:, None])
        inside &= within.reshape((-1,) + (1,) * (axis - 1) + (length,) + (1,) * (rank - axis - 1))
    return jnp.where(inside, other, x), 1 - inside.mean(axis=tuple(range(1, rank)))


def by_hand(size: str, types: str, per: str) -> dict[str, Row]:
    """What papers and repositories write: jax.random.beta, a roll or a permutation, lax.cond."""
    key, images, ids, classes = batch(size, types)
    rows = images.shape[0]
    draws = 1 if per == "batch" else rows
    mix, cut = partial(_mix, draws=draws), partial(_cut, draws=draws)

    def labels(lam: Array, ids: Array, others: Array) -> Array:
        one_hot = partial(jax.nn.one_hot, num_classes=classes)
        return lam[:, None] * one_hot(ids) + (1 - lam[:, None]) * one_hot(others)

    def rolled(key: PRNGKeyArray, images: Array, ids: Array) -> tuple[Array, Array]:
        x = images.astype(jnp.float32)
        mixed, lam = mix(key, 0.2, x, jnp.roll(x, 1, axis=0))
        return finish(types, mixed), labels(lam, ids, jnp.roll(ids, 1))

    def permuted(key: PRNGKeyArray, images: Array, ids: Array) -> tuple[Array, Array]:
        key_lam, key_order = jax.random.split(key)
        x, order = images.astype(jnp.float32), jax.random.permutation(key_order, rows)
        mixed, lam = mix(key_lam, 0.2, x, x[order])
        return finish(types, mixed), labels(lam, ids, ids[order])

    def either(key: PRNGKeyArray, images: Array, ids: Array) -> tuple[Array, Array]:
        key_pick, key_mix = jax.random.split(key)
        x = images.astype(jnp.float32)
        other = x[::-1]
        mixed, lam = jax.lax.cond(
            jax.random.bernoulli(key_pick),
            lambda: mix(key_mix, 0.8, x, other),
            lambda: cut(key_mix, x, other),
        )
        return finish(types, mixed), labels(lam, ids, ids[::-1])

    steps = {"roll, beta": rolled, "permutation, beta": permuted, "lax.cond, beta": either}
    return {f"by hand: {name}": compiled(step, key, images, ids) for name, step in steps.items()}


def pairings(size: str, types: str) -> dict[str, Row]:
    """Each static pairing, and a drawn one, under mixup and under a mask of positions."""
    key, images, ids, classes = batch(size, types)
    rows = {}
    for name in ("mixup", "mixup or CutMix"):
        for pairing in (*PAIRINGS, "permutation"):

            def sampler(key: PRNGKeyArray, shape: tuple, name=name, pairing=pairing) -> jm.Mix:
                drawn = PAIRINGS.get(pairing)
                drawn = jm.permutation(key, shape[0]) if drawn is None else drawn
                return METHODS[name](key, shape, pairing=drawn)

            step = prepare(sampler, types, classes)
            rows[f"{name}, {pairing}"] = compiled(step, key, images, ids)
    return rows


def laws(shape: tuple[int, ...]) -> dict[str, Row]:
    """Two samplers of Beta(α, α); the first is the floor."""
    key, alpha = jax.random.key(0), jnp.float32(0.2)
    return {
        "symmetric_beta": compiled(lambda key, a: jm.symmetric_beta(key, a, shape), key, alpha),
        "jax.random.beta": compiled(lambda key, a: jax.random.beta(key, a, a, shape), key, alpha),
    }


def losses(classes: int, rows: int = 256) -> dict[str, Row]:
    """The loss and its gradient: a read and a write of the logits, two ids, or a dense label."""
    mix = jm.sample_mixup(jax.random.key(0), (rows,))
    logits = jax.random.normal(jax.random.key(1), (rows, classes))
    ids = jax.random.randint(jax.random.key(2), (rows,), 0, classes)

    def two_ids(logits: Float[Array, "b k"], ids: Int[Array, "b"]) -> Array:
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        return jm.pair_loss(mix, cross_entropy, logits, ids).mean()

    def dense(logits: Float[Array, "b k"], ids: Int[Array, "b"]) -> Array:
        target = jm.blend_labels(mix, ids, num_classes=classes)
        return optax.softmax_cross_entropy(logits, target).mean()

    return {
        "floor": compiled(lambda logits, ids: logits * 1.1, logits, ids),
        "pair_loss": compiled(jax.value_and_grad(two_ids), logits, ids),
        "dense labels": compiled(jax.value_and_grad(dense), logits, ids),
    }


def steps(rows: int, image: int) -> dict[str, Row]:
    """A train step of ResNet-50 in bfloat16 on one device, plain and with mixing in it."""
    config = imagenet.Config(batch=rows)
    mixup = imagenet.recipe(config, devices=1, num_classes=1000, epoch_steps=1000)
    mesh = jax.make_mesh((1,), (devices.AXIS,), axis_types=(AxisType.Auto,))
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (rows, image, image, 3), np.uint8))
    ids = jnp.asarray(rng.integers(0, 1000, rows))
    either = by_shape(partial(jm.sample_mixup_or_cutmix, pairing=jm.pairing_for(rows)))
    recipes = {"no mixing": with_draw(mixup, None), "mixup": mixup}
    recipes["mixup or CutMix"] = with_draw(mixup, either)
    found = {}
    for name, recipe in recipes.items():
        program = devices.program(mesh, recipe)
        state, key = program.init(), devices.key_on(mesh, 0)
        lowered = program.train.lower(state, key, (images, ids))
        start = time.perf_counter()
        train = lowered.compile()
        seconds = time.perf_counter() - start
        found[name] = Row(_Steps(train, state, key, (images, ids)), seconds)
    return found


class _Steps:
    """Consecutive steps: each takes the state that the last one gave."""

    def __init__(self, train: Callable, state: State, *inputs: Any):
        self.train, self.state, self.inputs = train, state, inputs

    def __call__(self) -> Metrics:
        self.state, metrics = self.train(self.state, *self.inputs)
        return metrics
