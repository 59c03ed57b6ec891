"""MoCHi: synthetic hard negatives for contrastive learning, out of a bank of embeddings."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._entry import public
from jax_mixup.apply.sphere import unit


@public
def mochi(
    key: PRNGKeyArray,
    queries: Shaped[ArrayLike, "b d"],
    bank: Shaped[ArrayLike, "n d"],
    *,
    hardest: int,
    pairs: int,
    with_query: int = 0,
) -> Float[Array, "b s d"]:
    """Mix hard negatives: for each query new ones, of those in a bank that are most similar to it.

        hₖ ∝ α nᵢ + (1 - α) nⱼ,  α ~ U(0, 1);   hₖ ∝ β q + (1 - β) nⱼ,  β ~ U(0, ½)

    where nᵢ and nⱼ are drawn from the N entries n of the bank with the largest nᵀq, and ‖hₖ‖ = 1.
    Append the products of queries and their hₖ to the logits, next to those with the bank. The
    results are constants: no gradient goes through them.

    Args:
      key: a PRNG key.
      queries: q, embeddings f[B, D] of length 1.
      bank: embeddings f[n, D] of length 1: a queue, or the other examples of the batch. None of
        them should be a query's own positive. Entries that are NaN are taken last, so that the
        empty places of a queue can be NaN.
      hardest: N, of how many entries the negatives are made, at most n.
      pairs: how many are mixed of two entries, for each query.
      with_query: how many are mixed of an entry and the query itself, which are harder still.

    Returns:
      f[B, pairs + with_query, D] of the dtype of `queries`: those of two entries first.

    Raises:
      TypeError: If `queries` or `bank` are not floating point.
      ValueError: If they do not have two axes with the same D, if `hardest` is not from 1 to n, or
        if a number of negatives is negative or both are 0.

    Example:
      >>> key, key_bank = jax.random.split(jax.random.key(0))
      >>> bank = jax.nn.standardize(jax.random.normal(key_bank, (64, 8))) / 8**0.5
      >>> queries = bank[:4]
      >>> negatives = jm.mochi(key, queries, bank[4:], hardest=8, pairs=6, with_query=2)
      >>> negatives.shape, bool((queries[:, None] * negatives).sum(-1).mean() > 0.5)
      ((4, 8, 8), True)

    Kalantidis et al. 2020, arXiv:2010.01028, who mix after a warm-up without. We found no
    code of theirs; SynCo's (Giakoumoglou and Stathaki 2024, arXiv:2410.02401) has both kinds.
    """
    name = "mochi"
    queries, bank = jnp.asarray(queries), jnp.asarray(bank)
    for which, x in (("queries", queries), ("bank", bank)):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(f"{name} got {which} of dtype {x.dtype}; it needs floats: embeddings.")
    if queries.ndim != 2 or bank.ndim != 2 or queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f"{name} got queries of shape {queries.shape} and a bank of shape {bank.shape}; it "
            "needs (B, D) and (n, D): average or flatten features first."
        )
    hardest = _checks.whole(name, "hardest", hardest, 1, bank.shape[0])
    with_query = _checks.whole(name, "with_query", with_query, 0)
    pairs = _checks.whole(name, "pairs", pairs, 0 if with_query else 1)
    q, n = (jax.lax.stop_gradient(x).astype(jnp.float32) for x in (queries, bank))
    similarity = jnp.matmul(q, n.T, precision=jax.lax.Precision.HIGHEST)
    similarity = jnp.where(jnp.isnan(similarity), -jnp.inf, similarity)  # else they were first
    order = jax.lax.top_k(similarity, hardest)[1].astype(jnp.int32)

    batch, count = q.shape[0], pairs + with_query
    key_pick, key_weight = jax.random.split(key)
    places = jax.random.randint(key_pick, (batch, pairs + count), 0, hardest, jnp.int32)
    picked = n[jnp.take_along_axis(order, places, axis=1)]
    itself = jnp.broadcast_to(q[:, None], (batch, with_query, q.shape[1]))
    own = jnp.concatenate([picked[:, :pairs], itself], axis=1)
    most = jnp.where(jnp.arange(count) < pairs, 1.0, 0.5).astype(jnp.float32)
    weight = most[None, :] * jax.random.uniform(key_weight, (batch, count), jnp.float32)
    mixed = weight[..., None] * own + (1 - weight[..., None]) * picked[:, pairs:]
    return unit(mixed).astype(queries.dtype)
