"""The `Mix` value.

A mix is drawn once and then applied to everything that belongs to the batch: inputs, labels, dense
maps, hidden features, losses, metrics. In every verb the mix comes first, then arrays or PyTrees of
arrays with the batch first. Example i is mixed with example p = partner[i]. The verbs that apply a
mix are in `apply`, those that change one in `adjust`.

Where more than two examples are mixed, the mix is a tuple of mixes: each layer blends the result of
the layers before it with one more partner (`overlay`). Verbs take `Mixes`, which is one mix or such
a tuple.
"""

import dataclasses
from typing import TypeVar

import jax
from jaxtyping import Array, ArrayLike, Integer

from jax_mixup.pairings._rows import StaticPairing


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mix:
    """Which examples are mixed, and with which weights: a PyTree of arrays.

        x̃ᵢ = mᵢ ⊙ xᵢ + (1 - mᵢ) ⊙ xₚ,  ỹᵢ = λᵢ yᵢ + (1 - λᵢ) yₚ

    Samplers draw a mix. You can also make one by hand, log it, return it from jit, scan it and vmap
    it; `dataclasses.replace(mix, lam=...)` gives it another label weight, such as one from
    attention. A mix belongs to its whole batch: in a part of the batch examples have other
    partners, so draw a mix of its own for each part.

    Attributes:
      partner: i32[B], or a static pairing: the index p of the example that each example is mixed
        with.
      mask: the weight m of the example's own input at each position, `[B or 1]` or
        `[B or 1, *spatial]`. It is float32 in [0, 1], or bool where the method is hard, so that ids
        can be selected by it. The positions come right after the batch, as in arrays with channels
        last.
      lam: f32[B] in [0, 1]: the weight λ of the example's own label. For geometric methods it is
        the fraction of positions that come from the example itself.

    Example:
      >>> mix = jm.Mix(jm.reverse(), mask=jnp.array([0.75]), lam=jnp.array([0.75, 0.75]))
      >>> jm.blend(mix, jnp.array([[0.0, 4.0], [8.0, 8.0]])).tolist()
      [[2.0, 5.0], [6.0, 7.0]]
    """

    partner: StaticPairing | Integer[ArrayLike, "..."]
    mask: Array
    lam: Array


Mixes = Mix | tuple[Mix, ...]


M = TypeVar("M", Mix, tuple[Mix, ...])  # a changed mix is of the kind that it was
