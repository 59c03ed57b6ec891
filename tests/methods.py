"""The table of methods: a new method is a new row here, and all laws then hold for it or fail."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

import jax_mixup as jm


@dataclasses.dataclass(frozen=True)
class Method:
    name: str
    sample: Callable[..., jm.Mix]  # (key, shape, *, alpha, per, pairing) -> Mix
    hard: bool = False  # the mask is bool
    rank: int = 3  # how many axes of positions the mask has at most
    options: tuple[str, ...] = ("alpha",)  # which of its options are alphas
    traced: dict = dataclasses.field(default_factory=dict)  # other options that may be traced

    def __call__(self, key, shape, *, alpha=None, **options) -> jm.Mix:
        if alpha is not None:
            options |= dict.fromkeys(self.options, alpha)
        return self.sample(key, shape, **options)


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
    Method("mixup", jm.sample_mixup, rank=0),
    Method("cutmix", jm.sample_cutmix, hard=True),
    Method(
        "mixup-or-cutmix",
        partial(jm.sample_mixup_or_cutmix, prob=0.9),
        options=("mixup_alpha", "cutmix_alpha"),
        traced={"switch_prob": (0.0, 0.3, 1.0), "prob": (1.0, 0.5, 0.0)},
    ),
    Method("gridmix", jm.sample_gridmix, hard=True),
    Method("cowmix", partial(jm.sample_cowmix, sigma=(1.0, 3.0)), hard=True),
    Method("fademix", jm.sample_fademix, rank=1),
    Method("specmix", partial(jm.sample_specmix, bands=2), hard=True),
    Method("one_of", _one_of),
    Method("sometimes", _sometimes, hard=True, traced={"prob": (1.0, 0.5, 0.0)}),
    Method("keep", _kept, hard=True),
]

PER = ("batch", "pair", "example")
PAIRINGS = {
    "reverse": jm.reverse(),
    "reverse2": jm.reverse(groups=2),
    "roll": jm.roll(),
    "roll2": jm.roll(-1, groups=2),
    "neighbours": jm.neighbours(),
}
