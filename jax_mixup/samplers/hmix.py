"""HMix: a box of the partner, and a mixup around it."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup._geometry import cut_box
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
    """Draw an HMix: a box of the partner, and a mixup around it.

        mᵢ = 0 in a box of share r (1-λ), λᵢ / sᵢ outside, where s is the share outside

    Whatever of the box is cut off at the border, the mean of the mask stays λ.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]`, channels last.
        With channels first move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. One number, or one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      ratio: r in [0, 1], how much of what the partner gives is in the box: 0 is mixup, 1 is CutMix
        but for what clipping takes; may be traced.
      box: where the box lies: "clipped" centres it anywhere and cuts it off at the border, as the
        paper's code does; "inside" places the whole box inside; "corner" at the end of each axis.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, a static `ratio` outside [0, 1], an
        unknown `box` or `per`.

    Example:
      >>> mix = jm.sample_hmix(jax.random.key(0), (8, 4, 4), lam_law=jm.constant(0.5), box="corner")
      >>> [round(float(m), 3) for m in mix.mask[0, :, 3]], round(float(mix.lam[0]), 3)
      ([0.667, 0.667, 0.0, 0.0], 0.5)

    Park et al. 2022, arXiv:2208.09913, whose figures have r = 0.5; their code's default is 1. Sides
    of the box are rounded as in `sample_cutmix`; where rounding leaves less than λ outside, all of
    that is the row's own.
    """
    name = "sample_hmix"
    draw = Draw(name, shape, per, pairing, box=box, alpha=alpha)
    spatial = draw.spatial
    check_shares(name, draw, ratio=ratio)
    lam, centre = draw.numbers(key, alpha, lam_law, len(spatial))
    r = draw.tie(jnp.broadcast_to(jnp.asarray(ratio).astype(jnp.float32), lam.shape))
    lam, r = jnp.where(jnp.isnan(r), 1.0, lam), jnp.where(jnp.isnan(r), 0.0, r)
    kept = 1 - (1 - lam) * r
    outside, share = cut_box(kept, centre, spatial, box)
    weight = jnp.minimum(lam / jnp.where(share > 0, share, 1.0), 1.0)
    weight, lam = _geometry.fusion_barrier(jnp.stack([weight, weight * share]))
    mask = jnp.where(outside, weight.reshape((-1,) + (1,) * len(spatial)), 0.0)
    return draw.mix(mask, lam)
