"""Train a U-Net on mixed frames and masks, alone or with a mean teacher on unlabelled frames.

Void never enters an average: pictures are mixed, ids are not. The losses to both masks, and the
counts that divide them, are weighted by the mix at each position.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

import jax_mixup as jm
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Recipe, Task
from experiments.data import camvid
from experiments.data.camvid import CLASSES, VOID
from experiments.harness.runs import rounded
from experiments.models.unet import UNet
from experiments.segmentation.figures import packed, shown_of

RATE = 3e-3  # AdamW's, at the start
RARE = [CLASSES.index(name) for name in ("pole", "sign", "fence", "pedestrian", "bicyclist")]
SURE = 0.968  # ClassMix's: positions where the teacher is less sure lower its frame's weight


class Data(NamedTuple):
    """What one seed learns from, and what scores it."""

    images: UInt8[Array, "n h w 3"]
    masks: Int[Array, "n h w"]
    order: Int[Array, "n"]  # of the frames; the masks of the first ones are known
    labelled: Int[Array, ""]
    test_images: UInt8[Array, "m h w 3"]
    test_masks: Int[Array, "m h w"]


class Batch(NamedTuple):
    """Crops of labelled frames, and of frames whose masks must not be used."""

    images: UInt8[Array, "b h w 3"]
    masks: Int[Array, "b h w"]
    unlabelled: UInt8[Array, "b h w 3"]


class Numbers(NamedTuple):
    """Traced, so that one compiled program trains every method."""

    mixing: float = 0.0  # which of NAMES
    weight_decay: float = 1e-3


def off(key: PRNGKeyArray, ids: Int[Array, "b h w"]) -> jm.Mix:
    return jm.sample_mixup(key, ids.shape, alpha=0.0)


def classmix(key: PRNGKeyArray, ids: Int[Array, "b h w"]) -> jm.Mix:
    return jm.sample_classmix(key, ids, num_classes=len(CLASSES))


def by_shape(sampler: Callable[..., jm.Mix], **options: Any) -> Callable[[Any, Any], jm.Mix]:
    return lambda key, ids: sampler(key, ids.shape, per="example", **options)


HALF = jm.constant(0.5)
SAMPLERS = {  # for labelled frames
    "plain": off,
    "mixup": by_shape(jm.sample_mixup, alpha=0.2),
    "CutMix": by_shape(jm.sample_cutmix, alpha=1.0),
    "CowMix": by_shape(jm.sample_cowmix, alpha=1.0),
    "ClassMix": classmix,
}
TEACHER_SAMPLERS = {  # for unlabelled ones: half of each, as CutMix-Seg and ClassMix take
    "plain": off,
    "mixup": by_shape(jm.sample_mixup, alpha=1.0),
    "CutMix": by_shape(jm.sample_cutmix, lam_law=HALF, box="inside"),
    "CowMix": by_shape(jm.sample_cowmix, lam_law=HALF),
    "ClassMix": classmix,
}
NAMES = tuple(SAMPLERS)


def chosen(
    samplers: Sequence[Callable], which: Array, key: PRNGKeyArray, ids: Int[Array, "b h w"]
) -> jm.Mix:
    """The mix of one of the samplers, chosen by a traced number."""
    draws = [lambda key, shape, draw=draw: draw(key, ids) for draw in samplers]
    probs = jax.nn.one_hot(which.astype(jnp.int32), len(draws))
    return jm.one_of(draws, probs)(key, ids.shape)


def valid(logits: Float[Array, "b h w k"], ids: Int[Array, "b h w"]) -> Float[Array, "b h w"]:
    return ((ids >= 0) & (ids < logits.shape[-1])).astype(jnp.float32)


def losses(logits: Float[Array, "b h w k"], ids: Int[Array, "b h w"]) -> Float[Array, "b h w"]:
    """Cross-entropy at each position; 0 where the id is void, or no class at all."""
    inside = jnp.clip(ids, 0, logits.shape[-1] - 1)
    return optax.softmax_cross_entropy_with_integer_labels(logits, inside) * valid(logits, ids)


def mixed_loss(
    mix: jm.Mix, logits: Float[Array, "b h w k"], ids: Int[Array, "b h w"]
) -> Float[Array, ""]:
    """The mean over what is labelled; 0 where nothing is."""
    total = jm.pair_loss(mix, losses, logits, ids, by="mask").sum()
    return total / jnp.maximum(jm.pair_loss(mix, valid, logits, ids, by="mask").sum(), 1)


def supervised(mix_of: Callable, task: Task) -> tuple[Array, dict[str, Array]]:
    """The loss on labelled frames alone, mixed."""
    batch: Batch = task.batch
    mix = mix_of(task.key, batch.masks)
    inputs = normalise(jm.blend(mix, batch.images, dtype=jnp.float32))
    return mixed_loss(mix, task.student(inputs, train=True), batch.masks), {}


def taught(mix_of: Callable, task: Task) -> tuple[Array, dict[str, Array]]:
    """The loss on labelled frames as they are, and on mixed ones that the teacher labels.

    The student sees other brightness and contrast than the teacher, mixed or not: without any
    difference there would be nothing to learn from it. A frame's weight is the fraction of its
    positions where the teacher, before mixing, was sure.
    """
    batch: Batch = task.batch
    key_mix, key_light = jax.random.split(task.key)
    probs = jax.nn.softmax(task.teacher(normalise(batch.unlabelled), train=False))
    ids, sure = probs.argmax(-1), (probs.max(-1) >= SURE).astype(jnp.float32)
    mix = mix_of(key_mix, ids)
    mixed = lights(key_light, jm.blend(mix, batch.unlabelled, dtype=jnp.float32))
    both = jnp.concatenate([normalise(batch.images), normalise(mixed)])
    own, others = jnp.split(task.student(both, train=True), 2)
    weight = jm.blend(mix, sure).mean((1, 2))
    agree = jm.pair_loss(mix, losses, others, ids, by="mask").mean((1, 2))
    loss = mixed_loss(off(key_mix, batch.masks), own, batch.masks)
    return loss + (weight * agree).mean(), {"sure": weight.mean()}


def normalise(x: Array) -> Float[Array, "b h w 3"]:
    return (x.astype(jnp.float32) - 100) / 70


def lights(key: PRNGKeyArray, x: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Each frame with random contrast and brightness."""
    contrast, brightness = jax.random.uniform(key, (2, x.shape[0], 1, 1, 1))
    mean = x.mean((1, 2, 3), keepdims=True)
    return (x - mean) * (0.6 + 0.8 * contrast) + mean + 60 * (brightness - 0.5)


def batch_of(key: PRNGKeyArray, data: Data, *, batch: int, crop: tuple[int, int]) -> Batch:
    """Random crops of random frames, half of them flipped."""
    count, *size = data.masks.shape
    # If all are labelled there is no other frame. Any will do, as no method then uses these crops.
    first_other = jnp.where(data.labelled < count, data.labelled, 0)
    places = (0, data.labelled), (first_other, count)
    low = jnp.array([[[first, 0, 0, 0]] for first, _ in places])
    room = [old - new + 1 for old, new in zip(size, crop, strict=True)]
    high = jnp.array([[[last, *room, 2]] for _, last in places])
    known, others = jax.random.randint(key, (2, batch, 4), low, high)

    def cut(maps: Array, draw: Int[Array, "4"]) -> Array:
        place, top, left, flip = draw
        rest = maps.shape[3:]
        start = (data.order[place], top, left, *[0] * len(rest))
        one = jax.lax.dynamic_slice(maps, start, (1, *crop, *rest))[0]
        return jnp.where(flip, one[:, ::-1], one)

    crops = lambda maps, draws: jax.vmap(partial(cut, maps))(draws)
    images, masks = crops(data.images, known), crops(data.masks, known)
    return Batch(images, masks, crops(data.images, others))


def predictions(model: Any, images: UInt8[Array, "m h w 3"]) -> Int[Array, "m h w"]:
    """One frame after the other: all at once would take gigabytes."""
    one = lambda image: model(normalise(image[None]), train=False)[0].argmax(-1)
    return jax.lax.map(one, images)


def score(model: Any, data: Data) -> dict[str, Array]:
    """Intersection over union, over all test frames and without void, and what the figures show."""
    found, true = predictions(model, data.test_images), data.test_masks
    hot = lambda ids: jax.nn.one_hot(ids, len(CLASSES)).reshape(-1, len(CLASSES))
    counted = hot(found) * (true.reshape(-1, 1) < VOID)
    both, union = hot(true).T @ counted, counted.sum(0) + hot(true).sum(0)
    hits = jnp.diagonal(both)
    ious = hits / jnp.maximum(union - hits, 1)
    accuracy = hits.sum() / jnp.maximum(hot(true).sum(), 1)
    shown = found[shown_of(len(found))]
    return {"miou": ious.mean(), "ious": ious, "accuracy": accuracy, "shown": shown}


def study(
    *, teacher: bool, widths: Sequence[int], steps: int, batch: int, crop: tuple[int, int]
) -> SeedTrainer:
    """Trains by any of the samplers, with a teacher or without."""
    known, loss = (TEACHER_SAMPLERS, taught) if teacher else (SAMPLERS, supervised)
    samplers = [known[name] for name in NAMES]

    def recipe_of(numbers: Any) -> Recipe:
        mix_of = partial(chosen, samplers, numbers.mixing)
        rates = optax.polynomial_schedule(RATE, 0.0, power=0.9, transition_steps=steps)
        optimizer = optax.adamw(rates, weight_decay=numbers.weight_decay)
        make_model = lambda rngs: UNet(len(CLASSES), widths=widths, rngs=rngs)
        return Recipe(make_model, optimizer, partial(loss, mix_of), ema=0.99)

    draw = partial(batch_of, batch=batch, crop=crop)
    return batch_trainer(recipe_of, draw, score, at_once=False)


def data_of(scenes: camvid.Scenes, test: camvid.Frames, seeds: range, labelled: int) -> Data:
    """The same frames for every seed, in an order of its own, which says whose masks are known."""
    count = len(scenes.train.images)
    order = np.stack([np.random.default_rng(seed).permutation(count) for seed in seeds])
    same = lambda a: jnp.broadcast_to(jnp.asarray(a), (len(seeds), *np.shape(a)))
    (images, masks), tested = map(same, scenes.train), map(same, test)
    return Data(images, masks, jnp.asarray(order), same(jnp.int32(labelled)), *tested)


def results(seeds: Sequence[int], scores: dict[str, np.ndarray]) -> list[dict]:
    """A result for each seed, in percent: last scores, curve, and seed 0's predictions."""
    last = {name: values[:, -1] for name, values in scores.items()}
    found = {name: 100 * last[name] for name in ("miou", "accuracy", "ious")}
    found |= {"rare": found["ious"][:, RARE].mean(1), "miss": 100 - found["miou"]}
    found |= {"loss": last["train_loss"], "curve": 100 - 100 * scores["miou"]}
    runs: list[dict] = [
        {"seed": seed} | {n: rounded(v[i], 3) for n, v in found.items()}
        for i, seed in enumerate(seeds)
    ]
    if seeds[0] == 0:
        runs[0]["shown"] = packed(last["shown"][0])
    return runs
