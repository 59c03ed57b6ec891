"""SmoothMix: a round spot of the partner with soft edges."""

import math

from jaxtyping import PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import uniforms
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_smoothmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    sigma: tuple[float, float] = (0.25, 0.5),
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a SmoothMix: the partner is visible in a round spot with soft edges.

        m = 1 - G,  G = exp(-½ Σ (x - c)² / σ²),  σ ~ U(σ₁, σ₂),  λᵢ = mean m

    All positions are equally likely as the centre c. λ has no distribution of its own: σ is drawn,
    and λ follows from it.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      sigma: the bounds σ₁ and σ₂ of the spot's standard deviation, as fractions of each axis.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, `per` is unknown, or the bounds are not
        0 < σ₁ <= σ₂.

    Example:
      >>> mix = jm.sample_smoothmix(jax.random.key(0), (8, 32, 32))
      >>> float(mix.mask.min()), bool(jnp.isclose(mix.mask.mean(), mix.lam[0]))
      (0.0, True)

    Lee et al. 2020, SmoothMix, CVPR Workshops. Other code for it returns the mean of G, the
    partner's weight, where the example's own is expected; here λ is the example's, as everywhere.
    On images that are not square the spot has their aspect ratio.
    """
    name = "sample_smoothmix"
    draw = Draw(name, shape, per, pairing)
    spatial = draw.spatial
    sigma = _checks.sigma(name, sigma)
    u = draw.tie(uniforms(key, (draw.n, 1 + len(spatial))))
    width = (sigma[0] + (sigma[1] - sigma[0]) * u[:, 0]) * math.sqrt(2 * math.pi)
    spot, average = _geometry.bump(u[:, 1:], width, spatial)
    return draw.mix(1 - spot, 1 - average)
