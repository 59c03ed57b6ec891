"""Samplers of straight masks other than one box: cells, holes, halves, fades, bands.

They need the key alone, and share the options of `samplers`: `alpha` or `lam_law`, `per`,
`pairing`.
"""

import math
from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, masks
from jax_mixup._entry import public
from jax_mixup.laws import Law, law_and_uniforms
from jax_mixup.mix import Mix, padded
from jax_mixup.pairing import Pairing, draws, reverse, tie
from jax_mixup.samplers import check_options, hard_mix


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
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.
      grid: how many cells along each spatial axis; where they do not divide it, sizes differ by one
        position, and `lam` counts that.
      exact: keep the share λ of cells to the nearest whole cell, and draw only which ones: of few
        cells the number would scatter.
      jitter: how far the lines between cells move, uniformly, as a part of a cell: at most ½.

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
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    cells = tuple(spatial) if grid is None else _checks.grid(name, grid, tuple(spatial))
    jitter = _checks.known(name, "jitter", jitter, "a number in [0, 0.5]", 0.0, 0.5)
    number, lines = math.prod(cells), sum(cells) - len(cells)
    law, u = law_and_uniforms(key, lam_law, number + lines if jitter else number, draws(per, batch))
    lam, u = tie(per, pairing, batch, (law(alpha), u.T))
    choice, moved = u[:, :number], jitter * (2 * u[:, number:] - 1) if jitter else None
    mask = masks.largest(choice, lam) if exact else choice < lam[:, None]
    mask = masks.enlarge(mask.reshape(-1, *cells), tuple(spatial), moved)
    return hard_mix(mask, pairing, batch)


@public
def sample_gridmixup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    holes: tuple[int, int] = (2, 6),
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a GridMixup: the partner seen through a regular lattice of holes.

        mᵢ = 0 in holes of side (1-λ)^(1/d) of their cell, 1 elsewhere;  λᵢ = the share elsewhere

    There are n holes along each axis, n ∈ {n₁, …, n₂} equally likely, and the lattice is moved by a
    random part of a cell, cyclically.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.
      holes: the bounds n₁ and n₂, both inclusive.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, or bounds that are
        not 1 <= n₁ <= n₂.

    Example:
      >>> half = jm.constant(0.5)
      >>> mix = jm.sample_gridmixup(jax.random.key(0), (4, 8), holes=(2, 2), lam_law=half)
      >>> mix.mask[0].astype(jnp.int32).tolist()
      [0, 0, 1, 1, 0, 0, 1, 1]

    GridMixup, github.com/IlyaDobrynin/GridMixup. There cells are squares that start at the corner
    of a random crop, and a hole never fills its cell; here they have the image's aspect, and move.
    """
    name = "sample_gridmixup"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    bounds = _checks.bounds(name, "holes", holes, "1 <= low <= high", 1.0)
    low, high = (_checks.whole(name, "holes", bound, 1) for bound in bounds)
    law, u = law_and_uniforms(key, lam_law, 1 + len(spatial), draws(per, batch))
    lam, u = tie(per, pairing, batch, (law(alpha), u.T))
    number = low + jnp.minimum(jnp.floor(u[:, :1] * (high - low + 1)), high - low)
    side = (1 - jax.lax.stop_gradient(lam[:, None])) ** (1 / len(spatial))
    number, side = masks.computed_once(jnp.stack([number, side]))
    hole = jnp.ones((1,) * len(shape), bool)
    for axis, size in enumerate(spatial, start=1):
        middle = (jnp.arange(size, dtype=jnp.float32)[None, :] + 0.5) / size
        phase = jnp.mod(middle * number + u[:, axis, None], 1.0)
        hole &= masks.spread(phase < side, (axis,), tuple(spatial))
    return hard_mix(~hole, pairing, batch)


@public
def sample_vhmixup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    checkered: bool = False,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a VH-Mixup: the row above its partner, averaged with the row to the left of its partner.

        m = λ V + (1-λ) H,  V = 1 in the first λ₁ of rows, H = 1 in the first λ₂ of columns

    all three weights from the law. One axis has one concatenation; a third axis one more, averaged
    with what the first two give.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.
      checkered: in place of averaging keep what is in both concatenations or in neither: opposite
        quadrants are the same row's.

    Returns:
      A mix with a float32 mask, bool where `checkered`: [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, or an unknown `per`.

    Example:
      >>> mix = jm.sample_vhmixup(jax.random.key(0), (8, 4, 4), lam_law=jm.constant(0.5))
      >>> mix.mask[0, ::3, ::3].tolist()
      [[1.0, 0.5], [0.5, 0.0]]

    Summers and Dinneen 2019, arXiv:1805.11272; `checkered` is their mixed concatenation. One of the
    two alone is `sample_cutmix(axes=(1,), box="corner")`.
    """
    name = "sample_vhmixup"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    rank, n = len(spatial), draws(per, batch)
    law, _ = law_and_uniforms(key, lam_law, 0, n * (2 * rank - 1))
    each = jnp.repeat(jnp.asarray(alpha), 2 * rank - 1) if jnp.ndim(alpha) else alpha
    drawn = tie(per, pairing, batch, law(each).reshape(n, 2 * rank - 1))
    cuts, weights = drawn[:, :rank], masks.computed_once(drawn[:, rank:])
    halves, shares = [], []
    for axis, size in enumerate(spatial, start=1):
        corners = masks.box_corners(cuts[:, axis - 1], cuts[:, :1], (size,), box="corner")
        half = masks.outside_box(*corners, (size,))
        halves.append(masks.spread(half, (axis,), tuple(spatial)))
        shares.append(masks.share_outside(*corners, (size,)))
    if checkered:
        return hard_mix(reduce(jnp.equal, halves), pairing, batch)
    mask, lam = halves[0].astype(jnp.float32), shares[0]
    for weight, half, share in zip(weights.T, halves[1:], shares[1:], strict=True):
        wide = padded(weight, mask.ndim)
        mask = wide * mask + jnp.where(half, 1 - wide, 0.0)
        lam = weight * lam + (1 - weight) * share
    return Mix(pairing, mask, jnp.broadcast_to(lam, (batch,)))


@public
def sample_fademix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    axis: int = 1,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a fade: a mixup whose weight changes linearly along one axis, time for example.

        m(t) = λ + γ (2t / (T-1) - 1),  γ ~ U(-g, g), g = min(λ, 1-λ)

    Motion stays whole, for weights change smoothly; drawn anew for each frame they would flicker.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.
      axis: of `shape`, along which it fades: 1 is the first after the batch.

    Returns:
      A mix with a float32 mask, [1 or B, *spatial] up to `axis`, the same at every place after it.

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, or another `axis`.

    Example:
      >>> mix = jm.sample_fademix(jax.random.key(0), (8, 5, 32, 32))  # (B, T, H, W)
      >>> mix.mask.shape, bool(jnp.isclose(mix.mask.mean(), mix.lam[0]))
      ((1, 5), True)

    FadeMixUp, Kim et al. 2020, arXiv:2008.05721.
    """
    name = "sample_fademix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    (axis,) = _checks.axes(name, (axis,), len(spatial))
    law, u = law_and_uniforms(key, lam_law, 1, draws(per, batch))
    lam, u = tie(per, pairing, batch, (law(alpha), u[0]))
    gamma = (2 * u - 1) * jnp.minimum(lam, 1 - lam)
    frames = spatial[axis - 1]
    ramp = jnp.linspace(-1, 1, frames, dtype=jnp.float32)
    ramp = ramp if frames > 1 else jnp.zeros(1, jnp.float32)
    mask = jnp.clip(lam[:, None] + gamma[:, None] * ramp[None, :], 0, 1)
    mask = masks.spread(mask, (axis,), tuple(spatial[:axis]))
    return Mix(pairing, mask, jnp.broadcast_to(lam, (batch,)))


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
    """Draw a SpecMix: bands of time and bands of frequency from the partner.

        m = 0 in the bands of any axis, 1 elsewhere;  λᵢ = the share elsewhere

    What is kept of each of d axes is λ^(1/d), before bands overlap, which keeps more.

    Args:
      key: a PRNG key.
      shape: (B, T, F), or any (B, *spatial).
      alpha, lam_law, per, pairing: see `samplers`.
      bands: how many along each axis, all of one width; they may overlap.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, or `bands` < 1.

    Example:
      >>> mix = jm.sample_specmix(jax.random.key(2), (8, 40, 64))  # (B, T, F)
      >>> mix.mask.shape, bool(mix.lam[0] == mix.mask.mean())
      ((1, 40, 64), True)

    Kim et al. 2021, arXiv:2108.03020. There the bands' widths are drawn apart; here they follow λ.
    """
    name = "sample_specmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    bands = _checks.whole(name, "bands", bands, 1)
    law, u = law_and_uniforms(key, lam_law, bands * len(spatial), draws(per, batch))
    lam, u = tie(per, pairing, batch, (law(alpha), u.T))
    width = (1 - lam ** (1 / len(spatial))) / bands  # a band's share of its axis
    centres = u.reshape(-1, len(spatial), bands, 1)
    mask = jnp.ones((lam.shape[0], *spatial), bool)
    for axis, size in enumerate(spatial, start=1):
        for band in range(bands):
            centre = centres[:, axis - 1, band]
            corners = masks.box_corners(1 - width, centre, (size,), box="inside")
            mask &= masks.spread(masks.outside_box(*corners, (size,)), (axis,), tuple(spatial))
    return hard_mix(mask, pairing, batch)
