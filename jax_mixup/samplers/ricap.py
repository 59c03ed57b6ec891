"""RICAP: four examples, one in each of the four parts around a random point."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, drawn_from
from jax_mixup._entry import public
from jax_mixup.adjust.masks import overlay
from jax_mixup.distributions import symmetric_beta
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, draws, tie_groups
from jax_mixup.samplers._options import several_pairings


@public
def sample_ricap(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 0.3,
    lam_law: Law | None = None,
    per: str = "batch",
    groups: int = 1,
    pairings: tuple[Pairing, ...] | None = None,
) -> tuple[Mix, ...]:
    """Draw a RICAP: four examples, one in each of the four parts around a random point.

        m = the example at the upper left of (h, w), partners elsewhere;  h/H, w/W ~ Beta(α, α)

    Args:
      key: a PRNG key.
      shape: (B, H, W): `x.shape[:-1]` for channels last. If channels come first, move them:
        `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of h/H and w/W: small values leave one example most of the image, 1 makes
        all points equally likely. It may be traced; 0 turns mixing off, as a traced negative number
        or NaN does. It is one number, or an array with one for each draw.
      lam_law: another distribution of h/H and w/W, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      per: "batch" draws once for all examples, "group" once for each group of the pairings, and
        "example" once for each example.
      groups: for the default pairings, the number of equal, contiguous groups that the batch is cut
        into. If it is the number of shards of the batch axis, examples stay on their devices.
      pairings: three pairings, of the partners at the upper right, lower left and lower right. None
        means roll(1, groups), roll(2, groups), roll(3, groups), which needs groups of four examples
        or more, or a batch of one.

    Returns:
      A tuple of three mixes with bool masks, each laid over those before it. Labels are weighted by
      the four areas.

    Raises:
      ValueError: If `shape` does not have two spatial axes, a group has fewer than four examples,
        the number of pairings is not three, `groups` and `pairings` are both given, a static
        `alpha` is negative, or `per` is unknown.

    Example:
      >>> mix = jm.sample_ricap(jax.random.key(2), (4, 8, 8))
      >>> soft = jm.blend_labels(mix, jnp.arange(4), num_classes=4)
      >>> print(soft[0] * 64)
      [ 4. 28. 28.  4.]

    Takahashi et al. 2018, arXiv:1811.09030. They cut each part out of its image at a random place;
    here it keeps its place, and random crops before mixing can vary what it shows.
    """
    name = "sample_ricap"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    if len(spatial) != 2:
        raise ValueError(f"{name} got shape={tuple(shape)}; it needs (B, H, W).")
    partners = several_pairings(name, batch, per, pairings, groups, 3, alpha)
    n = draws(per, batch)

    def law(key: PRNGKeyArray) -> Float[Array, "n"]:
        return symmetric_beta(key, alpha, (n,)) if lam_law is None else drawn_from(lam_law, key, n)

    shares = tie_groups(name, per, partners, batch, [law(k) for k in jax.random.split(key)])
    first = [_first(s, axis, tuple(spatial)) for axis, s in enumerate(shares, start=1)]
    upper, left = first
    mixes = []
    for partner, theirs in zip(
        partners, (upper & ~left, ~upper & left, ~upper & ~left), strict=True
    ):
        share = jnp.broadcast_to(_geometry.share(~theirs), (batch,))
        mixes.append(Mix(partner, ~theirs, share))
    return overlay(*mixes)


def _first(share: Float[Array, "n"], axis: int, spatial: tuple[int, ...]) -> Array:
    """True at the first positions of an axis, a fraction `share` of them."""
    size = spatial[axis - 1]
    stop = jnp.round(jax.lax.stop_gradient(share) * size)
    mask = jnp.arange(size, dtype=jnp.float32)[None, :] < stop[:, None]
    return _geometry.spread(mask, (axis,), spatial)
