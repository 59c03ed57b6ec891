"""Noisy mixup: a mixup whose weight varies from position to position."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, normals
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_noisymixup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    noise: float = 0.025,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a noisy mixup: a mixup whose weight varies a little from position to position.

        m ~ N(λ, s²), clipped to [0, 1];  λᵢ = mean m

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      noise: s, the standard deviation of the noise; where λ is 0 or 1 there is no noise.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` or `noise` is negative, or `per`
        is unknown.

    Example:
      >>> mix = jm.sample_noisymixup(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.5))
      >>> mix.mask.shape, f"{mix.mask.std():.2f}"
      ((1, 32, 32), '0.03')

    Summers and Dinneen 2019, arXiv:1805.11272. Their labels are weighted by the λ that was
    drawn; here `lam` is the mean of the mask.
    """
    name = "sample_noisymixup"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    noise = _checks.known(name, "noise", noise, "a number >= 0", 0.0)
    key, key_noise = jax.random.split(key)
    lam, _ = draw.numbers(key, alpha, lam_law)
    lam = padded(lam, len(shape))
    offset = noise * normals(key_noise, (draw.n, *spatial))
    mask = jnp.clip(lam + jnp.where((lam > 0) & (lam < 1), offset, 0.0), 0, 1)
    mask = _geometry.fusion_barrier(draw.tie(mask))  # tied last: equal to the last digit
    return draw.mix(mask, _geometry.mean(mask))
