"""Partners that are drawn at random."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jax_mixup._entry import public


@public
def permutation(key: PRNGKeyArray, n: int) -> Int[Array, "b"]:
    """Draw a uniformly random permutation, the pairing of the original paper's code.

        p ~ U(S_n)

    An example is its own partner with probability 1/n. On a batch that is sharded over devices this
    pairing gathers the whole batch on every device: prefer a static pairing there.

    Args:
      key: a PRNG key.
      n: the number of examples B.

    Returns:
      i32[B].

    Example:
      >>> sorted(jm.permutation(jax.random.key(0), 4).tolist())
      [0, 1, 2, 3]
    """
    return jax.random.permutation(key, n).astype(jnp.int32)


@public
def derangement(key: PRNGKeyArray, n: int) -> Int[Array, "b"]:
    """Draw a random cyclic permutation: no example is its own partner.

        p(s_k) = s_(k+1 mod n) for a uniformly random order s

    It is uniform over the (n-1)! cycles of length n, so that every other example is equally likely
    as a partner. Derangements of more than one cycle are not drawn. On a batch that is sharded over
    devices this pairing gathers the whole batch on every device: prefer a static pairing there.

    Args:
      key: a PRNG key.
      n: the number of examples B.

    Returns:
      i32[B]; [0] for n = 1, where there is no other example.

    Example:
      >>> p = jm.derangement(jax.random.key(0), 5)
      >>> bool((p == jnp.arange(5)).any())
      False
    """
    order = permutation(key, n)
    return jnp.zeros(n, jnp.int32).at[order].set(jnp.roll(order, 1))
