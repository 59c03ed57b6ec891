"""PixMix and AugMix on digits: the views, the pictures to mix with, and how networks train.

No view is one of the nine test corruptions: a picture is sheared, enlarged or made smaller, gets
another gamma or few greys.
"""

import functools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

import jax_mixup as jm
from experiments.core import classify
from experiments.core.seeds import SeedTrainer, epoch_trainer
from experiments.core.step import Metrics, Recipe, Task
from experiments.data import digits
from experiments.models.mlp import MLP

SHEAR, ZOOM, GAMMA, GREYS = 0.3, 1.25, 2.0, 4  # the most of each, and the number of greys
Images = Float[Array, "b h w 1"]


class PixMix(NamedTuple):
    """Hendrycks et al. 2022, arXiv:2112.05135, in up to four rounds, as published."""

    beta: float = 3.0  # larger is weaker; 3 is published


class AugMix(NamedTuple):
    """Hendrycks et al. 2020, arXiv:1912.02781, with chains of one view."""

    weight: float = 12.0  # of the Jensen-Shannon loss; 12 is published


def recipe_of(method: PixMix | AugMix) -> Recipe:
    """Network and optimizer of `digits_mlp`, on another loss."""
    return Recipe(
        make_model=lambda rngs: MLP(64, 128, digits.NUM_CLASSES, rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=0.0),
        loss=partial(pixmix_loss if isinstance(method, PixMix) else augmix_loss, method),
    )


@functools.cache
def study_of() -> SeedTrainer:
    """Trainer that vmaps over seeds."""
    return epoch_trainer(recipe_of, batch=50)


def pixmix_loss(method: PixMix, task: Task) -> tuple[Float[Array, ""], Metrics]:
    x, y = task.batch
    key_pictures, key_mix = jax.random.split(task.key)
    others = jnp.asarray(pictures())
    others = others[jax.random.randint(key_pictures, y.shape, 0, len(others))]
    mixed = jm.pixmix(key_mix, x, others, views, beta=method.beta)
    return classify.cross_entropy(task.student(mixed, train=True), y).mean(), {}


def augmix_loss(method: AugMix, task: Task) -> tuple[Float[Array, ""], Metrics]:
    x, y = task.batch
    seen = [x, *(augmix(key, x) for key in jax.random.split(task.key))]
    logits = jnp.split(task.student(jnp.concatenate(seen), train=True), 3)
    loss = classify.cross_entropy(logits[0], y).mean()
    return loss + method.weight * jm.jsd_loss(logits).mean(), {}


def augmix(key: PRNGKeyArray, x: Images) -> Images:
    """Each picture averaged with an average of three of its views."""
    key_weights, key_own, *keys = jax.random.split(key, 5)
    weights = jm.dirichlet_weights(key_weights, len(x), 3)[:, :, None, None, None]
    chains = sum(weights[:, i] * views(keys[i], x) for i in range(3))
    own = jm.symmetric_beta(key_own, 1.0, (len(x),))
    return jm.blend(jm.Mix(jm.reverse(), own, jnp.ones(len(x))), x, other=chains)


def views(key: PRNGKeyArray, x: Images) -> Images:
    """One view of each picture, by an operation of its own."""
    return jax.vmap(view)(jax.random.split(key, len(x)), x[..., 0])[..., None]


def view(key: PRNGKeyArray, image: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Sheared along rows or along columns, zoomed, of another gamma, or of few greys."""
    key_kind, key_amount = jax.random.split(key)
    kind = jax.random.randint(key_kind, (), 0, 5)
    u = jax.random.uniform(key_amount, minval=-1.0, maxval=1.0)
    amount = lambda which: jnp.where(kind == which, u, 0.0)
    zoom = ZOOM ** amount(2)
    image = along_rows(image, zoom, SHEAR * amount(0))
    image = along_rows(image.T, zoom, SHEAR * amount(1)).T
    image = image**GAMMA ** amount(3)
    return jnp.where(kind == 4, jnp.round(image * (GREYS - 1)) / (GREYS - 1), image)


def along_rows(image: Float[Array, "h w"], zoom: Array, shear: Array) -> Float[Array, "h w"]:
    """Each row zoomed about its middle and moved in proportion to its place; linear in between."""
    height, width = image.shape
    row, column = jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2
    source = column / zoom - shear * row[:, None]
    weights = jnp.maximum(1 - jnp.abs(source[:, :, None] - column), 0)
    return jnp.einsum("hwv,hv->hw", weights, image)


@functools.cache
def pictures(count: int = 1000, size: int = 8) -> Float[np.ndarray, "count size size 1"]:
    """Noise whose amplitudes fall as 1 / frequency, each picture stretched to [0, 1]."""
    noise = np.random.default_rng(0).normal(size=(count, size, size))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    frequency[0, 0] = np.inf  # no mean, which stretching would remove
    x = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
    x = x - x.min((1, 2), keepdims=True)
    return (x / x.max((1, 2), keepdims=True))[..., None].astype(np.float32)
