"""HMix: a box of the partner, and a mixup around it."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw, check_shares


@public
def sample_hmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    ratio: ArrayLike = 0.5,
    box: str = "clipped",
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw an HMix: a box of the partner pasted into the example, and a mixup around the box.

        mᵢ = 0 in a box of the fraction r (1-λ), λᵢ / sᵢ outside;  sᵢ = the fraction outside

    The mean of the mask is λ even where the border cuts off a part of the box.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      ratio: r in [0, 1], which part of the partner's weight is in the box: 0 is mixup, and 1 is
        CutMix except for what clipping changes. It may be traced.
      box: where the box lies: "clipped" centres it anywhere and cuts it off at the border, "even"
        does so with sides rounded down to even numbers, "inside" places the whole box inside, and
        "corner" puts it at the far end of each axis.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, a static `ratio` is
        outside [0, 1], or `box` or `per` is unknown.

    Example:
      >>> mix = jm.sample_hmix(jax.random.key(0), (8, 4, 4), lam_law=jm.constant(0.5), box="corner")
      >>> [round(float(m), 3) for m in mix.mask[0, :, 3]], round(float(mix.lam[0]), 3)
      ([0.667, 0.667, 0.0, 0.0], 0.5)

    Park et al. 2022, arXiv:2208.09913, whose figures have r = 0.5; their code's default is 1. The
    sides of the box are rounded to the nearest whole number of positions. Where rounding leaves
    less than λ outside, all of the outside is the example's own.
    """
    name = "sample_hmix"
    draw = Draw(name, shape, per, pairing, box=box, alpha=alpha)
    spatial = draw.spatial
    check_shares(name, draw, ratio=ratio)
    lam, centre = draw.numbers(key, alpha, lam_law, len(spatial))
    r = draw.tie(jnp.broadcast_to(jnp.asarray(ratio).astype(jnp.float32), lam.shape))
    lam, r = jnp.where(jnp.isnan(r), 1.0, lam), jnp.where(jnp.isnan(r), 0.0, r)
    around = 1 - (1 - lam) * r  # the fraction outside, before rounding and clipping
    start, stop = _geometry.place_box(around, centre, spatial, box=box)
    share = _geometry.share_outside(start, stop, spatial)
    weight = jnp.minimum(lam / jnp.where(share > 0, share, 1.0), 1.0)
    return draw.mix(*_geometry.weighted_box(start, stop, weight, spatial))
