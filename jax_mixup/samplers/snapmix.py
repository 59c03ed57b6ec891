"""SnapMix: boxes of different sizes, with labels weighted by class activation."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup._maps import checked_map, normalised
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_snapmix(
    key: PRNGKeyArray,
    cam: Shaped[ArrayLike, "b *spatial"],
    *,
    alpha: ArrayLike = 5.0,
    lam_law: Law | None = None,
    pairing: Pairing = reverse(),
) -> tuple[Mix, tuple[Int[Array, "b d"], Int[Array, "b d"]], Float[Array, "b"]]:
    """Draw a SnapMix: a box of the partner, resized and pasted into another box of the example.

        wᵢ = Σ ĉᵢ outside the example's box,  wₚ = Σ ĉₚ in the partner's box,  ĉ = (c - min c) / Σ
        λᵢ = wᵢ / (wᵢ + wₚ),  total = wᵢ + wₚ, which need not be 1

    Labels are weighted by the class activation that is visible. The sides of each box are √(1-λ) of
    the sides of the input, with one λ for each box, and the border cuts off what lies beyond it:

        mixed = jm.blend(mix, x, other=jm.fit_partner(mix, x, source=source))
        loss = (total * jm.pair_loss(mix, cross_entropy, logits, labels)).mean()

    Args:
      key: a PRNG key.
      cam: f[B, *spatial], class activation maps at the inputs' size: how much each position
        supports the example's own class. They may be negative.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. Both λ are drawn for each example, from one alpha or from one
        for each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      The mix, with a bool mask [B, *spatial]; `source`, the partner's box: its first positions and
      those after its last, i32[B, d] each; and `total`, f32[B]. Where either box is empty nothing
      is mixed, and the source is the whole partner.

    Raises:
      ValueError: If `cam` has no spatial axis, or a static `alpha` is negative.

    Example:
      >>> cam = jnp.ones((4, 16, 16)).at[:, :4, :4].set(9.0)
      >>> mix, (start, stop), total = jm.sample_snapmix(jax.random.key(0), cam)
      >>> start.shape, bool((stop > start).all()), bool((mix.lam * total <= 1).all())
      ((4, 2), True, True)

    Huang et al. 2021, arXiv:2012.04846. Their code draws both boxes once for the batch. Where both
    labels of a pair are the same class, it gives each of them the weight wᵢ + wₚ, twice as much as
    the loss above; for that, the factor is
    `total * jnp.where(labels == jm.take_partner(mix, labels), 2, 1)`.
    """
    c = checked_map("sample_snapmix", cam)
    draw = Draw("sample_snapmix", c.shape, "example", pairing, alpha=alpha)
    batch, axes, spatial = draw.batch, tuple(range(1, c.ndim)), draw.spatial
    law, centre = draw.law_and_uniforms(key, lam_law, len(spatial), times=2)
    each = jnp.tile(jnp.asarray(alpha), 2) if jnp.ndim(alpha) else alpha
    start, stop = _geometry.box_corners(law(each), centre, spatial, box="clipped")
    filled = (stop > start).all(axis=1)
    filled = filled[:batch] & filled[batch:]
    on, size = filled[:, None], jnp.asarray(spatial, jnp.int32)[None, :]
    # Where either is empty: an empty box, and the whole partner, which can be resized.
    box = jnp.where(on, start[:batch], 0), jnp.where(on, stop[:batch], 0)
    source = jnp.where(on, start[batch:], 0), jnp.where(on, stop[batch:], size)
    mask = _geometry.outside_box(*box, spatial)
    mass = normalised(c - c.min(axis=axes, keepdims=True))
    own = jnp.where(mask, mass, 0.0).sum(axes)
    other = move_rows(draw.pairing, mass)
    other = jnp.where(_geometry.outside_box(*source, spatial) | ~padded(filled, c.ndim), 0.0, other)
    other = other.sum(axes)
    total = own + other
    share = _geometry.share_outside(*box, spatial)
    lam = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), share)
    return draw.mix(mask, lam), source, total
