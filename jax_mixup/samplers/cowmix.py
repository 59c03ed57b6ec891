"""CowMix: blobs, as on a cow."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
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
    """Draw a CowMix: blobs, as on a cow.

        m = 1 where G_σ * noise is among its largest λ of positions;  log σ ~ U(log σ₁, log σ₂)

    `lam` is counted: the share λ to the nearest whole position.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one to three spatial axes: `x.shape[:-1]`, channels last.
        With channels first move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. One number, or one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      sigma: the bounds of the blur's standard deviation, in positions: large ones make few blobs.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, or bounds that are
        not 0 < σ₁ <= σ₂.

    Example:
      >>> mix = jm.sample_cowmix(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.5))
      >>> mix.mask.shape, float(mix.lam[0])
      ((1, 32, 32), 0.5)

    French et al. 2020, arXiv:2003.12022. They threshold at the normal quantile of λ, so that shares
    scatter about it; here the share is exact. The blur is by FFT, so blobs go on across borders.
    """
    name = "sample_cowmix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    sigma = _checks.sigma(name, sigma)
    _checks.fft_axes(name, len(spatial))
    key, key_noise = jax.random.split(key)
    lam, u = draw.numbers(key, alpha, lam_law, 1)
    low, high = math.log(sigma[0]), math.log(sigma[1])
    noise = jax.random.normal(key_noise, (draw.n, *spatial), jnp.float32)
    noise -= noise.mean(tuple(range(1, noise.ndim)), keepdims=True)  # it would take the digits
    blurred = _geometry.blur(draw.tie(noise), jnp.exp(low + (high - low) * u[:, 0]))
    return draw.mix(_geometry.mark_largest(blurred, lam))
