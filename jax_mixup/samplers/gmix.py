"""GMix: a Gaussian spot of the partner."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_gmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a GMix: a CutMix whose box is a round spot with soft edges.

        m = G(λ) where λ < ½, else 1 - G(1-λ),  G(s) = exp(-π Σ (x - c)² / s^(2/d)),  λᵢ = mean m

    The spot shows the example or the partner, whichever has the smaller weight s; the integral of
    a whole spot is s. The border cuts off a part of it, and `lam` is the mean of the mask that is
    left.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, or `per` is unknown.

    Example:
      >>> mix = jm.sample_gmix(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.9))
      >>> float(mix.mask.min()), bool(mix.lam[0] >= 0.9)
      (0.0, True)

    Park et al. 2022, arXiv:2208.09913. Their code is for square images; here distances are
    fractions of each axis, as for the box of CutMix.
    """
    name = "sample_gmix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    lam, centre = draw.numbers(key, alpha, lam_law, len(spatial))
    smaller = jnp.minimum(lam, 1 - lam)
    # A weight of 0 gives no spot at all; the lower bound keeps its gradient finite.
    width = jnp.maximum(smaller, 1e-6) ** (1 / len(spatial))
    found = _geometry.bump(centre, width, spatial)
    spot, average = (jnp.where(padded(smaller > 0, g.ndim), g, 0.0) for g in found)
    mask, lam = (jnp.where(padded(lam < 0.5, g.ndim), g, 1 - g) for g in (spot, average))
    return draw.mix(mask, lam)
