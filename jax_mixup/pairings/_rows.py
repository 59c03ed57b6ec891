"""How examples move: static pairings, and what samplers and verbs do with any pairing."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Int, Integer, PyTree

from jax_mixup import _checks

PER = ("batch", "pair", "example")


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class StaticPairing:
    """A pairing known at trace time; make one with `reverse`, `roll` or `neighbours`.

    A sampler records in `rows` how many examples it drew for. So a mix of 16 examples whose arrays
    were cut to 4 raises an error: `reverse` would pair other examples.
    """

    rule: Literal["reverse", "roll", "neighbours"]
    shift: int = 0
    groups: int = 1
    rows: int | None = dataclasses.field(default=None, repr=False)


# The type of `Mix.partner`, and of the samplers' option `pairing`.
Pairing = StaticPairing | Integer[ArrayLike, "b"]


def bind_to_batch(pairing: Pairing, rows: int) -> Pairing:
    """The pairing for a batch of this many examples; batches of another size cannot use it."""
    if isinstance(pairing, StaticPairing):
        _check_groups(pairing, rows)
        return dataclasses.replace(pairing, rows=rows)
    return jnp.asarray(pairing).astype(jnp.int32)


def move_rows(pairing: Pairing, x: Array) -> Array:
    """Return each example's partner, for one array; `take_partner` is the public verb."""
    n = x.shape[0]
    if isinstance(pairing, StaticPairing):
        _check_groups(pairing, n)
        moved = _move_static(pairing, x) if n > 1 else x
    else:
        _checks.index_array("take_partner", pairing, n)
        moved = _gather(x, jnp.asarray(pairing)) if n > 1 else x
    return moved  # for a batch of one the same object: callers then skip mixing, bit for bit


def draws(per: str, n: int) -> int:
    """How many independent draws a batch of n examples takes."""
    return 1 if per == "batch" else n


def tie(per: str, pairing: Pairing, n: int, drawn: PyTree[Array]) -> PyTree[Array]:
    """For `per="pair"` give both examples of a pair the draw of the first; else change nothing."""
    if per != "pair":
        return drawn
    index = static_index(pairing, n) if isinstance(pairing, StaticPairing) else None
    if index is None or (index[index] != np.arange(n)).any():
        got = "an index array" if index is None else str(pairing)
        raise ValueError(
            f"per='pair' got {got} as pairing; it needs a static pairing that pairs examples "
            "mutually: call it with reverse() or neighbours(), or with per='example'."
        )
    first = jnp.asarray(index >= np.arange(n))

    def tied(draw: Array) -> Array:
        own = first.reshape((n,) + (1,) * (draw.ndim - 1))
        return jnp.where(own, draw, move_rows(pairing, draw))

    return jax.tree.map(tied, drawn)


def static_index(pairing: StaticPairing, n: int) -> np.ndarray:
    _check_groups(pairing, n)
    return _move_static(pairing, np.arange(n, dtype=np.int32), numpy=np)


def _check_groups(pairing: StaticPairing, n: int) -> None:
    size, rest = divmod(n, pairing.groups)
    if pairing.rows not in (None, n):
        raise ValueError(
            f"{pairing.rule}() got a batch of {n} examples in a mix that was drawn for "
            f"{pairing.rows}; it needs as many: draw a mix for each batch, and under shard_map "
            "inside of it."
        )
    if rest or (size == 1 and n > 1):
        raise ValueError(
            f"{pairing.rule}(groups={pairing.groups}) got a batch of {n} examples; it needs a "
            "number of groups that divides the batch into equal parts of two examples or more."
        )
    if pairing.rule == "roll" and n > 1 and pairing.shift % size == 0:
        raise ValueError(
            f"roll(shift={pairing.shift}, groups={pairing.groups}) got groups of {size} examples, "
            "and would pair each example with itself; it needs a shift that is not a multiple of "
            f"{size}."
        )


def _move_static(pairing: StaticPairing, x: Any, *, numpy: Any = jnp) -> Any:
    n, rest = x.shape[0], x.shape[1:]
    if pairing.rule == "neighbours":
        even = n - n % 2
        swapped = x[:even].reshape(even // 2, 2, *rest)[:, ::-1].reshape(even, *rest)
        return swapped if even == n else numpy.concatenate([swapped, x[even:]])
    groups = x.reshape(pairing.groups, n // pairing.groups, *rest)
    if pairing.rule == "reverse":
        return groups[:, ::-1].reshape(x.shape)
    return numpy.roll(groups, pairing.shift, axis=1).reshape(x.shape)


def _gather(x: Array, index: Int[Array, "b"]) -> Array:
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return jnp.take(x, index, axis=0)  # NaN for an index out of range, so that it is noticed
    return x[index]


def cut_from_cycles(partner: Int[Array, "b"], missing: Bool[Array, "b"]) -> Int[Array, "b"]:
    """Cut missing examples out of the cycles of a permutation: each becomes its own partner."""
    itself = jnp.arange(partner.shape[0], dtype=jnp.int32)
    follow = jnp.where(missing, partner, itself)
    for _ in range((partner.shape[0] - 1).bit_length()):  # each pass follows twice as far
        follow = follow[follow]
    return jnp.where(missing, itself, follow[partner])
