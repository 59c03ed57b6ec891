"""RICAP: four examples, one in each quarter around a random corner."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, drawn_from
from jax_mixup._entry import public
from jax_mixup.adjust.masks import overlay
from jax_mixup.distributions import symmetric_beta
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, draws
from jax_mixup.samplers._options import several_pairings


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
      shape: (B, H, W): `x.shape[:-1]`, channels last. With channels first move them:
        `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of both shares; may be traced; <= 0 or NaN is off.
      lam_law: any law in place of Beta(α, α).
      per: "batch" draws once for all examples, "example" once for each.
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
    partners = several_pairings(name, batch, per, pairings, 3, alpha)
    n = draws(per, batch)

    def law(key: PRNGKeyArray) -> Float[Array, "n"]:
        return symmetric_beta(key, alpha, (n,)) if lam_law is None else drawn_from(lam_law, key, n)

    shares = [law(k) for k in jax.random.split(key)]
    first = [_first(s, axis, tuple(spatial)) for axis, s in enumerate(shares, start=1)]
    upper, left = first
    mixes = []
    for partner, away in zip(partners, (upper & ~left, ~upper & left, ~upper & ~left), strict=True):
        share = jnp.broadcast_to(_geometry.share(~away), (batch,))
        mixes.append(Mix(partner, ~away, share))
    return overlay(*mixes)


def _first(share: Float[Array, "n"], axis: int, spatial: tuple[int, ...]) -> Array:
    """True at the first positions of an axis, so many of all."""
    size = spatial[axis - 1]
    stop = jnp.round(jax.lax.stop_gradient(share) * size)
    mask = jnp.arange(size, dtype=jnp.float32)[None, :] < stop[:, None]
    return _geometry.spread(mask, (axis,), spatial)
