"""Policies of the field by name: `preset("deit")` is the sampler that a recipe trains with."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jax_mixup import _checks
from jax_mixup.blobs import sample_noisymixup
from jax_mixup.laws import constant, folded_beta
from jax_mixup.mix import Mix
from jax_mixup.pairing import roll
from jax_mixup.patterns import sample_gridmix, sample_vhmixup
from jax_mixup.policies import Sampler, own_label, sometimes
from jax_mixup.samplers import sample_cutmix, sample_mixup, sample_mixup_or_cutmix


def _big_vision(alpha: float) -> Sampler:
    return partial(sample_mixup, lam_law=folded_beta(alpha), pairing=roll())


def _long(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """The length of an interval is a share of what is left after a first one."""
    return 1 - jax.random.uniform(key, (2, *shape), jnp.float32).prod(axis=0)


def _lines(axis: int) -> Sampler:
    """Whole rows or columns, each from one of the two."""

    def sampler(key: PRNGKeyArray, shape: tuple[int, ...], **options: Any) -> Mix:
        grid = tuple(size if i == axis else 1 for i, size in enumerate(shape[1:], start=1))
        return sample_gridmix(key, shape, grid=grid, **options)

    return sampler


PRESETS: dict[str, Sampler] = {
    # Recipes. Mixup's and CutMix's own code, timm's, big_vision's.
    "cifar": partial(sample_mixup, alpha=1.0),
    "imagenet": partial(sample_mixup, alpha=0.2),
    "cutmix-cifar": sometimes(sample_cutmix, 0.5),
    "cutmix-imagenet": sample_cutmix,
    "deit": partial(sample_mixup_or_cutmix, mixup_alpha=0.8, cutmix_alpha=1.0),
    "rsb": partial(sample_mixup_or_cutmix, mixup_alpha=0.1, cutmix_alpha=1.0),
    "big_vision-light1": _big_vision(0.0),
    "big_vision-light2": _big_vision(0.2),
    "big_vision-medium1": _big_vision(0.2),
    "big_vision-medium2": _big_vision(0.5),
    "big_vision-strong1": _big_vision(0.5),
    "big_vision-strong2": _big_vision(0.8),
    # Methods that are others with fixed options.
    "samplepairing": own_label(partial(sample_mixup, lam_law=constant(0.5))),
    # The bank of mixed examples, Summers and Dinneen 2019, by their names.
    "vertical-concat": partial(sample_cutmix, axes=(1,), box="corner"),
    "horizontal-concat": partial(sample_cutmix, axes=(2,), box="corner"),
    "mixed-concat": partial(sample_vhmixup, checkered=True),
    "random-2x2": partial(sample_gridmix, grid=(2, 2), jitter=0.5),
    "vh-mixup": sample_vhmixup,
    "random-square": partial(sample_cutmix, lam_law=constant(0.75)),
    "random-row-interval": partial(sample_cutmix, axes=(1,), box="inside", lam_law=_long),
    "random-column-interval": partial(sample_cutmix, axes=(2,), box="inside", lam_law=_long),
    "random-rows": _lines(1),
    "random-columns": _lines(2),
    "random-pixels": sample_gridmix,
    "noisy-mixup": sample_noisymixup,
}


def preset(name: str) -> Sampler:
    """Give a published policy by its name.

        preset("deit") = partial(sample_mixup_or_cutmix, mixup_alpha=0.8, cutmix_alpha=1.0)

    Recipes: "cifar" and "imagenet" (mixup), "cutmix-cifar" and "cutmix-imagenet", "deit" and "rsb"
    as timm trains, "big_vision-light1" to "big_vision-strong2". The bank of mixed examples:
    "vertical-concat", "vh-mixup", "random-rows" and others. `jax_mixup.presets.PRESETS` has them
    all, a line each.

    Args:
      name: of the policy.

    Returns:
      A sampler `(key, shape) -> Mix`; samplers that `functools.partial` made take other options on
      top: `partial(preset("deit"), per="example")`.

    Raises:
      ValueError: for an unknown name, with those that there are.

    Example:
      >>> mix = jm.preset("deit")(jax.random.key(0), (8, 32, 32))
      >>> mix.mask.shape
      (1, 32, 32)

    Label smoothing, which "deit" and "rsb" have too, is `blend_labels`'. big_vision shifts within
    each device: `partial(preset(name), pairing=roll(groups=devices))`. The bank is of Summers and
    Dinneen 2019, arXiv:1805.11272, whose squares and intervals come from another place of the
    partner. Two of its fourteen are no names here: random elements is
    `sample_gridmix(key, images.shape)`, and VH-BC+ blends the two concatenations by `balance`.
    """
    _checks.option("preset", "name", name, tuple(PRESETS))
    return PRESETS[name]
