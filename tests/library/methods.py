"""The table of methods: a new method is a new row here, and all laws then hold for it or fail."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

import jax_mixup as jm

PER = ("batch", "pair", "example")
PAIRINGS = {
    "reverse": jm.reverse(),
    "reverse2": jm.reverse(groups=2),
    "roll": jm.roll(),
    "roll2": jm.roll(-1, groups=2),
    "neighbours": jm.neighbours(),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
    name: str
    sample: Callable[..., jm.Mix]  # (key, shape, *, alpha, per, pairing) -> Mix
    hard: bool = False  # the mask is bool
    rank: int = 3  # how many axes of positions the mask has at most
    options: tuple[str, ...] = ("alpha",)  # which of its options are alphas; () has no law of λ
    traced: dict = dataclasses.field(default_factory=dict)  # other options that may be traced
    own: bool = False  # follows an array: each row's draw is its own, and there is no `per`
    exact: bool = True  # lam is the share of positions taken; else labels weigh by something else

    def __call__(self, key, shape, *, alpha=None, **options) -> jm.Mix:
        if alpha is not None:
            options |= dict.fromkeys(self.options, alpha)
        if self.own:
            options.pop("per", None)
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


def _smmix(key, shape, **options):
    positions = jnp.arange(math.prod(shape), dtype=jnp.float32).reshape(shape)
    return jm.sample_smmix(key, jnp.sin(positions) + 1, **options)[0]


def _salient(sampler, *, grid=False):
    """The sampler, with saliency of its own key and a grid of three cells an axis at most."""

    def sample(key, shape, **options):
        saliency = jax.random.uniform(jax.random.fold_in(key, 1), shape)
        if grid:
            options["grid"] = tuple(min(n, 3) for n in shape[1:])
        drawn = sampler(key, saliency, **options)
        return drawn if isinstance(drawn, jm.Mix) else drawn[0]

    return sample


METHODS = [
    Method("mixup", jm.sample_mixup, rank=0),
    Method("cutmix", jm.sample_cutmix, hard=True),
    Method(
        "mixup-or-cutmix",
        partial(jm.sample_mixup_or_cutmix, prob=0.9),
        options=("mixup_alpha", "cutmix_alpha"),
        traced={"switch_prob": (0.0, 0.3, 1.0), "prob": (1.0, 0.5, 0.0)},
    ),
    Method("resizemix", jm.sample_resizemix, hard=True, options=()),
    Method("gridmix", jm.sample_gridmix, hard=True),
    Method("cowmix", partial(jm.sample_cowmix, sigma=(1.0, 3.0)), hard=True),
    Method("fmix", jm.sample_fmix, hard=True),
    Method("smoothmix", jm.sample_smoothmix, options=()),
    Method("gmix", jm.sample_gmix),
    Method("noisy mixup", jm.sample_noisymixup),
    Method("hmix", jm.sample_hmix, traced={"ratio": (0.5, 0.0, 1.0)}),
    Method("gridmixup", jm.sample_gridmixup, hard=True),
    Method("vhmixup", jm.sample_vhmixup),
    Method("tokenmix", partial(jm.sample_tokenmix, least=3), hard=True),
    Method("patchup", partial(jm.sample_patchup, block=2), hard=True, options=("gamma",)),
    Method("fademix", jm.sample_fademix, rank=1),
    Method("specmix", partial(jm.sample_specmix, bands=2), hard=True),
    Method("smmix", _smmix, hard=True, own=True, options=()),
    Method("saliencymix", _salient(jm.sample_saliencymix), hard=True, own=True),
    Method(
        "attentive-cutmix",
        _salient(partial(jm.sample_attentive_cutmix, lam_law=jm.uniform(0.0, 1.0), k=1), grid=True),
        hard=True,
        own=True,
        options=(),
    ),
    Method("guidedmixup", _salient(jm.sample_guidedmixup), own=True, options=()),
    Method("grafting", _salient(jm.sample_grafting, grid=True), hard=True, own=True, exact=False),
    Method("snapmix", _salient(jm.sample_snapmix), hard=True, own=True, exact=False),
    Method("puzzlemix", _salient(jm.sample_puzzlemix, grid=True), own=True),
    Method("one_of", _one_of),
    Method("sometimes", _sometimes, hard=True, traced={"prob": (1.0, 0.5, 0.0)}),
    Method("keep", _kept, hard=True),
]
