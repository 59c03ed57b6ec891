"""GridMix: each cell of a grid from one of the two examples."""

import math

from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_gridmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    grid: tuple[int, ...] | None = None,
    exact: bool = False,
    jitter: float = 0.0,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a GridMix: each cell of a grid from the row or from its partner.

        m(cell) = 1 with probability λ, else 0;  λᵢ = the share of positions kept

    With `grid=None` each position is a cell: on a table (B, columns) this is column CutMix, which
    swaps whole values, so that ids and missing ones stay what they are.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]`, channels last.
        With channels first move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. One number, or one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      grid: how many cells along each spatial axis; where they do not divide it, sizes differ by one
        position, and `lam` counts that.
      exact: keep the share λ of cells to the nearest whole cell, and draw only which ones: of few
        cells the number would scatter.
      jitter: how far the lines between cells move, uniformly, as a part of a cell: at most ½.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, or a `grid` that
        is not one number from 1 to the size for each spatial axis, or a `jitter` outside [0, ½].

    Example:
      >>> mix = jm.sample_gridmix(jax.random.key(0), (8, 6, 4), grid=(3, 2))
      >>> mix.mask[0, ::2, ::2].shape, bool((mix.mask[0, 0::2] == mix.mask[0, 1::2]).all())
      ((3, 2), True)

    Baek et al. 2021, GridMix; without their extra loss, which names each cell. On tables: the
    CutMix of SAINT, Somepalli et al. 2021, arXiv:2106.01342. With `exact` and 4 x 4 cells: MaskMix
    of MixPro, Zhao et al. 2023, arXiv:2304.12043, who round up and draw the cells of each row.
    With grid=(2, 2) and jitter=0.5: random 2 x 2, Summers and Dinneen 2019, arXiv:1805.11272.
    """
    name = "sample_gridmix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    cells = spatial if grid is None else _checks.grid(name, grid, spatial)
    jitter = _checks.known(name, "jitter", jitter, "a number in [0, 0.5]", 0.0, 0.5)
    number, lines = math.prod(cells), sum(cells) - len(cells)
    lam, u = draw.numbers(key, alpha, lam_law, number + lines if jitter else number)
    choice, moved = u[:, :number], jitter * (2 * u[:, number:] - 1) if jitter else None
    mask = _geometry.mark_largest(choice, lam) if exact else choice < lam[:, None]
    mask = _geometry.enlarge(mask.reshape(-1, *cells), spatial, moved)
    return draw.mix(mask)
