"""SaliencyMix: a box around the partner's most salient position, pasted."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray, Shaped

from jax_mixup import _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup._maps import checked_map, peak
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_saliencymix(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a SaliencyMix: a box around the partner's most salient position, pasted.

        mᵢ = 0 in a box of side (1-λ)^(1/d) of each axis around argmax sₚ; λᵢ = the fraction outside

    Args:
      key: a PRNG key.
      saliency: f[B, *spatial], how important each position of each example is. Of equal positions
        the first is taken.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ is drawn for each example, from one alpha or from one for
        each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask [B, *spatial]; the box is cut off at the border.

    Raises:
      ValueError: If `saliency` has no spatial axis, or a static `alpha` is negative.

    Example:
      >>> s = jnp.zeros((2, 8)).at[0, 6].set(1.0).at[1, 2].set(1.0)
      >>> mix = jm.sample_saliencymix(jax.random.key(0), s, lam_law=jm.constant(0.625))
      >>> mix.mask.astype(int).tolist(), mix.lam.tolist()
      ([[1, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]], [0.625, 0.625])

    Uddin et al. 2021, arXiv:2006.01791. Their code takes the box of one image for the whole batch,
    and even sides; here each example follows its own partner, and sides are rounded to the nearest
    whole number of positions.
    """
    s = checked_map("sample_saliencymix", saliency)
    draw = Draw("sample_saliencymix", s.shape, "example", pairing, alpha=alpha)
    spatial = draw.spatial
    lam, _ = draw.numbers(key, alpha, lam_law)
    place = move_rows(draw.pairing, peak(s)).astype(jnp.float32)
    # With the quarter the box starts at place - side // 2, far from a tie in rounding.
    centre = (place + 0.25) / jnp.asarray(spatial, jnp.float32)[None, :]
    corners = _geometry.box_corners(lam, centre, spatial, box="clipped")
    mask = _geometry.outside_box(*corners, spatial)
    return draw.mix(mask, _geometry.share_outside(*corners, spatial))
