"""Pairings: which row each row of a batch is mixed with.

A static pairing (`reverse`, `roll`, `neighbours`) is fixed when the step is traced: rows move
without a gather. With `groups` equal to the number of shards of the batch axis, or with
`neighbours` and an even number of rows a shard, no row leaves its device. A data-dependent pairing
is an index array `i32[B]`; on a sharded batch it gathers the whole batch from all devices.

Every function here is defined for odd batches, and for a batch of one, which is its own partner.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Int, PRNGKeyArray, PyTree, Shaped

from jax_mixup import _checks

PER = ("batch", "pair", "example")


@jax.tree_util.register_static
@dataclass(frozen=True)
class StaticPairing:
    """A pairing known at trace time; make one with `reverse`, `roll` or `neighbours`."""

    rule: Literal["reverse", "roll", "neighbours"]
    shift: int = 0
    groups: int = 1


# What the fields of a Mix and the options of the samplers hold.
Pairing = StaticPairing | Int[Array, "b"]


def reverse(groups: int = 1) -> StaticPairing:
    """Pair row i with row n-1-i of its group of n = B / groups rows.

        p(i) = n - 1 - i within each group

    An involution: rows i and p(i) are each other's partners. In a group of odd size the middle row
    is its own partner.

    Args:
      groups: how many equal, contiguous groups the batch is cut into. With the number of shards of
        the batch axis the rows stay on their devices.

    Returns:
      A static pairing.

    Raises:
      ValueError: for `groups` < 1; where it is used, if `groups` does not divide B or leaves groups
        of one row, which would mix nothing.

    Example:
      >>> jm.partner_index(jm.reverse(), 5).tolist()
      [4, 3, 2, 1, 0]
      >>> jm.partner_index(jm.reverse(groups=2), 8).tolist()
      [3, 2, 1, 0, 7, 6, 5, 4]
    """
    return StaticPairing("reverse", groups=_groups("reverse", groups))


def roll(shift: int = 1, groups: int = 1) -> StaticPairing:
    """Pair row i with the row `shift` places before it in its group, cyclically.

        p(i) = (i - shift) mod n within each group of n = B / groups rows

    Args:
      shift: how many places, not zero.
      groups: as in `reverse`.

    Returns:
      A static pairing, the same as `jnp.roll(x, shift, axis=0)` for one group.

    Raises:
      ValueError: for `shift` 0, for `groups` < 1; where it is used, as in `reverse`, and if the
        groups' size divides `shift`, which would mix nothing.

    Example:
      >>> jm.partner_index(jm.roll(), 4).tolist()
      [3, 0, 1, 2]
    """
    if not isinstance(shift, (int, np.integer)) or shift == 0:
        raise ValueError(f"roll got shift={shift!r}; it needs an int other than 0.")
    return StaticPairing("roll", shift=int(shift), groups=_groups("roll", groups))


def neighbours() -> StaticPairing:
    """Pair rows 2i and 2i+1.

        p(i) = i xor 1

    An involution whose result does not depend on how many devices hold the batch, and which moves
    no row between devices as long as each holds an even number. The last row of an odd batch is its
    own partner.

    Returns:
      A static pairing.

    Example:
      >>> jm.partner_index(jm.neighbours(), 5).tolist()
      [1, 0, 3, 2, 4]
    """
    return StaticPairing("neighbours")


def partner_index(pairing: Pairing, n: int) -> Int[Array, "b"]:
    """Write a pairing as the index of each row's partner.

        index[i] = p(i)

    Args:
      pairing: a static pairing, or an index array, which is returned as it is.
      n: the number of rows B.

    Returns:
      i32[B].

    Raises:
      ValueError: if the pairing cannot serve n rows.

    Example:
      >>> jm.partner_index(jm.roll(2), 5).tolist()
      [3, 4, 0, 1, 2]
    """
    if isinstance(pairing, StaticPairing):
        return jnp.asarray(_static_index(pairing, n))
    _checks.rows("partner_index", "pairing", pairing, n)
    return pairing


def permutation(key: PRNGKeyArray, n: int) -> Int[Array, "b"]:
    """Draw a uniformly random permutation, the pairing of the original paper's code.

        p ~ U(S_n)

    A row is its own partner with probability 1/n. On a batch sharded over devices this is the
    pairing that gathers the whole batch on every device: prefer a static one there.

    Args:
      key: a PRNG key.
      n: the number of rows B.

    Returns:
      i32[B].

    Example:
      >>> sorted(jm.permutation(jax.random.key(0), 4).tolist())
      [0, 1, 2, 3]
    """
    return jax.random.permutation(key, n).astype(jnp.int32)


def derangement(key: PRNGKeyArray, n: int) -> Int[Array, "b"]:
    """Draw a random cyclic permutation: no row is its own partner.

        p(s_k) = s_(k+1 mod n) for a uniformly random order s

    Uniform over the (n-1)! cycles of length n, so every other row is equally likely as a partner;
    derangements of more than one cycle are not drawn. Sharded batches: see `permutation`.

    Args:
      key: a PRNG key.
      n: the number of rows B.

    Returns:
      i32[B]; [0] for n = 1, which has nobody else.

    Example:
      >>> p = jm.derangement(jax.random.key(0), 5)
      >>> bool((p == jnp.arange(5)).any())
      False
    """
    order = permutation(key, n)
    return jnp.zeros(n, jnp.int32).at[order].set(jnp.roll(order, 1))


def within_class(key: PRNGKeyArray, labels: Int[ArrayLike, "b"]) -> Int[Array, "b"]:
    """Pair each row with another of its class: a random cycle through each class.

        y[p(i)] = y[i], and p(i) = i only where a class has one row

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B], a permutation.

    Raises:
      TypeError: for labels that are not integer ids of shape (B,).

    Example:
      >>> jm.within_class(jax.random.key(0), jnp.array([7, 3, 7, 3, 5])).tolist()
      [2, 3, 0, 1, 4]
    """
    labels = jnp.asarray(labels)
    _checks.integer_ids("within_class", "labels", labels)
    n = labels.shape[0]
    shuffled = permutation(key, n)
    order = shuffled[jnp.argsort(labels[shuffled], stable=True)]
    ranked = labels[order]
    first = jnp.searchsorted(ranked, ranked, side="left")
    last = jnp.searchsorted(ranked, ranked, side="right") - 1
    place = jnp.arange(n, dtype=first.dtype)
    successor = order[jnp.where(place == last, first, place + 1)]
    return jnp.zeros(n, jnp.int32).at[order].set(successor)


def across_class(key: PRNGKeyArray, labels: Int[ArrayLike, "b"]) -> Int[Array, "b"]:
    """Pair each row with a uniformly random row of another class.

        P(p(i) = j) ∝ [y_j ≠ y_i]

    A row may be the partner of several. Where the batch holds one class, rows stay their own
    partners. Costs O(B²).

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B].

    Raises:
      TypeError: for labels that are not integer ids of shape (B,).

    Example:
      >>> jm.across_class(jax.random.key(0), jnp.array([0, 1, 1])).tolist()[1:]
      [0, 0]
    """
    labels = jnp.asarray(labels)
    _checks.integer_ids("across_class", "labels", labels)
    differs = labels[:, None] != labels[None, :]
    drawn = _categorical(key, jnp.where(differs, 0.0, -jnp.inf))
    return jnp.where(differs.any(axis=1), drawn, jnp.arange(labels.shape[0], dtype=jnp.int32))


def class_balanced(key: PRNGKeyArray, labels: Int[ArrayLike, "b"]) -> Int[Array, "b"]:
    """Draw each partner from a uniformly random class, then uniformly within it.

        P(p(i) = j) ∝ 1 / #{k : y_k = y_j}

    The classes are those present in the batch. Draws are independent; a row may be its own partner.
    Costs O(B²).

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B].

    Raises:
      TypeError: for labels that are not integer ids of shape (B,).

    Example:
      >>> labels = jnp.array([0] * 99 + [1])
      >>> partner = jm.class_balanced(jax.random.key(0), labels)
      >>> bool(labels[partner].sum() > 30)  # one row in a hundred serves about half of them
      True
    """
    labels = jnp.asarray(labels)
    _checks.integer_ids("class_balanced", "labels", labels)
    counts = (labels[:, None] == labels[None, :]).sum(axis=1).astype(jnp.float32)
    n = labels.shape[0]
    return _categorical(key, jnp.broadcast_to(-jnp.log(counts)[None, :], (n, n)))


def by_label_kernel(
    key: PRNGKeyArray, targets: Shaped[ArrayLike, "b *dims"], bandwidth: ArrayLike
) -> Int[Array, "b"]:
    """Draw each partner by a Gaussian kernel on the targets, for regression.

        P(p(i) = j) ∝ exp(-‖y_i - y_j‖² / 2h²)

    Args:
      key: a PRNG key.
      targets: f[B] or f[B, ...], in any units.
      bandwidth: h > 0 in the targets' units; may be traced. Multiples of their standard deviation
        carry over between data sets.

    Returns:
      i32[B]; the row itself is among the candidates, as in the authors' code.

    Raises:
      ValueError: for a static `bandwidth` <= 0.

    Example:
      >>> jm.by_label_kernel(jax.random.key(0), jnp.array([0.0, 9.0, 0.1]), 1e-3).tolist()
      [0, 1, 2]

    C-Mixup, Yao et al. 2022, arXiv:2210.05775. Their code draws over the whole training set on the
    host; this draws within the batch.
    """
    number = _checks.static_number(bandwidth)
    if number is not None and not number > 0:
        raise ValueError(f"by_label_kernel got bandwidth={number}; it needs a number > 0.")
    h = jnp.asarray(bandwidth, jnp.float32)
    return _categorical(key, -_square_distances(targets) / (2 * h * h))


def nearest(
    key: PRNGKeyArray, features: Shaped[ArrayLike, "b *dims"], *, k: int = 1
) -> Int[Array, "b"]:
    """Draw each partner among the row's k nearest other rows.

        p(i) ~ U(the k rows j ≠ i of least ‖f_i - f_j‖²)

    Args:
      key: a PRNG key; for k = 1 nothing is random.
      features: f[B, ...]: inputs, hidden features, targets. Costs O(B²).
      k: how many neighbours; a batch with fewer other rows offers them all.

    Returns:
      i32[B]; [0] for a batch of one.

    Raises:
      ValueError: for k < 1.

    Example:
      >>> jm.nearest(jax.random.key(0), jnp.array([0.0, 5.0, 0.1])).tolist()
      [2, 2, 0]
    """
    if k < 1:
        raise ValueError(f"nearest got k={k}; it needs an int >= 1.")
    distances = _square_distances(features)
    n = distances.shape[0]
    if n == 1:
        return jnp.zeros(1, jnp.int32)
    k = min(k, n - 1)
    others = jnp.where(jnp.eye(n, dtype=bool), jnp.inf, distances)
    _, candidates = jax.lax.top_k(-others, k)
    pick = jax.random.randint(key, (n, 1), 0, k)
    return jnp.take_along_axis(candidates, pick, axis=1)[:, 0].astype(jnp.int32)


def move_rows(pairing: Pairing, x: Array) -> Array:
    """Each row's partner, for one array; `take_partner` is the public verb."""
    n = x.shape[0]
    move: Any
    if isinstance(pairing, StaticPairing):
        _check_groups(pairing, n)
        move, arrays = partial(_move_static, pairing), (x,)
    else:
        _checks.rows("take_partner", "partner", pairing, n)
        move, arrays = _gather, (x, pairing)
    if n == 1:
        return x  # the same object: callers skip the mixing, so a batch of one stays bit for bit
    sharding = jax.typeof(x).sharding
    if sharding.spec and sharding.spec[0] is not None:
        # The batch axis is an Explicit mesh axis, whose rules refuse rows that cross devices (and
        # reshapes of some group counts). The compiler places them, and the result's type is x's.
        move = jax.sharding.auto_axes(move, out_sharding=sharding)
    return move(*arrays)


def draws(per: str, n: int) -> int:
    """How many independent draws a batch of n rows takes."""
    return 1 if per == "batch" else n


def tie(per: str, pairing: Pairing, n: int, drawn: PyTree[Array]) -> PyTree[Array]:
    """Give both rows of a pair the draw of the first, for `per="pair"`; else what was drawn."""
    if per != "pair":
        return drawn
    index = _static_index(pairing, n) if isinstance(pairing, StaticPairing) else None
    if index is None or (index[index] != np.arange(n)).any():
        got = "an index array" if index is None else str(pairing)
        raise ValueError(
            f"per='pair' got {got} as pairing; it needs a static pairing that pairs rows mutually: "
            "reverse() or neighbours(), or use per='example'."
        )
    first = jnp.asarray(index >= np.arange(n))

    def tied(draw: Array) -> Array:
        own = first.reshape((n,) + (1,) * (draw.ndim - 1))
        return jnp.where(own, draw, move_rows(pairing, draw))

    return jax.tree.map(tied, drawn)


def _groups(function: str, groups: int) -> int:
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"{function} got groups={groups!r}; it needs an int >= 1.")
    return int(groups)


def _static_index(pairing: StaticPairing, n: int) -> np.ndarray:
    _check_groups(pairing, n)
    return _move_static(pairing, np.arange(n, dtype=np.int32), numpy=np)


def _check_groups(pairing: StaticPairing, n: int) -> None:
    size, rest = divmod(n, pairing.groups)
    if rest or (size == 1 and n > 1):
        raise ValueError(
            f"{pairing.rule}(groups={pairing.groups}) got a batch of {n} rows; it needs groups "
            "that divide the batch into equal parts of two rows or more."
        )
    if pairing.rule == "roll" and n > 1 and pairing.shift % size == 0:
        raise ValueError(
            f"roll(shift={pairing.shift}, groups={pairing.groups}) got groups of {size} rows, "
            "which would pair each row with itself; it needs a shift that is no multiple of that."
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
    return x[index]


def _categorical(key: PRNGKeyArray, logits: Array) -> Int[Array, "b"]:
    return jax.random.categorical(key, logits, axis=-1).astype(jnp.int32)


def _square_distances(x: Shaped[ArrayLike, "b *dims"]) -> Array:
    # By differences, not by ‖a‖² + ‖b‖² - 2ab: that cancels where rows are close, and close rows
    # are the ones asked for.
    x = jnp.asarray(x)
    flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
    return jax.vmap(lambda row: jnp.square(flat - row[None, :]).sum(axis=-1))(flat)
