"""The `Mix` value and the verbs that apply it.

A mix is drawn once and then applied to all that belongs to the batch: inputs, labels, dense maps,
hidden features, losses, metrics. In every verb the mix comes first, then arrays or PyTrees of
arrays with the batch first. Row i is mixed with row p = partner[i]. The verbs for labels, losses
and metrics are in `labels`, those that change a mix in `adjust`.

Where more than two rows are mixed, a tuple of mixes says so: each layer blends what the layers
before it gave with one more partner's row (`overlay`). Verbs take `Mixes`, a mix or such a tuple.
"""

import dataclasses
from typing import TypeVar

import jax
from jaxtyping import Array, ArrayLike, Integer

from jax_mixup.pairings._rows import StaticPairing


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mix:
    """What is mixed with what, and in which shares: a PyTree of arrays.

        x̃ᵢ = mᵢ ⊙ xᵢ + (1 - mᵢ) ⊙ xₚ,  ỹᵢ = λᵢ yᵢ + (1 - λᵢ) yₚ

    Samplers draw one. It can be made by hand, logged, returned from jit, scanned and vmapped;
    `dataclasses.replace(mix, lam=...)` gives another label weight, say one from attention. It is of
    all rows of its batch: a part of them has other partners, and draws a mix of its own.

    Attributes:
      partner: i32[B], or a static pairing: the row p that each row is mixed with.
      mask: the share m of the row's own input at each position, `[B or 1]` or `[B or 1, *spatial]`;
        float32 in [0, 1], or bool where the method is hard, so that ids can follow it. The
        positions come right after the batch, as in arrays with channels last.
      lam: f32[B] in [0, 1]: the share λ of the row's own label. For geometric methods it is the
        share of positions that were taken from the row.

    Example:
      >>> mix = jm.Mix(jm.reverse(), mask=jnp.array([0.75]), lam=jnp.array([0.75, 0.75]))
      >>> jm.blend(mix, jnp.array([[0.0, 4.0], [8.0, 8.0]])).tolist()
      [[2.0, 5.0], [6.0, 7.0]]
    """

    partner: StaticPairing | Integer[ArrayLike, "..."]
    mask: Array
    lam: Array


Mixes = Mix | tuple[Mix, ...]


M = TypeVar("M", Mix, tuple[Mix, ...])  # what changes a mix gives the same kind
