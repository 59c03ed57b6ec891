"""Mixup of more than two examples."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int, Integer, PRNGKeyArray

from jax_mixup import _checks
from jax_mixup._draws import log_gamma
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, draws, tie_groups
from jax_mixup.samplers._options import layers_from, several_pairings


@public
def sample_dirichlet(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    k: int = 3,
    alpha: ArrayLike = 1.0,
    count: Integer[ArrayLike, "..."] | None = None,
    sort: bool = False,
    per: str = "batch",
    groups: int = 1,
    pairings: tuple[Pairing, ...] | None = None,
) -> tuple[Mix, ...]:
    """Draw a mixup of k examples: the whole of each, averaged.

        x̃ᵢ = w₀ xᵢ + Σⱼ wⱼ x[pⱼ(i)], labels alike;  w ~ Dirichlet(α, …, α)

    Args:
      key: a PRNG key.
      shape: (B, ...), of which only B is used.
      k: how many examples are mixed, 2 or more. With 2 the distribution is that of `sample_mixup`.
      alpha: concentration of w ~ Dirichlet(α, …, α): small values give most of the weight to one
        example, infinity gives equal weights. It may be traced; 0 turns mixing off, as a traced
        negative number or NaN does. It is one number, or an array with one for each draw.
      count: how many of the k examples are mixed, from 1 to k: w ~ Dirichlet over these, and 0 for
        the other partners. It may be drawn at random, and traced; one int, or one for each draw.
        None means k.
      sort: whether the largest weight is the example's own, and those of the partners fall. Then
        the label of the example may stand for the mix, as with `folded_beta`.
      per: "batch" draws once for all examples, "group" once for each group of the pairings, and
        "example" once for each example.
      groups: for the default pairings, the number of equal, contiguous groups that the batch is cut
        into. If it is the number of shards of the batch axis, examples stay on their devices.
      pairings: k - 1 pairings, one for each partner. None means roll(1, groups), roll(2, groups),
        …, which needs groups of k examples or more, or a batch of one.

    Returns:
      A tuple of k - 1 mixes, each laid over those before it; their masks have no spatial axes.

    Raises:
      ValueError: If `shape` is not a tuple of positive ints, `k` < 2, a group has fewer than k
        examples, the number of pairings is not k - 1, `groups` and `pairings` are both given, a
        static `alpha` is negative, a static `count` is not from 1 to k, or `per` is unknown.

    Example:
      >>> mix = jm.sample_dirichlet(jax.random.key(0), (4,), k=3, sort=True)
      >>> soft = jm.blend_labels(mix, jnp.arange(4), num_classes=4)
      >>> [round(float(weight), 2) for weight in soft[0]]
      [0.83, 0.0, 0.07, 0.1]

    Zhang et al. 2018, arXiv:1710.09412, tried such weights next to pairs. With `sort` it is the
    mixup of vmoe, and with a random `count` that of Perch (van Merriënboer et al. 2025,
    arXiv:2508.04665); `restore_energy` makes sounds as loud as their parts.
    """
    name = "sample_dirichlet"
    batch = _checks.mask_shape(name, shape)[0]
    k = _checks.whole(name, "k", k, 2)
    partners = several_pairings(name, batch, per, pairings, groups, k - 1, alpha)
    n = draws(per, batch)
    a = jnp.broadcast_to(jnp.asarray(alpha).astype(jnp.float32), (n,))[:, None]
    place = jnp.arange(k, dtype=jnp.int32)[None, :]
    counts = jnp.int32(k) if count is None else _counts(name, count, k, n, batch)
    mixed = place < counts
    weights = jax.nn.softmax(log_gamma(key, jnp.broadcast_to(a, (n, k))), axis=1, where=mixed)
    weights = jnp.where(
        a < jnp.inf, weights, mixed.astype(jnp.float32) / counts.astype(jnp.float32)
    )
    if sort:
        weights = jnp.sort(weights, axis=1, descending=True)
    weights = jnp.where(a > 0, weights, (place == 0).astype(jnp.float32))
    return layers_from(tie_groups(name, per, partners, batch, weights), partners, batch)


def _counts(function: str, count: ArrayLike, k: int, n: int, batch: int) -> Int[Array, "n 1"]:
    _checks.numbers(function, "count", count, f"an int from 1 to {k}", 1.0, float(k))
    _checks.each_draw(function, "count", count, n, batch)
    if not jnp.issubdtype(jnp.asarray(count).dtype, jnp.integer):
        raise TypeError(
            f"{function} got {_checks.described(count)} as count; it needs ints from 1 to {k}."
        )
    return jnp.broadcast_to(jnp.clip(_checks.int32(jnp.asarray(count)), 1, k), (n,))[:, None]
