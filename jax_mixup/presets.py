"""Published policies by name: `preset("deit")` is the sampler that a training recipe uses.

A preset draws the mixes of a recipe, and does nothing else. `preset_smoothing` gives the label
smoothing of the recipe; learning rates and the like are not part of this library.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jax_mixup import _checks
from jax_mixup.distributions import constant, folded_beta
from jax_mixup.mix import Mix
from jax_mixup.pairings.static import reverse, roll
from jax_mixup.policies import Sampler, own_label, sometimes
from jax_mixup.samplers.cutmix import sample_cutmix
from jax_mixup.samplers.gridmix import sample_gridmix
from jax_mixup.samplers.mixup import sample_mixup
from jax_mixup.samplers.mixup_or_cutmix import sample_mixup_or_cutmix
from jax_mixup.samplers.noisymixup import sample_noisymixup
from jax_mixup.samplers.vhmixup import sample_vhmixup


def _big_vision(alpha: float) -> Sampler:
    return partial(sample_mixup, lam_law=folded_beta(alpha), pairing=roll())


def _long(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw λ for an interval whose length is a product of two uniform fractions of the axis."""
    return 1 - jax.random.uniform(key, (2, *shape), jnp.float32).prod(axis=0)


def _lines(axis: int) -> Sampler:
    """Make a sampler that takes each row or column of an image from one of the two examples."""

    def sampler(key: PRNGKeyArray, shape: tuple[int, ...], **options: Any) -> Mix:
        grid = tuple(size if i == axis else 1 for i, size in enumerate(shape[1:], start=1))
        return sample_gridmix(key, shape, grid=grid, **options)

    return sampler


PRESETS: dict[str, Sampler] = {
    # Recipes: of the authors' code for mixup and CutMix, of timm, and of big_vision.
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
    # Methods that are other methods with fixed options.
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


# Label smoothing, applied before mixing. Presets that are not here have none: in ResNet strikes
# back only A1 smooths labels, and its mixup has α = 0.2; "rsb" is for A2 and A3.
SMOOTHING: dict[str, float] = {"deit": 0.1}


def preset(name: str, *, shards: int = 1) -> Sampler:
    """Look up a published policy by its name.

        preset("deit") = partial(sample_mixup_or_cutmix, mixup_alpha=0.8, cutmix_alpha=1.0)

    A preset draws mixes and does nothing else. These are the recipes:

        cifar, imagenet                 mixup with α = 1, 0.2
        cutmix-cifar, cutmix-imagenet   CutMix with α = 1, for half of the batches, for all
        deit, rsb                       mixup with α = 0.8, 0.1, or CutMix with α = 1, evenly
        big_vision-light1, -light2      mixup with Beta(α, α) folded, α = 0, 0.2, and roll()
        big_vision-medium1, -medium2    the same with α = 0.2, 0.5
        big_vision-strong1, -strong2    the same with α = 0.5, 0.8
        samplepairing                   the average of two examples, with the first one's label

    There is also the bank of mixed examples: "vertical-concat", "vh-mixup", "random-rows" and
    others, with one line for each in `jax_mixup.presets.PRESETS`. Label smoothing is not part of a
    mix: `preset_smoothing` gives that of a recipe.

    Args:
      name: the name of the policy.
      shards: the number of devices that the batch axis is cut over: partners are then in the same
        shard, so that no example leaves its device.

    Returns:
      A sampler `(key, shape) -> Mix`, which takes more options by name, as in
      `partial(preset("deit"), per="example")`. All presets take `per` and `pairing`; other options
      are those of the sampler that it is made of.

    Raises:
      ValueError: If the name is unknown; the message lists the names that there are. Also if
        `shards` is less than 1.

    Example:
      >>> mix = jm.preset("deit")(jax.random.key(0), (8, 32, 32))
      >>> mix.mask.shape
      (1, 32, 32)
      >>> jm.preset("big_vision-light2", shards=4)(jax.random.key(0), (8,)).partner
      StaticPairing(rule='roll', shift=1, groups=4)

    big_vision shifts examples within each device, as `shards` does. "rsb" is the policy of A2 and
    A3, Wightman et al. 2021, arXiv:2110.00476. The bank is by Summers and Dinneen 2019,
    arXiv:1805.11272, whose squares and intervals come from another place of the partner. Two of its
    fourteen methods have no name here: random elements is `sample_gridmix(key, images.shape)`, and
    VH-BC+ blends the two concatenations by `balance`.
    """
    _checks.option("preset", "name", name, tuple(PRESETS))
    shards = _checks.whole("preset", "shards", shards, 1)
    if shards == 1:
        return PRESETS[name]
    rolled = name.startswith("big_vision")
    return partial(PRESETS[name], pairing=roll(groups=shards) if rolled else reverse(shards))


def preset_smoothing(name: str) -> float:
    """Look up the label smoothing of a published policy, which its mixes do not contain.

        preset_smoothing("deit") = 0.1

    Args:
      name: the name of the policy, one of those that `preset` takes.

    Returns:
      The number that `blend_labels` takes as `smoothing`; 0 if the recipe has none.

    Raises:
      ValueError: If the name is unknown; the message lists the names that there are.

    Example:
      >>> mix = jm.preset("deit")(jax.random.key(0), (2, 8, 8))
      >>> labels = jnp.array([0, 1])
      >>> smoothing = jm.preset_smoothing("deit")
      >>> soft = jm.blend_labels(mix, labels, num_classes=10, smoothing=smoothing)
      >>> print(f"{soft.min():.2f}")
      0.01

    DeiT: Touvron et al. 2021, arXiv:2012.12877.
    """
    _checks.option("preset_smoothing", "name", name, tuple(PRESETS))
    return SMOOTHING.get(name, 0.0)
