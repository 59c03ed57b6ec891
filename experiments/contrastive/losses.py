"""Contrastive losses for `Recipe`, mixed by `pair_loss`, and the views they need.

Each example is a class of its own, with its place in the batch as its id: a view has to be found
among the others' by the similarity of their projections. For a mixed view the ids are mixed as
class ids are, so no method here has a loss of its own, only a sampler.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jax_mixup as jm
from experiments.core.classify import Sampler
from experiments.core.step import Task
from experiments.data import augment

Views = Callable[[PRNGKeyArray, Array], Array]
cross_entropy = optax.softmax_cross_entropy_with_integer_labels


class Method(NamedTuple):
    """What is learned in one step."""

    sampler: Sampler | None  # of the mixed term, if there is one
    clean: bool  # whether there is a term without mixing


def i_mix(key: PRNGKeyArray, shape: tuple[int, ...]) -> jm.Mix:
    """Lee et al. 2021, arXiv:2010.08887: folded λ for each example, random partners."""
    key_mix, key_pair = jax.random.split(key)
    partner, law = jm.permutation(key_pair, shape[0]), jm.folded_beta(1.0)
    return jm.sample_mixup(key_mix, shape, lam_law=law, per="example", pairing=partner)


def mixco(key: PRNGKeyArray, shape: tuple[int, ...]) -> jm.Mix:
    """Kim et al. 2020, arXiv:2010.06300: λ ~ U(0, 1) per example, partners from the other half."""
    return jm.sample_mixup(key, shape, per="example", pairing=jm.roll(shape[0] // 2))


METHODS = {
    "SimCLR": Method(None, clean=True),
    "i-Mix": Method(i_mix, clean=False),
    # Shen et al. 2022, arXiv:2003.05438: one λ, the batch reversed, mixup or a box.
    "Un-Mix": Method(partial(jm.sample_mixup_or_cutmix, mixup_alpha=1.0), clean=True),
    "MixCo": Method(mixco, clean=True),
}


def contrast(task: Task, *, views: Views, method: Method, temperature: float | Array) -> Any:
    """Two views of each example of `task.batch`, and a mixed one if the method has it.

    The first views are mixed, and the mixed view has to be found among the second ones, which are
    not mixed: for i-Mix alone that is its form with N pairs.
    """
    x = task.batch
    if len(x) < 2:
        raise ValueError(
            f"contrast got {len(x)} examples; it needs 2 or more, for the others are what an "
            "example is told from."
        )
    key_first, key_second, key_mix, key_model = jax.random.split(task.key, 4)
    first, second = views(key_first, x), views(key_second, x)
    mix = None if method.sampler is None else method.sampler(key_mix, x.shape[:-1])
    anchors = [first] * method.clean + ([] if mix is None else [jm.blend(mix, first)])
    projected = task.student(jnp.concatenate([second, *anchors]), train=True, key=key_model)
    keys, *projected = jnp.split(projected, 1 + len(anchors))
    scores = [similarities(z, keys, temperature) for z in projected]
    terms = {}
    if method.clean:
        terms["clean"] = (info_nce(scores[0]) + info_nce(scores[0].T)).mean() / 2
    if mix is not None:
        ids = jnp.arange(len(x))
        terms["mixed"] = jm.pair_loss(mix, cross_entropy, scores[-1], ids).mean()
    return sum(terms.values()), terms


def similarities(
    z: Float[Array, "b d"], keys: Float[Array, "k d"], temperature: float | Array
) -> Float[Array, "b k"]:
    """Cosines over τ."""
    return unit(z) @ unit(keys).T / temperature


def unit(z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    # Not by linalg.norm, whose gradient at zero is NaN.
    return z * jax.lax.rsqrt(jnp.square(z).sum(axis=-1, keepdims=True) + 1e-12)


def info_nce(similarities: Float[Array, "b b"]) -> Float[Array, "b"]:
    """Cross-entropy to the example's number: each has to find its own other view among all."""
    return cross_entropy(similarities, jnp.arange(len(similarities)))


class Encoder(nnx.Module):
    """A network that gives features, and a projection of them for the loss."""

    def __init__(self, body: nnx.Module, features: int, outputs: int, *, rngs: nnx.Rngs):
        self.body: Any = body
        self.hidden = nnx.Linear(features, features, rngs=rngs)
        self.last = nnx.Linear(features, outputs, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b ..."], *, train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "b k"]:
        return self.last(nnx.relu(self.hidden(self.body(x, train=train, key=key))))


def digit_views(key: PRNGKeyArray, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Shifts by a pixel, Gaussian noise, and a square of three pixels that is cut out."""
    key_shift, key_noise, key_cut = jax.random.split(key, 3)
    x = augment.shift(key_shift, x)
    return cutout(key_cut, x, side=3) + 0.1 * jax.random.normal(key_noise, x.shape)


def picture_views(key: PRNGKeyArray, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Crops, flips, a square cut out, and random brightness and contrast of each channel."""
    key_crop, key_cut, *keys = jax.random.split(key, 4)
    x = cutout(key_cut, augment.crop_flip(key_crop, x), side=x.shape[1] // 3)
    size = (len(x), 1, 1, x.shape[-1])
    low, high = (jax.random.uniform(k, size, minval=-0.3, maxval=0.3) for k in keys)
    return x * (1 + high) + low


def cutout(key: PRNGKeyArray, x: Float[Array, "b h w c"], *, side: int) -> Float[Array, "b h w c"]:
    """Zeros in a square inside each picture."""
    height, width = x.shape[1:3]
    room = jnp.array([height - side + 1, width - side + 1])
    start = jax.random.randint(key, (2, len(x), 1), 0, room[:, None, None])
    inside = [
        (jnp.arange(n) >= at) & (jnp.arange(n) < at + side)
        for n, at in zip((height, width), start, strict=True)
    ]
    return jnp.where(inside[0][:, :, None, None] & inside[1][:, None, :, None], 0, x)
