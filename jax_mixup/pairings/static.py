"""Pairings: which row each row of a batch is mixed with.

A static pairing (`reverse`, `roll`, `neighbours`) is fixed when the step is traced: rows move
without a gather. With `groups` equal to the number of shards of the batch axis, or with
`neighbours` and an even number of rows a shard, no row leaves its device. A pairing that is drawn
or depends on data is an index array `i32[B]`, as `partners` draws them; on a sharded batch it
gathers the whole batch on every device.

All are defined for odd batches, and for a batch of one, which is its own partner.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jax_mixup import _checks
from jax_mixup._entry import public
from jax_mixup.pairings._rows import Pairing, StaticPairing, static_index


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

    On CPU prefer another one with masks that have positions: XLA fuses a roll with them into a loop
    that LLVM does not vectorise, more than twice as slow.

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


def pairing_for(rows: int, *, shards: int = 1, backend: str | None = None) -> StaticPairing:
    """Choose the static pairing that costs least: within each shard, so that no row leaves it.

        cpu: neighbours();  tpu, 256 rows a shard or more: roll(groups=shards);
        else: reverse(groups=shards)

    Why: the mix of uint8 rows of 224 x 224 x 3 to normalised floats, against the same pass without
    a partner. TPU: bytes a chip by the compiler's own estimate, v5e, bfloat16 out, not run. CPU:
    time, two cores of an AMD EPYC, 64 rows, float32 out. None adds a collective; index arrays such
    as `permutation` gather the whole batch on every device.

        rows a shard        reverse    roll    neighbours
        TPU,  8 to 64         1.00     2.99       4.97
        TPU, 128              2.98     3.31       6.67
        TPU, 256              3.64     1.83       6.67
        CPU                   1.27     1.44       1.20

    With 256 rows or more XLA lays the batch along a TPU's lanes, where reversal is a pass of its
    own. With a mask of positions, a roll on CPU costs 3.3: see `roll`. GPU: not measured; all three
    are one pass. `python -m experiments.benchmarks` prints these numbers, and with
    `experiments.benchmarks.tpu --pairings` those for TPU. What `reverse` and `roll` pair depends on
    `shards`; where results must not depend on the number of devices, take `neighbours()`.

    Args:
      rows: B, the rows of the whole batch; under shard_map or pmap those of one shard.
      shards: over how many devices the batch axis is cut: the size of its mesh axes; 1 under
        shard_map or pmap.
      backend: "cpu", "gpu" or "tpu"; default that of this process, `jax.default_backend()`.

    Returns:
      A static pairing. With one row a shard, `reverse()`, whose partners are on other devices.

    Raises:
      ValueError: if `shards` does not divide `rows`, or for another `backend`.

    Example:
      >>> jm.pairing_for(4096, shards=64, backend="tpu")
      StaticPairing(rule='reverse', shift=0, groups=64)
    """
    if not all(isinstance(n, (int, np.integer)) and n > 0 for n in (rows, shards)) or rows % shards:
        raise ValueError(
            f"pairing_for got rows={rows!r} and shards={shards!r}; it needs whole numbers >= 1, "
            "the rows of the whole batch and a number of shards that divides them."
        )
    if backend is not None:
        _checks.option("pairing_for", "backend", backend, ("cpu", "gpu", "tpu"))
    share, backend = int(rows // shards), backend or jax.default_backend()
    if share == 1:
        return reverse()
    if backend == "tpu" and share >= 256:
        return roll(groups=shards)
    if backend == "cpu" and share % 2 == 0:
        return neighbours()
    return reverse(groups=shards)


@public
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
        return jnp.asarray(static_index(pairing, n))
    _checks.index_array("partner_index", pairing, n)
    return jnp.asarray(pairing).astype(jnp.int32)


def _groups(function: str, groups: int) -> int:
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"{function} got groups={groups!r}; it needs an int >= 1.")
    return int(groups)
