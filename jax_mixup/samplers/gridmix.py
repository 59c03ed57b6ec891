"""GridMix: each cell of a grid comes from one of the two examples."""

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
    """Draw a GridMix: each cell of a grid comes from the example or from its partner.

        m(cell) = 1 with probability λ, else 0;  λᵢ = the fraction of positions kept

    With `grid=None` each position is a cell: on a table (B, columns) this is CutMix of columns. It
    swaps whole values, so that ids stay ids and missing values stay missing.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      grid: how many cells each spatial axis has. Where this number does not divide the axis, cells
        differ in size by one position, and `lam` takes that into account.
      exact: if True, the number of cells that the example keeps is λ rounded to whole cells, and
        only their choice is random. If False, the number is random too, and varies much if there
        are few cells.
      jitter: how far the lines between cells move, uniformly, as a fraction of a cell: at most ½.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, `per` is unknown,
        `grid` is not one number from 1 to the size for each spatial axis, or `jitter` is outside
        [0, ½].

    Example:
      >>> mix = jm.sample_gridmix(jax.random.key(0), (8, 6, 4), grid=(3, 2))
      >>> mix.mask[0, ::2, ::2].shape, bool((mix.mask[0, 0::2] == mix.mask[0, 1::2]).all())
      ((3, 2), True)

    Baek et al. 2021, GridMix, without their extra loss, which predicts the label of each cell. On
    tables it is the CutMix of SAINT, Somepalli et al. 2021, arXiv:2106.01342. With `exact` and
    grid=(4, 4) it is MaskMix of MixPro, Zhao et al. 2023, arXiv:2304.12043, who round up and draw
    the cells for each example. With grid=(2, 2) and jitter=0.5 it is random 2 x 2, Summers and
    Dinneen 2019, arXiv:1805.11272.
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
