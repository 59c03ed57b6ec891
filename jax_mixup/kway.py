"""Samplers of more than two rows: tuples of mixes, laid one over another by `overlay`.

They take `pairings`, one for each partner, in place of `pairing`, and `per` "batch" or "example".
`sample_dirichlet` has no `lam_law`: its law is one of k weights. K-way CutMix needs no sampler:
`overlay(*[sample_cutmix(k, shape, pairing=roll(i)) for i, k in enumerate(keys, start=1)])`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from jax_mixup import _checks, masks
from jax_mixup._entry import public
from jax_mixup.adjust import overlay
from jax_mixup.laws import Law, drawn_from, gamma_shape, symmetric_beta
from jax_mixup.mix import Mix
from jax_mixup.pairing import Pairing, draws, roll
from jax_mixup.samplers import check_options

PER = ("batch", "example")


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
      per: "batch" or "example".
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
    partners = _checked("sample_dirichlet", batch, per, pairings, k - 1, alpha)
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


@public
def sample_ricap(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 0.3,
    lam_law: Law | None = None,
    per: str = "batch",
    pairings: tuple[Pairing, ...] | None = None,
) -> tuple[Mix, ...]:
    """Draw a RICAP: four rows, one in each quarter around a random corner.

        m = the row left above (h, w), its partners in the other three;  h/H, w/W ~ Beta(α, α)

    Args:
      key: a PRNG key.
      shape: (B, H, W): x.shape[:-1], channels last; channels first: see `samplers`.
      alpha: concentration of both shares; may be traced; <= 0 or NaN is off.
      lam_law: any law in place of Beta(α, α).
      per: "batch" or "example".
      pairings: three pairings, of the rows at the upper right, lower left, lower right; None is
        roll(1), roll(2), roll(3), which needs four rows or one.

    Returns:
      A tuple of three mixes with bool masks, whose labels weigh by the four areas.

    Raises:
      ValueError: for a `shape` without two spatial axes, fewer than four rows, another number of
        pairings, a static negative `alpha`, or an unknown `per`.

    Example:
      >>> mix = jm.sample_ricap(jax.random.key(2), (4, 8, 8))
      >>> soft = jm.blend_labels(mix, jnp.arange(4), num_classes=4)
      >>> print(soft[0] * 64)
      [ 4. 28. 28.  4.]

    Takahashi et al. 2018, arXiv:1811.09030. They cut each quarter out of its picture at a place of
    its own; here it keeps its place, and random crops before mixing do the rest.
    """
    name = "sample_ricap"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    if len(spatial) != 2:
        raise ValueError(f"{name} got shape={tuple(shape)}; it needs (B, H, W).")
    partners = _checked(name, batch, per, pairings, 3, alpha)
    n = draws(per, batch)

    def law(key: PRNGKeyArray) -> Float[Array, "n"]:
        return symmetric_beta(key, alpha, (n,)) if lam_law is None else drawn_from(lam_law, key, n)

    shares = [law(k) for k in jax.random.split(key)]
    first = [_first(s, axis, tuple(spatial)) for axis, s in enumerate(shares, start=1)]
    upper, left = first
    mixes = []
    for partner, away in zip(partners, (upper & ~left, ~upper & left, ~upper & ~left), strict=True):
        share = jnp.broadcast_to(masks.share(~away), (batch,))
        mixes.append(Mix(partner, ~away, share))
    return overlay(*mixes)


def _first(share: Float[Array, "n"], axis: int, spatial: tuple[int, ...]) -> Array:
    """True at the first positions of an axis, so many of all."""
    size = spatial[axis - 1]
    stop = jnp.round(jax.lax.stop_gradient(share) * size)
    mask = jnp.arange(size, dtype=jnp.float32)[None, :] < stop[:, None]
    return masks.spread(mask, (axis,), spatial)


def _checked(
    function: str,
    batch: int,
    per: str,
    pairings: object,
    n: int,
    alpha: ArrayLike,
) -> tuple[Pairing, ...]:
    """The n pairings, checked for this batch."""
    _checks.option(function, "per", per, PER)
    if pairings is None:
        if 1 < batch <= n:
            raise ValueError(
                f"{function} got a batch of {batch} rows and mixes {n + 1}; it needs as many rows: "
                "drop the last, smaller batch, or give pairings."
            )
        pairings = tuple(roll(shift) for shift in range(1, n + 1))
    pairings = _checks.sizes(function, "pairings", pairings, "(roll(1), roll(2), …)")
    if len(pairings) != n:
        raise ValueError(f"{function} got {len(pairings)} pairings; it needs {n}, one a partner.")
    return tuple(check_options(function, per, p, batch=batch, alpha=alpha) for p in pairings)
