"""Mixup of more than two examples."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks
from jax_mixup._draws import gamma_shape
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, draws
from jax_mixup.samplers._options import several_pairings


@public
def sample_dirichlet(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    k: int = 3,
    alpha: ArrayLike = 1.0,
    per: str = "batch",
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
      per: "batch" draws once for all examples, "example" once for each.
      pairings: k - 1 pairings, one for each partner. None means roll(1), roll(2), …, which needs a
        batch of k examples or more, or of one.

    Returns:
      A tuple of k - 1 mixes, each laid over those before it; their masks have no spatial axes.

    Raises:
      ValueError: If `shape` is not a tuple of positive ints, `k` < 2, the batch has fewer than k
        examples, the number of pairings is not k - 1, a static `alpha` is negative, or `per` is
        unknown.

    Example:
      >>> mix = jm.sample_dirichlet(jax.random.key(0), (4,), k=3)
      >>> soft = jm.blend_labels(mix, jnp.arange(4), num_classes=4)
      >>> [round(float(weight), 2) for weight in soft[0]]
      [0.36, 0.0, 0.21, 0.43]

    Zhang et al. 2018, arXiv:1710.09412, tried such weights next to pairs.
    """
    batch = _checks.mask_shape("sample_dirichlet", shape)[0]
    k = _checks.whole("sample_dirichlet", "k", k, 2)
    partners = several_pairings("sample_dirichlet", batch, per, pairings, k - 1, alpha)
    n = draws(per, batch)
    a = jnp.broadcast_to(jnp.asarray(alpha).astype(jnp.float32), (n,))[:, None]
    shapes = jnp.broadcast_to(gamma_shape(a), (n, k))
    drawn = jax.random.dirichlet(key, shapes, (n,), jnp.float32)
    drawn = jnp.where(a < jnp.inf, drawn, 1 / k)
    own = jnp.where(a > 0, jnp.cumsum(drawn, axis=1), 1.0)  # weight of the examples so far
    layers = []
    for j, partner in enumerate(partners, start=1):
        below, whole = own[:, j - 1], own[:, j] if j < k - 1 else jnp.ones(n, jnp.float32)
        lam = jnp.where(whole > 0, jnp.clip(below / jnp.where(whole > 0, whole, 1.0), 0, 1), 1.0)
        layers.append(Mix(partner, lam, jnp.broadcast_to(lam, (batch,))))
    return tuple(layers)
