"""Partners that are drawn at random."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jax_mixup._entry import public
from jax_mixup.pairings._rows import group_size


@public
def permutation(key: PRNGKeyArray, n: int, *, groups: int | None = None) -> Int[Array, "*groups b"]:
    """Draw a uniformly random permutation, the pairing of the original paper's code.

        p ~ U(S_n), in each group a permutation of its own

    An example is its own partner with probability 1/n. On a batch that is sharded over devices it
    gathers the whole batch on every device, unless `groups` is the number of shards: then no
    example leaves its device.

    Args:
      key: a PRNG key.
      n: the number of examples B.
      groups: the number of equal, contiguous groups that the batch is cut into; partners are in the
        same group.

    Returns:
      i32[B]; with `groups` i32[groups, B / groups], whose indices are those within the group. Both
      are given as `pairing=`; `partner_index` writes the second as the first.

    Raises:
      ValueError: If `groups` does not divide B, or leaves groups of one example.

    Example:
      >>> sorted(jm.permutation(jax.random.key(0), 4).tolist())
      [0, 1, 2, 3]
      >>> jm.permutation(jax.random.key(0), 8, groups=2).shape
      (2, 4)
    """
    if groups is None:
        return jax.random.permutation(key, n).astype(jnp.int32)
    order = jnp.broadcast_to(
        jnp.arange(group_size("permutation", n, groups)), (groups, n // groups)
    )
    return jax.random.permutation(key, order, axis=1, independent=True).astype(jnp.int32)


@public
def derangement(key: PRNGKeyArray, n: int, *, groups: int | None = None) -> Int[Array, "*groups b"]:
    """Draw a random cyclic permutation: no example is its own partner.

        p(s_k) = s_(k+1 mod n) for a uniformly random order s, in each group one of its own

    It is uniform over the (n-1)! cycles of length n, so that every other example is equally likely
    as a partner. Derangements of more than one cycle are not drawn. On a batch that is sharded over
    devices it gathers the whole batch on every device, unless `groups` is the number of shards:
    then no example leaves its device.

    Args:
      key: a PRNG key.
      n: the number of examples B.
      groups: the number of equal, contiguous groups that the batch is cut into; partners are in the
        same group.

    Returns:
      i32[B], or with `groups` i32[groups, B / groups], as `permutation` returns it; [0] for n = 1,
      where there is no other example.

    Raises:
      ValueError: If `groups` does not divide B, or leaves groups of one example.

    Example:
      >>> p = jm.derangement(jax.random.key(0), 5)
      >>> bool((p == jnp.arange(5)).any())
      False
    """
    if groups is None:
        return _cycle(permutation(key, n))
    group_size("derangement", n, groups)
    return jax.vmap(_cycle)(permutation(key, n, groups=groups))


def _cycle(order: Int[Array, "b"]) -> Int[Array, "b"]:
    return jnp.zeros_like(order).at[order].set(jnp.roll(order, 1))
