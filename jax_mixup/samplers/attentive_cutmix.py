"""Attentive CutMix: the partner's most salient cells, pasted."""

import math

from jaxtyping import ArrayLike, PRNGKeyArray, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, drawn_from
from jax_mixup._entry import public
from jax_mixup._maps import checked_map
from jax_mixup.distributions import constant
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_attentive_cutmix(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    grid: tuple[int, ...] = (7, 7),
    k: int = 6,
    lam_law: Law | None = None,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw an Attentive CutMix: the partner's k most salient cells, pasted into the example.

        m(cell) = 0 where the mean of sₚ is among its k largest, else 1;  λᵢ = the fraction kept

    Args:
      key: a PRNG key, used by `lam_law` only; without `lam_law` nothing is random.
      saliency: f[B, *spatial], how important each position of each example is.
      grid: how many cells each spatial axis has. Where this number does not divide the axis, cells
        differ in size by one position, and `lam` takes that into account.
      k: how many cells come from the partner.
      lam_law: a distribution of λ, drawn for each example, in place of `k`: the partner gives the
        fraction 1 - λ of the cells, rounded to whole cells. It is a function
        `(key, shape) -> f32[shape]` such as `jm.uniform(0.0, 1.0)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask [B, *spatial].

    Raises:
      ValueError: If `saliency` has no spatial axis, `grid` does not fit it, or `k` is not from 0 to
        the number of cells.

    Example:
      >>> saliency = jax.random.uniform(jax.random.key(0), (4, 28, 28))
      >>> mix = jm.sample_attentive_cutmix(jax.random.key(1), saliency)
      >>> print(f"{mix.lam[0]:.4f} = {1 - 6 / 49:.4f}")
      0.8776 = 0.8776

    Walawalkar et al. 2020, arXiv:2003.13048. Their saliency is the last feature map, 7 x 7, of a
    pretrained model. A distribution of λ in place of k is OpenMixup's "attentivemix+".
    """
    name = "sample_attentive_cutmix"
    s = checked_map(name, saliency)
    draw = Draw(name, s.shape, "example", pairing)
    batch, spatial = draw.batch, draw.spatial
    grid = _checks.grid(name, grid, spatial)
    cells = math.prod(grid)
    k = _checks.whole(name, "k", k, 0, cells)
    law = constant(1 - k / cells) if lam_law is None else lam_law
    share = 1 - drawn_from(law, key, batch)
    # Computed once: a sum that is computed again, in another kernel, may round to another number.
    means = _geometry.fusion_barrier(_geometry.area_average(move_rows(draw.pairing, s), grid))
    mask = _geometry.enlarge(~_geometry.mark_largest(means, share), spatial)
    return draw.mix(mask)
