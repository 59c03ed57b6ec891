"""Pairings: which example each example of a batch is mixed with.

A static pairing (`reverse`, `roll`, `neighbours`) is fixed when the step is traced: examples move
without a gather. No example leaves its device if `groups` equals the number of shards of the batch
axis, or with `neighbours` if each shard has an even number of examples. A pairing that is random or
depends on data is an index array `i32[B]`, as `permutation` and `nearest` draw; on a sharded batch
it gathers the whole batch on every device. An index array i32[G, n] pairs within each of G groups:
if these are the shards, no example leaves its device.

All pairings work for odd batches, and for a batch of one, whose example is its own partner.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jax_mixup import _checks
from jax_mixup._entry import public
from jax_mixup.pairings._rows import Pairing, StaticPairing, static_index


def reverse(groups: int = 1) -> StaticPairing:
    """Pair example i with example n-1-i of its group of n = B / groups examples.

        p(i) = n - 1 - i within each group

    The pairing is mutual: examples i and p(i) are each other's partners. In a group of odd size the
    middle example is its own partner.

    Args:
      groups: the number of equal, contiguous groups that the batch is cut into. If it is the number
        of shards of the batch axis, examples stay on their devices.

    Returns:
      A static pairing.

    Raises:
      ValueError: If `groups` is less than 1. Also, where the pairing is used, if `groups` does not
        divide B, or leaves groups of one example, which would mix nothing.

    Example:
      >>> jm.partner_index(jm.reverse(), 5).tolist()
      [4, 3, 2, 1, 0]
      >>> jm.partner_index(jm.reverse(groups=2), 8).tolist()
      [3, 2, 1, 0, 7, 6, 5, 4]
    """
    return StaticPairing("reverse", groups=_groups("reverse", groups))


def roll(shift: int = 1, groups: int = 1) -> StaticPairing:
    """Pair each example with the one `shift` places before it in its group, cyclically.

        p(i) = (i - shift) mod n within each group of n = B / groups examples

    On GPUs give `groups`: within groups the move is a gather of constant places, which costs what
    `reverse` costs; over the whole batch it is a concatenation, in which each thread of a GPU makes
    one value and not four.

    Args:
      shift: the number of places, not zero.
      groups: the number of equal, contiguous groups that the batch is cut into. If it is the number
        of shards of the batch axis, examples stay on their devices.

    Returns:
      A static pairing, the same as `jnp.roll(x, shift, axis=0)` for one group.

    Raises:
      ValueError: If `shift` is 0 or `groups` is less than 1. Also, where the pairing is used, if
        `groups` does not divide B or leaves groups of one example, or if the size of the groups
        divides `shift`, which would mix nothing.

    Example:
      >>> jm.partner_index(jm.roll(), 4).tolist()
      [3, 0, 1, 2]
    """
    if not isinstance(shift, (int, np.integer)) or shift == 0:
        raise ValueError(f"roll got shift={shift!r}; it needs an int other than 0.")
    return StaticPairing("roll", shift=int(shift), groups=_groups("roll", groups))


def neighbours() -> StaticPairing:
    """Pair examples 2i and 2i+1.

        p(i) = i xor 1

    The pairing is mutual. It does not depend on the number of devices that hold the batch, and no
    example leaves its device as long as each device holds an even number of them. The last example
    of an odd batch is its own partner.

    Returns:
      A static pairing.

    Example:
      >>> jm.partner_index(jm.neighbours(), 5).tolist()
      [1, 0, 3, 2, 4]
    """
    return StaticPairing("neighbours")


def pairing_for(rows: int, *, shards: int = 1, backend: str | None = None) -> StaticPairing:
    """Choose the static pairing that costs least: within each shard, so that no example leaves it.

        cpu: neighbours();  tpu, 256 examples in a shard or more: roll(groups=shards);
        else: reverse(groups=shards)

    The numbers below compare the mix of uint8 images of 224 x 224 x 3 to normalised floats with the
    same pass without a partner. TPU: the bytes that a chip moves, by the compiler's own estimate,
    for a v5e and bfloat16 results; not run. CPU: the time on two cores of an Intel Xeon, for 64
    examples and float32 results. None of the static pairings adds a collective; index arrays such
    as `permutation` gather the whole batch on every device.

        examples in a shard    reverse    roll    neighbours
        TPU,  8 to 64             1.00     2.99       4.97
        TPU, 128                  2.98     3.31       6.67
        TPU, 256                  3.64     1.83       6.67
        CPU                       1.52     1.23       1.14

    With 256 examples or more XLA lays the batch along a TPU's lanes, where reversal is a pass of
    its own. GPU: by the compiled programs (H100, not run) each is one pass of the same bytes, and
    adds one kernel; its threads make four values each, but one in a `roll` of the whole batch.
    What `reverse` and `roll` pair depends on `shards`; if results must not depend on the number of
    devices, take `neighbours()`.
    `python -m experiments.benchmarks` prints these numbers, and
    `python -m experiments.benchmarks.tpu --pairings` prints those for TPU.

    Args:
      rows: B, the number of examples in the whole batch; under shard_map or pmap, in one shard.
      shards: the number of devices that the batch axis is cut over, which is the size of its mesh
        axes; 1 under shard_map or pmap.
      backend: "cpu", "gpu" or "tpu"; the default is that of this process, `jax.default_backend()`.

    Returns:
      A static pairing. For one example in each shard it is `reverse()`, whose partners are on other
      devices.

    Raises:
      ValueError: If `shards` does not divide `rows`, or if `backend` is unknown.

    Example:
      >>> jm.pairing_for(4096, shards=64, backend="tpu")
      StaticPairing(rule='reverse', shift=0, groups=64)
    """
    if not all(isinstance(n, (int, np.integer)) and n > 0 for n in (rows, shards)) or rows % shards:
        raise ValueError(
            f"pairing_for got rows={rows!r} and shards={shards!r}; it needs whole numbers >= 1, "
            "the examples of the whole batch and a number of shards that divides them."
        )
    if backend is not None:
        _checks.option("pairing_for", "backend", backend, ("cpu", "gpu", "tpu"))
    size, backend = int(rows // shards), backend or jax.default_backend()
    if size == 1:
        return reverse()
    if backend == "tpu" and size >= 256:
        return roll(groups=shards)
    if backend == "cpu" and size % 2 == 0:
        return neighbours()
    return reverse(groups=shards)


@public
def partner_index(pairing: Pairing, n: int) -> Int[Array, "b"]:
    """Write a pairing as the index of each example's partner.

        index[i] = p(i)

    Args:
      pairing: a static pairing, or an index array, i32[B] or i32[G, B / G] within groups.
      n: the number of examples B.

    Returns:
      i32[B], with indices into the whole batch.

    Raises:
      ValueError: If the pairing does not fit n examples.

    Example:
      >>> jm.partner_index(jm.roll(2), 5).tolist()
      [3, 4, 0, 1, 2]
    """
    if isinstance(pairing, StaticPairing):
        return jnp.asarray(static_index(pairing, n))
    _checks.index_array("partner_index", pairing, n)
    index = jnp.asarray(pairing).astype(jnp.int32)
    if index.ndim == 1:
        return index
    size = index.shape[1]
    inside = (index >= -size) & (index < size)  # an index out of range stays one
    start = size * jnp.arange(index.shape[0], dtype=jnp.int32)[:, None]
    return jnp.where(inside, index % size + start, n).reshape(n)


def _groups(function: str, groups: int) -> int:
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"{function} got groups={groups!r}; it needs an int >= 1.")
    return int(groups)
