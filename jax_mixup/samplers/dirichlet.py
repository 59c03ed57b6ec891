"""A mixup of more than two examples."""

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
    """Draw a mixup of k rows: the whole of each, averaged.

        x̃ᵢ = w₀ xᵢ + Σⱼ wⱼ x[pⱼ(i)], labels alike;  w ~ Dirichlet(α, …, α)

    Args:
      key: a PRNG key.
      shape: (B, ...); only B is used.
      k: how many rows, 2 or more; for 2 the law is that of `sample_mixup`.
      alpha: concentration; may be traced; <= 0 or NaN is off, infinity is even shares.
      per: "batch" draws once for all examples, "example" once for each.
      pairings: k - 1 pairings; None is roll(1), roll(2), …, which needs k rows or one.

    Returns:
      A tuple of k - 1 mixes whose masks have no positions.

    Raises:
      ValueError: for a bad `shape`, k < 2, fewer than k rows, another number of pairings, a static
        negative `alpha`, or an unknown `per`.

    Example:
      >>> mix = jm.sample_dirichlet(jax.random.key(0), (4,), k=3)
      >>> soft = jm.blend_labels(mix, jnp.arange(4), num_classes=4)
      >>> [round(float(share), 2) for share in soft[0]]
      [0.36, 0.0, 0.21, 0.43]

    Zhang et al. 2018, arXiv:1710.09412, tried such weights beside pairs.
    """
    batch = _checks.mask_shape("sample_dirichlet", shape)[0]
    k = _checks.whole("sample_dirichlet", "k", k, 2)
    partners = several_pairings("sample_dirichlet", batch, per, pairings, k - 1, alpha)
    n = draws(per, batch)
    a = jnp.broadcast_to(jnp.asarray(alpha).astype(jnp.float32), (n,))[:, None]
    shapes = jnp.broadcast_to(gamma_shape(a), (n, k))
    drawn = jax.random.dirichlet(key, shapes, (n,), jnp.float32)
    drawn = jnp.where(a < jnp.inf, drawn, 1 / k)
    own = jnp.where(a > 0, jnp.cumsum(drawn, axis=1), 1.0)  # of the rows so far
    layers = []
    for j, partner in enumerate(partners, start=1):
        below, whole = own[:, j - 1], own[:, j] if j < k - 1 else jnp.ones(n, jnp.float32)
        lam = jnp.where(whole > 0, jnp.clip(below / jnp.where(whole > 0, whole, 1.0), 0, 1), 1.0)
        layers.append(Mix(partner, lam, jnp.broadcast_to(lam, (batch,))))
    return tuple(layers)
