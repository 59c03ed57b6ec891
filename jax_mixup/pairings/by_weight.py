"""Partners by any weights: domains, scores, confidence."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup._entry import public
from jax_mixup.pairings._rows import group_size


@public
def by_weight(
    key: PRNGKeyArray, weights: Shaped[ArrayLike, "b b"], *, groups: int | None = None
) -> Int[Array, "*groups n"]:
    """Draw each partner by weights of yours: a bool matrix of who may meet whom, or numbers.

        P(p(i) = j) = wᵢⱼ / Σₖ wᵢₖ

    Draws are independent: an example may be the partner of several others, and its own partner if
    wᵢᵢ > 0. `across_class`, `class_balanced` and `by_label_kernel` draw what this function draws
    with their weights. Costs O(B²), with groups O(B² / groups) draws. On a sharded batch rows of
    weights stay on their devices.

    Args:
      key: a PRNG key.
      weights: w >= 0, bool, int or float [B, B], a row for each example; they need not sum to 1.
        Negative ones count as 0. Where some are infinite, one of these is drawn.
      groups: the number of equal, contiguous groups that the batch is cut into; weights between
        groups count as 0.

    Returns:
      i32[B]. An example whose weights are all 0, or that has one that is NaN, is its own partner:
      it is not mixed. With `groups` i32[groups, B / groups], whose indices are those within the
      group.

    Raises:
      TypeError: If `weights` are complex.
      ValueError: If `weights` do not have shape (B, B), or if `groups` does not divide B, or leaves
        groups of one example.

    Example:
      The same class in another domain.

      >>> y, domain = jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 0])
      >>> weights = (y[:, None] == y[None, :]) & (domain[:, None] != domain[None, :])
      >>> jm.by_weight(jax.random.key(0), weights).tolist()
      [1, 0, 2, 3]

    LISA, Yao et al. 2022, arXiv:2201.00299; selective mixup, Teney et al. 2023, arXiv:2305.16817,
    who find that much of its gain is that of resampling: compare with training on the same examples
    unmixed. Both draw from the whole training set; this function draws within the batch.
    """
    weights = jnp.asarray(weights)
    n = weights.shape[0] if weights.ndim else 0
    if weights.shape != (n, n) or not n:
        raise ValueError(
            f"by_weight got weights of shape {weights.shape}; it needs (B, B), a row for each "
            "example: for the same weights for all, jnp.broadcast_to(weights, (B, B))."
        )
    if jnp.issubdtype(weights.dtype, jnp.complexfloating):
        raise TypeError(f"by_weight got weights of dtype {weights.dtype}; it needs bool or floats.")
    w = weights.astype(jnp.float32)
    if groups is not None:
        size = group_size("by_weight", n, groups)
        w = _within(w.reshape(groups, size, groups, size))
    missing = jnp.isnan(w).any(axis=-1, keepdims=True)
    endless = w == jnp.inf
    w = jnp.where(endless.any(axis=-1, keepdims=True), endless.astype(jnp.float32), w)
    w = jnp.where((w > 0) & ~missing, w, 0.0)
    drawn = jax.random.categorical(key, jnp.log(w), axis=-1).astype(jnp.int32)
    itself = jnp.broadcast_to(jnp.arange(w.shape[-1], dtype=jnp.int32), drawn.shape)
    return jnp.where((w > 0).any(axis=-1), drawn, itself)


def _within(w: Float[Array, "groups n groups n"]) -> Float[Array, "groups n n"]:
    """The blocks on the diagonal; a gather of them would ask other devices."""
    same = jnp.eye(w.shape[0], dtype=bool)[:, None, :, None]
    return jnp.where(same, w, 0.0).sum(axis=2)
