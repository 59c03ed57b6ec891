"""GuidedMixup: each position is weighted by the saliency of both examples."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray, Shaped

from jax_mixup import _geometry
from jax_mixup._entry import public
from jax_mixup._maps import checked_map, normalised, smoothed
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_guidedmixup(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    blur: float = 1.8,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a GuidedMixup: at each position the more salient example has the larger weight.

        m = ŝᵢ / (ŝᵢ + ŝₚ),  ŝ = G * s / Σ s;  λᵢ = mean mᵢ

    Args:
      key: a PRNG key, which all samplers take; it is not used here, because nothing is random.
      saliency: f[B, *spatial], how important each position of each example is.
      blur: standard deviation of the Gaussian G, in positions; 0 does not blur.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as the paper's, `jm.salient_pairs(saliency)`.

    Returns:
      A mix with a float32 mask [B, *spatial], which is ½ where neither example is salient.

    Raises:
      ValueError: If `saliency` has no spatial axis, or `blur` is negative.

    Example:
      >>> s = jnp.array([[6.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, 6.0]])
      >>> mix = jm.sample_guidedmixup(jax.random.key(0), s, blur=0.0)
      >>> mix.mask[0].tolist(), mix.lam.tolist()
      ([1.0, 0.5, 0.5, 0.0], [0.5, 0.5])

    Kang & Kim 2023, arXiv:2306.16612. They blur with a window of 7 x 7 that cuts a Gaussian of
    σ = 3 at one σ, and so has a standard deviation of 1.8; here the Gaussian is not cut.
    """
    del key
    s = checked_map("sample_guidedmixup", saliency)
    draw = Draw("sample_guidedmixup", s.shape, "example", pairing)
    own = normalised(smoothed("sample_guidedmixup", s, blur))
    total = own + move_rows(draw.pairing, own)
    mask = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), 0.5)
    return draw.mix(mask, _geometry.mean(mask))
