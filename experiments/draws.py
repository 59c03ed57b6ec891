"""Example draws of methods: functions of a batch that `experiments.catalogue` lists."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

import jax_mixup as jm

Options = Mapping[str, Any]
Named = Mapping[str, Options]  # under this name, with these options


class Moved(NamedTuple):
    """A mix, and what to blend by it, where a method moves pixels: `blend(mix, own, other)`."""

    mix: Any  # or a tuple of mixes
    own: Array
    other: Array | None = None


@dataclasses.dataclass(frozen=True)
class Tested:
    """What the tests of the library know of a sampler."""

    options: Options = dataclasses.field(default_factory=dict)  # with which it is tested
    hard: bool = False  # the mask is bool
    rank: int = 3  # how many axes of positions the mask has at most
    alphas: tuple[str, ...] = ("alpha",)  # its options that turn it off at 0
    traced: Mapping[str, tuple] = dataclasses.field(default_factory=dict)  # more that may be traced
    exact: bool = True  # lam is the fraction of positions kept; else labels weigh something else
    several: bool = False  # gives several mixes; most of the tests are for those that give one


@dataclasses.dataclass(frozen=True, eq=False)
class Draw:
    """An example draw: a function of a key and what `takes` names, which gives a mix.

    It may also give several mixes, a mix and more about it, or a `Moved`. Of what it takes,
    "shape", "images" and "labels" are there; anything else is made of a batch by a model or a
    transform: "spectral" or "gradient" saliency, "features", "cam" (class activation), "attention".
    """

    run: Callable[..., Any]
    takes: str = "shape"
    gallery: Named = dataclasses.field(default_factory=dict)
    costs: Named = dataclasses.field(default_factory=dict)
    family: Named = dataclasses.field(default_factory=dict)
    tested: Tested | None = None

    @property
    def name(self) -> str:
        return getattr(self.run, "__name__", "").removeprefix("sample_").replace("_", "-")

    @property
    def follows(self) -> str:
        """What has to be computed from the batch, if anything."""
        return next((x for x in self.takes.split() if x not in ("shape", "images", "labels")), "")

    def __call__(
        self, key: PRNGKeyArray, images: Array, labels: Any = None, made: Any = None, **options: Any
    ) -> Moved:
        """Its draw for a batch; `made` is what it follows."""
        given = {"shape": images.shape[:-1], "images": images, "labels": labels}
        drawn = self.run(key, *(given.get(x, made) for x in self.takes.split()), **options)
        return drawn if isinstance(drawn, Moved) else Moved(drawn, images)


# Methods of more than one call, as functions of a batch.


def resized(key: PRNGKeyArray, x: Array, *, method: str = "linear", **options: Any) -> Moved:
    mix = jm.sample_resizemix(key, x.shape[:-1], **options)
    return Moved(mix, x, jm.fit_partner(mix, x, method=method))


def boxes(
    key: PRNGKeyArray,
    shape: Any,
    *,
    shifts: Sequence[int] = (1, 2),
    groups: int = 1,
    **options: Any,
) -> Any:
    """Boxes of several other examples, one on top of the other."""
    pairs = zip(jax.random.split(key, len(shifts)), shifts, strict=True)
    cut = partial(jm.sample_cutmix, shape=shape, **options)
    return jm.overlay(*(cut(k, pairing=jm.roll(shift, groups=groups)) for k, shift in pairs))


def stacked(key: PRNGKeyArray, x: Array) -> Moved:
    """Pictures stacked to twice the height, and a mask that names the halves."""
    own = jnp.arange(2 * x.shape[1]) < x.shape[1]
    mix = jm.Mix(jm.neighbours(), own[None], jnp.full(len(x), 0.5))
    labels = jnp.eye(len(x))
    tall, _ = jm.stackmix(key, x, labels, other=(jm.take_partner(mix, x), labels))
    return Moved(mix, tall, tall)


def spliced(key: PRNGKeyArray, x: Array) -> Moved:
    """Four pictures in a grid, by cells of grids that show each picture four times."""
    alone = jax.vmap(lambda x: jm.splicemix(key, x[None], jnp.ones((1, 1)))[0][0])
    lower, right = (jnp.arange(size) >= size // 2 for size in x.shape[1:3])
    cell = 2 * lower[:, None] + right[None, :]
    rolls = [jm.Mix(jm.roll(-i), (cell != i)[None], jnp.full(len(x), 0.75)) for i in (1, 2, 3)]
    return Moved(jm.overlay(*rolls), alone(x))


def paired(pairing: Callable, key: PRNGKeyArray, data: Array, **options: Any) -> jm.Mix:
    """Mixup with partners `pairing(key, data)`."""
    key_pair, key = jax.random.split(key)
    return jm.sample_mixup(key, (len(data),), pairing=pairing(key_pair, data, **options))


def local(key: PRNGKeyArray, x: Array) -> jm.Mix:
    """Mixup of those pairs that are nearer than the median pair."""
    mix = jm.sample_mixup(key, (len(x),))
    distance = jnp.sqrt(jnp.square(x - jm.take_partner(mix, x)).sum((1, 2, 3)))
    return jm.keep_local(mix, x, radius=jnp.median(distance))


def guided(key: PRNGKeyArray, saliency: Array, *, blur: float, groups: int = 1) -> jm.Mix:
    pairs = jm.salient_pairs(saliency, blur=blur, groups=groups)
    return jm.sample_guidedmixup(key, saliency, blur=blur, pairing=pairs)


def restyled(key: PRNGKeyArray, x: Array, *, low: float | None = None, **options: Any) -> Moved:
    """Pictures with their partners' amplitudes, which stay where they are, as labels do."""
    mix = jm.sample_mixup(key, (len(x),), **options)
    return Moved(jm.no_mix(len(x)), jm.blend_amplitude(mix, x, low=low))


def styled(verb: Callable, key: PRNGKeyArray, x: Array, **options: Any) -> Moved:
    """Pictures with moments or quantiles of their partners' colours; labels stay."""
    mix = jm.sample_mixup(key, (len(x),), **options)
    return Moved(jm.no_mix(len(x)), verb(mix, x, axes=(1, 2)))


def classed(key: PRNGKeyArray, x: Array, **options: Any) -> jm.Mix:
    """ClassMix, whose classes are here four steps of brightness."""
    ids = (x.mean(axis=-1) / 64).astype(jnp.int32)
    return jm.sample_classmix(key, ids, num_classes=4, **options)


def pasted(key: PRNGKeyArray, saliency: Array, **options: Any) -> jm.Mix:
    """Copy-paste, whose objects are here what is most salient in each quarter of a picture."""
    lower, right = (jnp.arange(size) >= size // 2 for size in saliency.shape[1:])
    quarter = 1 + 2 * lower[:, None] + right[None, :]
    salient = saliency > jnp.quantile(saliency, 0.7, axis=(1, 2), keepdims=True)
    return jm.sample_copy_paste(key, jnp.where(salient, quarter, 0), num_objects=4, **options)


def ranked(key: PRNGKeyArray, shape: Any) -> tuple[jm.Mix, ...]:
    """ζ-mixup as a mix of all examples: `combine` gives the same pictures."""
    weights = jm.zeta_weights(key, shape[0])
    place = jnp.arange(shape[0])
    partner = (place[:, None] - place[None, :]) % shape[0]  # itself, then those of roll(1), …
    return jm.from_weights(jnp.take_along_axis(weights, partner, axis=1))


def pixmixed(key: PRNGKeyArray, x: Array) -> Moved:
    """Rounds with the next picture, in place of a fractal, and with the picture upside down."""
    own, next_one = x / 255, jnp.roll(x, -1, axis=0) / 255
    mixed = jm.pixmix(key, own, next_one, lambda key, x: x[:, ::-1])
    return Moved(jm.no_mix(len(x)), 255 * mixed)


def averaged(key: PRNGKeyArray, x: Array) -> Moved:
    """AugMix of three views: mirrored, moved, and with colours in steps."""
    views = x[:, :, ::-1], jnp.roll(x, x.shape[1] // 6, axis=1), jnp.floor(x / 64) * 64
    key_weights, key_share = jax.random.split(key)
    weights = jm.dirichlet_weights(key_weights, len(x), 3)[:, :, None, None, None]
    mean = sum(weights[:, i] * view for i, view in enumerate(views))
    share = jm.symmetric_beta(key_share, 1.0, (len(x),))
    own = jm.Mix(jm.reverse(), 1 - share, jnp.ones(len(x)))
    return Moved(jm.no_mix(len(x)), jm.blend(own, x, other=mean))


def snapped(key: PRNGKeyArray, x: Array, cam: Array, **options: Any) -> Moved:
    mix, source, _ = jm.sample_snapmix(key, cam, **options)
    return Moved(mix, x, jm.fit_partner(mix, x, source=source))


def puzzled(key: PRNGKeyArray, x: Array, saliency: Array, *, grid: Any, **options: Any) -> Moved:
    mix = jm.sample_puzzlemix(key, saliency, grid=grid, **options)
    own, other = jm.puzzle_transport(mix, saliency, grid=grid)
    move = partial(jm.move_blocks, grid=grid)
    return Moved(mix, move(x, own), move(jm.take_partner(mix, x), other))


def smmixed(key: PRNGKeyArray, x: Array, attention: Array, **options: Any) -> Moved:
    """Attention of every position; a patch of 16 has the mean of its own."""
    b, h, w = attention.shape
    each = attention.reshape(b, h // 16, 16, w // 16, 16).mean((2, 4))
    mix, source = jm.sample_smmix(key, each, patch=16, **options)
    return Moved(mix, x, jm.fit_partner(mix, x, source=source))
