"""Saliency Grafting: salient cells of the partner, with labels weighted by saliency."""

import math

from jaxtyping import ArrayLike, PRNGKeyArray, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup._maps import checked_map, normalised
from jax_mixup.adjust.labels import reweigh
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_grafting(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    grid: tuple[int, ...] = (7, 7),
    threshold: float = 1.0,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a Saliency Grafting: salient cells of the partner, with labels weighted by saliency.

        m(cell) = 0 with probability 1-λ where mean sₚ >= τ · (its mean over all cells), else 1
        λᵢ = Σ m ŝᵢ / (Σ m ŝᵢ + Σ (1-m) ŝₚ),  ŝ = s / Σ s

    Args:
      key: a PRNG key.
      saliency: f[B, *spatial], how important each position of each example is.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ is drawn for each example, from one alpha or from one for
        each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      grid: how many cells each spatial axis has.
      threshold: τ, how salient a cell has to be, relative to the mean over all cells; 0 makes every
        cell a candidate.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask [B, *spatial]; its `lam`, the example's part of the visible saliency,
      is what `reweigh` gives.

    Raises:
      ValueError: If `saliency` has no spatial axis, a static `alpha` or `threshold` is negative, or
        `grid` does not fit.

    Example:
      >>> s = jnp.array([[8.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 6.0]])
      >>> mix = jm.sample_grafting(jax.random.key(0), s, grid=(4,), lam_law=jm.constant(0.0))
      >>> mix.mask.astype(int).tolist(), [round(float(lam), 3) for lam in mix.lam]
      ([[1, 1, 1, 0], [0, 1, 1, 1]], [0.545, 0.522])

    Park et al. 2022, arXiv:2112.08796; we found no code of the authors. They may scale the
    saliency before the threshold, and draw the probability, in another way: here the threshold is
    relative to the mean saliency, and 1-λ is distributed as in all samplers.
    """
    name = "sample_grafting"
    s = checked_map(name, saliency)
    draw = Draw(name, s.shape, "example", pairing, alpha=alpha)
    batch, spatial = draw.batch, draw.spatial
    threshold = _checks.known(name, "threshold", threshold, "a number >= 0", 0.0)
    grid = _checks.grid(name, grid, spatial)
    lam, u = draw.numbers(key, alpha, lam_law, math.prod(grid))
    # Computed once, as λ and the blend must see the same mask: another kernel may round otherwise.
    means = _geometry.fusion_barrier(_geometry.area_average(move_rows(draw.pairing, s), grid))
    means = means.reshape(batch, -1)
    candidate = means >= threshold * means.mean(axis=1, keepdims=True)
    own = ~candidate | (u < lam[:, None])
    mask = _geometry.enlarge(own.reshape(batch, *grid), spatial)
    return reweigh(draw.mix(mask), normalised(s))
