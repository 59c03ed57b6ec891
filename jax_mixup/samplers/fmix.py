"""FMix: blobs of the partner, cut by noise of low frequency."""

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
def sample_fmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    decay: float = 3.0,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw an FMix: blobs of any shape and size, cut by noise of low frequency.

        m = 1 at the fraction λ of positions where F⁻¹(f^-δ F(noise)) is largest

    `lam` is counted: it is λ rounded to a whole number of positions. In the one-label form each
    example keeps its own label only: for that, take `lam_law=jm.beta(alpha + 1, alpha)` and the
    plain loss.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one to three spatial axes: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      decay: δ, how fast the spectrum falls with the frequency f: 0 gives single positions, large
        values give few smooth blobs.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` does not have one to three spatial axes, a static `alpha` is negative,
        `per` is unknown, or `decay` is negative.

    Example:
      >>> mix = jm.sample_fmix(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.25))
      >>> mix.mask.shape, mix.mask.dtype, float(mix.lam[0])
      ((1, 32, 32), dtype('bool'), 0.25)

    Harris et al. 2020, arXiv:2002.12047. Their code draws the spectrum and takes two of its
    rows as real and imaginary part, which leaves the mask only two frequencies along its last axis;
    here white noise is filtered. They round λ up or down at random for the mask, and give labels
    the λ that was drawn.
    """
    name = "sample_fmix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    _checks.fft_axes(name, len(spatial))
    decay = _checks.known(name, "decay", decay, "a number >= 0 (the paper's is 3)", 0.0)
    key, key_noise = jax.random.split(key)
    lam, _ = draw.numbers(key, alpha, lam_law)
    noise = normals(key_noise, (draw.n, *spatial))
    square = _geometry.square_frequency(spatial) * max(spatial) ** 2  # 0, or 1 or more
    # The mean, f = 0, changes no rank; without it float32 has more digits for the rest.
    response = jnp.where(square > 0, jnp.maximum(square, 0.5) ** (-decay / 2), 0.0)
    field = draw.tie(_geometry.filtered(noise, response))
    return draw.mix(_geometry.mark_largest(field, lam))
