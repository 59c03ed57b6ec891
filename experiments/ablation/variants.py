"""Mixup with something changed: who is mixed with whom, how λ is drawn, what is mixed, and where.

Each variant is one line of a table: a function that gives partners, options of `jm.sample_mixup`,
or another mix by `dataclasses.replace`. A number selects the line, so that one compiled program has
them all.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.models import layers
from experiments.models.mlp import MLP

LAYERS = 3  # of an MLP: the input and two hidden ones
ANY = LAYERS  # one of them, drawn for each batch


def class_and_nearest(
    key: PRNGKeyArray, x: Float[Array, "b ..."], y: Int[Array, "b"]
) -> Int[Array, "b"]:
    """The nearest example with the same label, as in SMOTE; the example itself if there is none."""
    differs = y[:, None] != y[None, :]
    far = 1e3 * differs.astype(jnp.float32)  # examples of one class have equal rows here
    nearest = jm.nearest(key, jnp.concatenate([x.reshape(len(y), -1), far], axis=1))
    return jnp.where(y[nearest] == y, nearest, jnp.arange(len(y)))


PARTNERS = {  # (key, x, y) -> i32[B]
    "shuffled": lambda key, x, y: jm.permutation(key, len(y)),
    "reversed": lambda key, x, y: jm.partner_index(jm.reverse(), len(y)),
    "same class": lambda key, x, y: jm.within_class(key, y),
    "other class": lambda key, x, y: jm.across_class(key, y),
    "nearest 5": lambda key, x, y: jm.nearest(key, x, k=5),
    "nearest of class": class_and_nearest,
}
LAMS = {  # alpha -> options; "per pair" is for the partners "reversed"
    "per batch": lambda alpha: {"alpha": alpha},
    "per pair": lambda alpha: {"alpha": alpha, "per": "pair"},
    "per example": lambda alpha: {"alpha": alpha, "per": "example"},
    "Beta(α + 1, α)": lambda alpha: {"lam_law": jm.beta(alpha + 1, alpha)},
    "weight law": lambda alpha: {"lam_law": jm.affine_uniform(alpha)},
}
MIXED = {  # mix -> mix
    "both": lambda mix: mix,
    "inputs only": lambda mix: dataclasses.replace(mix, lam=jnp.ones_like(mix.lam)),
    "labels only": lambda mix: dataclasses.replace(mix, mask=jnp.ones_like(mix.mask)),
    "argmax": lambda mix: dataclasses.replace(mix, lam=(mix.lam >= 0.5).astype(jnp.float32)),
}


class Variant(NamedTuple):
    """Places in the tables above, as numbers; make one with `variant`."""

    alpha: float | Array = 0.0  # of Beta(α, α), 0 is off; κ of the weight law
    partners: float | Array = 0
    lam: float | Array = 0
    mixed: float | Array = 0


def variant(
    alpha: float, partners: str = "shuffled", lam: str = "per batch", mixed: str = "both"
) -> Variant:
    tables = (PARTNERS, partners), (LAMS, lam), (MIXED, mixed)
    return Variant(alpha, *(list(table).index(name) for table, name in tables))


def one_label(alpha: float) -> Variant:
    """The example's own label, with the distribution of λ whose expected loss is that of mixup."""
    return variant(alpha, lam="Beta(α + 1, α)", mixed="inputs only")


def draw(
    variant: Variant, key: PRNGKeyArray, x: Float[Array, "b ..."], y: Int[Array, "b"]
) -> jm.Mix:
    """The mix of a variant, whose numbers may be traced."""
    key_partner, key_lam = jax.random.split(key)

    def sample(options_of: Callable[[Any], dict], key: PRNGKeyArray, alpha: Array) -> jm.Mix:
        mix = jm.sample_mixup(key, y.shape, **options_of(alpha))
        # All branches of a switch must give the same shapes.
        return dataclasses.replace(mix, mask=jnp.broadcast_to(mix.mask, y.shape))

    samplers = [partial(sample, options_of) for options_of in LAMS.values()]
    mix = jax.lax.switch(_place(variant.lam), samplers, key_lam, variant.alpha)
    partner = jax.lax.switch(_place(variant.partners), [*PARTNERS.values()], key_partner, x, y)
    mix = dataclasses.replace(mix, partner=partner)
    return jax.lax.switch(_place(variant.mixed), [*MIXED.values()], mix)


class AnyLayerMLP(MLP):
    """An MLP that has one more place to mix at: after a layer that is drawn for each batch."""

    def __call__(
        self,
        x: Float[Array, "b ..."],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: layers.Tap = layers.untapped,
    ) -> Float[Array, "b k"]:
        """As the MLP's; `tap` gets the drawn layer's features a second time, as those of ANY."""
        drawn = 0 if key is None else jax.random.randint(key, (), 0, LAYERS)
        twice = lambda i, h: jnp.where(drawn == i, tap(ANY, tap(i, h)), tap(i, h))
        return super().__call__(x, train=train, key=key, tap=twice)


def _place(number: float | Array) -> Int[Array, ""]:
    return jnp.asarray(number, jnp.int32)
