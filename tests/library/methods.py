"""The methods of the catalogue as tests call them: every law is checked for each, or it fails."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

import jax_mixup as jm
from experiments import catalogue
from experiments.draws import Draw

PER = ("batch", "pair", "example")
PAIRINGS = {
    "reverse": jm.reverse(),
    "reverse2": jm.reverse(groups=2),
    "roll": jm.roll(),
    "roll2": jm.roll(-1, groups=2),
    "neighbours": jm.neighbours(),
}
TESTED = [draw for draw in catalogue.draws() if draw.tested]
SEVERAL = [draw for draw in TESTED if draw.tested.several]
DRAWS = [draw for draw in TESTED if not draw.tested.several]
SHAPED = [draw for draw in DRAWS if draw.takes == "shape"]
FOLLOWING = [draw for draw in DRAWS if draw.takes != "shape"]


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
    name: str
    sample: Callable[..., jm.Mix]  # (key, shape, *, alpha, per, pairing) -> Mix
    hard: bool = False  # the mask is bool
    rank: int = 3  # how many axes of positions the mask has at most
    options: tuple[str, ...] = ("alpha",)  # which of its options are alphas; () has none
    traced: dict = dataclasses.field(default_factory=dict)  # other options that may be traced
    own: bool = False  # follows an array: each example's draw is its own, and there is no `per`
    exact: bool = True  # lam is the fraction of positions kept; else labels weigh something else

    def __call__(self, key, shape, *, alpha=None, **options) -> jm.Mix:
        if alpha is not None:
            options |= dict.fromkeys(self.options, alpha)
        if self.own:
            options.pop("per", None)
        return self.sample(key, shape, **options)


def takes(draw: Draw, option: str) -> bool:
    return option in inspect.signature(draw.run).parameters


def _attention(key, shape):
    positions = jnp.arange(math.prod(shape), dtype=jnp.float32).reshape(shape)
    return jnp.sin(positions) + 1


def _saliency(key, shape):
    return jax.random.uniform(jax.random.fold_in(key, 1), shape)


def _following(draw: Draw):
    """The sampler, with an array of its own key and a grid of three cells an axis at most."""
    made = _attention if draw.takes == "attention" else _saliency

    def sample(key, shape, **options):
        if takes(draw, "grid"):
            options["grid"] = tuple(min(n, 3) for n in shape[1:])
        drawn = draw.run(key, made(key, shape), **draw.tested.options, **options)
        return drawn if isinstance(drawn, jm.Mix) else drawn[0]

    return sample


def _method(draw: Draw) -> Method:
    known, own = draw.tested, draw.takes != "shape"
    sample = _following(draw) if own else partial(draw.run, **known.options)
    traced = dict(known.traced)
    return Method(draw.name, sample, known.hard, known.rank, known.alphas, traced, own, known.exact)


def _one_of(key, shape, *, alpha=1.0, per="batch", **options):
    samplers = [
        partial(jm.sample_mixup, alpha=alpha, per=per, **options),
        partial(jm.sample_cutmix, alpha=alpha, per=per, **options),
    ]
    return jm.one_of(samplers, (0.5, 0.5), per=per)(key, shape)


def _sometimes(key, shape, *, prob=0.7, per="batch", **options):
    sampler = partial(jm.sample_cutmix, per=per, **options)
    return jm.sometimes(sampler, prob, per=per)(key, shape)


def _kept(key, shape, **options):
    return jm.keep(jm.sample_cutmix(key, shape, **options), jnp.arange(shape[0]) != 1)


METHODS = [
    *map(_method, DRAWS),
    Method("one_of", _one_of),
    Method("sometimes", _sometimes, hard=True, traced={"prob": (1.0, 0.5, 0.0)}),
    Method("keep", _kept, hard=True),
]
