"""Train a U-Net on frames by day that look otherwise, and test it on those at dusk.

Only how crops look is changed: where things are, and so the masks, stay.
"""

from collections.abc import Callable, Mapping
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
from experiments.data.camvid import CLASSES
from experiments.domain_shift.frames import Domains
from experiments.models.unet import UNet
from experiments.segmentation import train as segmentation

Crops = Float[Array, "b h w 3"]
DECAY = 1e-2  # of weights, as in `segmentation`
SCORES = ("miou", "ious", "accuracy")


class Data(NamedTuple):
    """What one seed learns from, and what scores it."""

    images: UInt8[Array, "n h w 3"]
    masks: Int[Array, "n h w"]
    order: Int[Array, "n"]  # of the frames; the masks of the first ones are known
    labelled: Int[Array, ""]
    alone: Array  # whether each frame is standardised
    tests: Mapping[str, tuple[Array, Array]]  # frames and masks, by kind


class Numbers(NamedTuple):
    """Traced, so that one compiled program trains every method."""

    look: float = 0.0  # which of LOOKS
    strength: float = 0.0  # of light, or how far FDA reaches


class Method(NamedTuple):
    """A look by name, its strength, and what is not traced."""

    look: str = "as it is"
    strength: float = 0.0
    alone: bool = False  # standardise each frame by its own mean and deviation
    masks: bool = False  # learn the masks at dusk, too


swap = jm.own_label(partial(jm.sample_mixup, lam_law=jm.constant(0.0)))
each = jm.own_label(partial(jm.sample_mixup, lam_law=jm.uniform(0.0, 1.0), per="example"))


def light(key: PRNGKeyArray, x: Crops, other: Crops, strength: Array) -> Crops:
    """Brightness, then contrast, by random factors, as torchvision's ColorJitter has them."""
    spread = jax.random.uniform(key, (2, x.shape[0], 1, 1, 1), minval=-1.0)
    brightness, contrast = 1 + strength * spread
    x = jnp.clip(brightness * x, 0, 255)
    mean = x.mean((1, 2, 3), keepdims=True)
    return mean + contrast * (x - mean)


def fda(key: PRNGKeyArray, x: Crops, other: Crops, strength: Array) -> Crops:
    return jm.blend_amplitude(swap(key, x.shape[:1]), x, other=other, low=strength)


def fact(key: PRNGKeyArray, x: Crops, other: Crops, strength: Array) -> Crops:
    return jm.blend_amplitude(each(key, x.shape[:1]), x)


def moments(key: PRNGKeyArray, x: Crops, other: Crops, strength: Array) -> Crops:
    return jm.blend_moments(swap(key, x.shape[:1]), x, axes=(1, 2), other=other)


Look = Callable[[PRNGKeyArray, Crops, Crops, Array], Crops]
LOOKS: dict[str, Look] = {  # of crops with masks; `other` are crops at dusk, without
    "as it is": lambda key, x, other, strength: x,
    "light": light,
    "FDA": fda,
    "FACT": fact,
    "moments": moments,
}


def looking(numbers: Numbers, key: PRNGKeyArray, x: Array, other: Array) -> Crops:
    """Crops under a look that a traced number chooses, within the range of pixels."""
    which = jnp.asarray(numbers.look, jnp.int32)
    given = key, x.astype(jnp.float32), other.astype(jnp.float32), jnp.asarray(numbers.strength)
    return jnp.clip(jax.lax.switch(which, [*LOOKS.values()], *given), 0, 255)


def standardised(alone: Array, x: Crops) -> Crops:
    """If asked, each frame, or crop, and channel with mean 0 and deviation 1."""
    mean, deviation = x.mean((1, 2), keepdims=True), x.std((1, 2), keepdims=True)
    return jnp.where(alone > 0, (x - mean) / jnp.maximum(deviation, 1e-3), x)


def loss(numbers: Numbers, task: Task) -> tuple[Array, dict[str, Array]]:
    """Cross-entropy over what is labelled."""
    crops, alone = task.batch
    x = looking(numbers, task.key, crops.images, crops.unlabelled)
    logits = task.student(standardised(alone, segmentation.normalise(x)), train=True)
    total = segmentation.losses(logits, crops.masks).sum()
    return total / jnp.maximum(segmentation.valid(logits, crops.masks).sum(), 1), {}


def score(model: Any, data: Data) -> dict[str, Array]:
    """The scores of each kind of test frames, `dusk_miou` and so on."""
    own = lambda x, train: model(standardised(data.alone, x), train=train)
    found = {}
    for name, (images, masks) in data.tests.items():
        scores = segmentation.score(own, segmentation.Data(*data[:4], images, masks))
        found |= {f"{name}_{key}": scores[key] for key in SCORES}
    return found


def trainer_of(
    *, widths: tuple[int, ...], steps: int, batch: int, crop: tuple[int, int]
) -> SeedTrainer:
    """Trainer for all seeds of a method; the same program for every method."""

    def recipe_of(numbers: Any) -> Recipe:
        rates = optax.polynomial_schedule(segmentation.RATE, 0.0, power=0.9, transition_steps=steps)
        make_model = lambda rngs: UNet(len(CLASSES), widths=widths, rngs=rngs)
        optimizer = optax.adamw(rates, weight_decay=DECAY)
        return Recipe(make_model, optimizer, partial(loss, numbers), ema=0.99)

    def batch_of(key: PRNGKeyArray, data: Any) -> tuple[segmentation.Batch, Array]:
        return segmentation.batch_of(key, data, batch=batch, crop=crop), data.alone

    return batch_trainer(recipe_of, batch_of, score)


def numbers_of(method: Method) -> Numbers:
    return Numbers([*LOOKS].index(method.look), method.strength)


def data_of(domains: Domains, method: Method, seeds: range, *, choosing: bool) -> Data:
    """The same frames for every seed. Choices are made on held-out frames by day alone."""
    results = {"dusk": domains.dusk, "day": domains.day}
    tests = {"day": domains.held_out} if choosing else results
    count = len(domains.train.images)
    labelled = count if method.masks else domains.by_day
    one = *domains.train, np.arange(count), np.int32(labelled), np.float32(method.alone), tests
    same = lambda a: jnp.broadcast_to(jnp.asarray(a), (len(seeds), *np.shape(a)))
    return Data(*jax.tree.map(same, one))
