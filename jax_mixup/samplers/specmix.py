"""SpecMix: bands of time and of frequency from the partner."""

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
def sample_specmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    bands: int = 1,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a SpecMix: bands of time and bands of frequency, pasted from the partner.

        m = 0 in the bands of any axis, 1 elsewhere;  λᵢ = the fraction elsewhere

    Of each of d axes the fraction λ^(1/d) is kept, or more where bands overlap.

    Args:
      key: a PRNG key.
      shape: (B, T, F), or any (B, *spatial).
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      bands: how many bands there are along each axis, all of one width; they may overlap.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, `per` is unknown, or
        `bands` < 1.

    Example:
      >>> mix = jm.sample_specmix(jax.random.key(2), (8, 40, 64))  # (B, T, F)
      >>> mix.mask.shape, bool(mix.lam[0] == mix.mask.mean())
      ((1, 40, 64), True)

    Kim et al. 2021, arXiv:2108.03020. There each band draws its own width; here the
    widths follow from λ.
    """
    name = "sample_specmix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    bands = _checks.whole(name, "bands", bands, 1)
    lam, u = draw.numbers(key, alpha, lam_law, bands * len(spatial))
    width = (1 - lam ** (1 / len(spatial))) / bands  # of a band, as a fraction of its axis
    centres = u.reshape(-1, len(spatial), bands, 1)
    mask = jnp.ones((lam.shape[0], *spatial), bool)
    for axis, size in enumerate(spatial, start=1):
        for band in range(bands):
            centre = centres[:, axis - 1, band]
            corners = _geometry.box_corners(1 - width, centre, (size,), box="inside")
            mask &= _geometry.spread(_geometry.outside_box(*corners, (size,)), (axis,), spatial)
    return draw.mix(mask)
