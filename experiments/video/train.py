"""Train a small 3-D network on clips that are mixed in any of the ways of video."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Metrics, Recipe, Task
from experiments.data import moving_digits
from experiments.data.moving_digits import DIGITS, MOTIONS, Clips
from experiments.models.cnn3d import CNN3D

WINDOW = (8, 16, 16)
MIXED = 0.5  # of the batches
Shape = tuple[int, ...]  # (B, T, H, W)
Sampler = Callable[[PRNGKeyArray, Shape], jm.Mix]


class Method(NamedTuple):
    """Numbers, all of which may be traced."""

    sampler: int = 0  # in SAMPLERS
    windows: float = 1.0  # 1: random windows in time and space; 0: the middle one
    weight_decay: float = 0.01


def none(key: PRNGKeyArray, shape: Shape) -> jm.Mix:
    return jm.sample_mixup(key, shape, lam_law=jm.constant(1.0))


def weight_a_frame(key: PRNGKeyArray, shape: Shape) -> jm.Mix:
    """The field's mistake: a new λ for each frame, so that a clip flickers."""
    weights = jm.symmetric_beta(key, 1.0, (1, shape[1]))
    return jm.Mix(jm.reverse(), weights, jnp.broadcast_to(weights.mean(axis=1), shape[:1]))


def box_a_frame(key: PRNGKeyArray, shape: Shape) -> jm.Mix:
    """The field's mistake: a new λ and box for each frame, so that boxes jump."""
    frames = jm.sample_cutmix(key, (shape[1], *shape[2:]), per="example")
    lam = jnp.broadcast_to(frames.lam.mean(), shape[:1])
    return jm.Mix(jm.reverse(), frames.mask[None], lam)


SAMPLERS: dict[str, Sampler] = {
    "plain": none,
    "mixup": jm.sample_mixup,
    "box in all frames": partial(jm.sample_cutmix, axes=(2, 3)),
    "interval of frames": partial(jm.sample_cutmix, axes=(1,)),
    "cuboid": jm.sample_cutmix,
    "fade": jm.sample_fademix,
    "λ a frame": weight_a_frame,
    "box a frame": box_a_frame,
}


def mixed(which: Int[Array, ""], key: PRNGKeyArray, clips: Clips) -> tuple[Array, Array, Array]:
    """The blended clips, and the two blended labels: one λ for both."""

    def road(sampler: Sampler, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
        mix = sampler(key, clips.x.shape[:-1])
        label = partial(jm.blend_labels, mix)
        digit = label(clips.digit, num_classes=DIGITS)
        return jm.blend(mix, clips.x), digit, label(clips.motion, num_classes=len(MOTIONS))

    return jax.lax.switch(which, [partial(road, sampler) for sampler in SAMPLERS.values()], key)


def recipe_of(steps: int, width: int, method: Method) -> Recipe:
    """AdamW on the sum of two cross-entropies, to the digit and to the motion."""

    def loss(task: Task) -> tuple[Array, Metrics]:
        key_crop, key_on, key_mix = jax.random.split(task.key, 3)
        cropped = moving_digits.window(key_crop, task.batch.x, WINDOW)
        middle = moving_digits.window(None, task.batch.x, WINDOW)
        clips = task.batch._replace(x=jnp.where(method.windows > 0, cropped, middle))
        which = jnp.asarray(method.sampler, jnp.int32) * jax.random.bernoulli(key_on, MIXED)
        x, digit, motion = mixed(which, key_mix, clips)
        outputs = heads(task.student(x, train=True))
        of_digit, of_motion = map(optax.softmax_cross_entropy, outputs, (digit, motion))
        return (of_digit + of_motion).mean(), {}

    rate = optax.cosine_decay_schedule(5e-3, steps)
    make_model = lambda rngs: CNN3D(DIGITS + len(MOTIONS), width=width, rngs=rngs)
    return Recipe(make_model, optax.adamw(rate, weight_decay=method.weight_decay), loss)


def heads(outputs: Float[Array, "b k"]) -> tuple[Array, Array]:
    """The logits of the digit, and of the motion."""
    return outputs[:, :DIGITS], outputs[:, DIGITS:]


def batch_of(size: int, key: PRNGKeyArray, data: tuple[Clips, Clips]) -> Clips:
    rows = jax.random.randint(key, (size,), 0, data[0].digit.shape[0])
    return Clips(*(array[rows] for array in data[0]))


def score(model: nnx.Module, data: tuple[Clips, Clips]) -> Metrics:
    """Test errors: of the digit, of the motion, and of the two together."""
    test = data[1]
    outputs = heads(model(moving_digits.window(None, test.x, WINDOW), train=False))
    digit, motion = (out.argmax(axis=-1) for out in outputs)
    wrong_digit, wrong_motion = digit != test.digit, motion != test.motion
    errors = {"digit": wrong_digit, "motion": wrong_motion, "error": wrong_digit | wrong_motion}
    return {name: wrong.mean(dtype=jnp.float32) for name, wrong in errors.items()}


def study(*, steps: int, batch: int, width: int) -> SeedTrainer:
    """Trainer for all seeds of a method, one after the other, as the network is not small."""
    recipe = partial(recipe_of, steps, width)
    return batch_trainer(recipe, partial(batch_of, batch), score, at_once=False)
