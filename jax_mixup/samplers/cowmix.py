"""CowMix: blobs of the partner, like the patches of a cow."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, normals
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_cowmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    sigma: tuple[float, float] = (4.0, 16.0),
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a CowMix: blobs of the partner, like the patches of a cow, pasted into the example.

        m = 1 at the fraction λ of positions where G_σ * noise is largest; log σ ~ U(log σ₁, log σ₂)

    `lam` is counted: it is λ rounded to a whole number of positions.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one to three spatial axes: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      sigma: the bounds σ₁ and σ₂ of the blur's standard deviation, in positions: a wide blur makes
        few, large blobs.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` does not have one to three spatial axes, a static `alpha` is negative,
        `per` is unknown, or the bounds are not 0 < σ₁ <= σ₂.

    Example:
      >>> mix = jm.sample_cowmix(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.5))
      >>> mix.mask.shape, float(mix.lam[0])
      ((1, 32, 32), 0.5)

    French et al. 2020, arXiv:2003.12022. They threshold at the normal quantile of λ, so that the
    fraction kept varies around λ; here it is exact. The blur is by FFT, so that a blob that crosses
    a border continues at the opposite one.
    """
    name = "sample_cowmix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    sigma = _checks.sigma(name, sigma)
    _checks.fft_axes(name, len(spatial))
    key, key_noise = jax.random.split(key)
    lam, u = draw.numbers(key, alpha, lam_law, 1)
    low, high = math.log(sigma[0]), math.log(sigma[1])
    noise = normals(key_noise, (draw.n, *spatial))
    # A wide blur leaves little but the mean, and few digits of float32 for the rest.
    noise -= noise.mean(tuple(range(1, noise.ndim)), keepdims=True)
    blurred = _geometry.blur(noise, jnp.exp(low + (high - low) * u[:, 0]))
    return draw.mix(_geometry.mark_largest(draw.tie(blurred), lam))
