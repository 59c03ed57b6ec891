"""How examples move: static pairings, and what samplers and verbs do with any pairing."""

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Int, Integer, PyTree

from jax_mixup import _checks
from jax_mixup._entry import one_program

PER = ("batch", "group", "pair", "example")


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


# The type of `Mix.partner`, and of the samplers' option `pairing`. An index array is i32[B], or
# i32[G, n], whose indices are those within each of G groups.
Pairing = StaticPairing | Integer[ArrayLike, "..."]


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
    """Give all examples of a pair, or of a group, the draw of its first example, as `per` says."""
    if per == "group":
        groups = groups_of(pairing)

        def shared(draw: Array) -> Array:
            parts = draw.reshape(groups, n // groups, *draw.shape[1:])
            return jnp.broadcast_to(parts[:, :1], parts.shape).reshape(draw.shape)

        return jax.tree.map(shared, drawn)
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


def groups_of(pairing: Pairing) -> int:
    """The number of groups of a pairing that has them, for `per="group"`."""
    if isinstance(pairing, StaticPairing):
        if pairing.rule != "neighbours":
            return pairing.groups
    elif jnp.ndim(pairing) == 2:
        return jnp.shape(pairing)[0]
    got = str(pairing) if isinstance(pairing, StaticPairing) else "an index array of one axis"
    raise ValueError(
        f"per='group' got {got} as pairing; it needs groups: call it with reverse(groups=n), "
        "roll(groups=n) or permutation(key, B, groups=n)."
    )


def tie_groups(
    function: str, per: str, partners: tuple[Pairing, ...], batch: int, drawn: PyTree[Array]
) -> PyTree[Array]:
    """Give all examples of a group the draw of its first example, for per="group"."""
    if per == "group" and len({groups_of(partner) for partner in partners}) > 1:
        raise ValueError(
            f"{function} got per='group' and pairings of different groups; it needs pairings with "
            "the same number of groups."
        )
    return tie(per, partners[0], batch, drawn)


def group_size(function: str, n: int, groups: object) -> int:
    groups = _checks.whole(function, "groups", groups, 1)
    if n % groups or (n == groups > 1):
        raise ValueError(
            f"{function} got n={n} and groups={groups}; it needs a number of groups that divides "
            "the batch into equal parts of two examples or more."
        )
    return n // groups


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
    if numpy is jnp:
        return _rolled(groups, pairing.shift).reshape(x.shape)
    return numpy.roll(groups, pairing.shift, axis=1).reshape(x.shape)


@one_program("shift")
def _rolled(groups: Array, shift: int) -> Array:
    """Roll the examples of each group.

    To XLA a roll is a concatenation, which CPUs do not vectorise next to a mask of positions, and
    of which each thread of a GPU makes one value. A gather of constant places is read as the
    example itself is. But across devices it gathers the whole batch, and on TPUs it is slow.
    """
    places = np.roll(np.arange(groups.shape[1]), shift)

    def gathered(groups: Array) -> Array:
        return jax.vmap(lambda group: group.at[places].get(mode="promise_in_bounds"))(groups)

    rolled = partial(jnp.roll, shift=shift, axis=1)
    if groups.shape[0] > 1:
        return jax.lax.platform_dependent(groups, tpu=rolled, default=gathered)
    alone = jax.device_count() == 1
    return jax.lax.platform_dependent(groups, cpu=gathered if alone else rolled, default=rolled)


def _gather(x: Array, index: Int[Array, "*groups b"]) -> Array:
    if index.ndim == 2:
        groups = x.reshape(*index.shape, *x.shape[1:])
        return jax.vmap(_gather)(groups, index).reshape(x.shape)
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
