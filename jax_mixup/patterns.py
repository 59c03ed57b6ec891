"""Samplers of other masks than one box: cells, blobs, fades, bands. From the key alone.

They share the options of `samplers`: `alpha` or `lam_law`, `per`, `pairing`.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from jax_mixup import _checks, masks
from jax_mixup.laws import Law, law_and_uniforms
from jax_mixup.mix import Mix
from jax_mixup.pairing import Pairing, draws, reverse, tie
from jax_mixup.samplers import check_options


def sample_gridmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    grid: tuple[int, ...] | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a GridMix: each cell of a grid from the row or from its partner.

        m(cell) = 1 with probability λ, else 0;  λᵢ = the share of positions kept

    With `grid=None` each position is a cell: on a table (B, columns) this is column CutMix, which
    swaps whole values, so that ids and missing ones stay what they are.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more.
      alpha, lam_law, per, pairing: see `samplers`.
      grid: how many cells along each spatial axis; where they do not divide it, sizes differ by one
        position, and `lam` counts that.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, or a `grid` that
        is not one number from 1 to the size for each spatial axis.

    Example:
      >>> mix = jm.sample_gridmix(jax.random.key(0), (8, 6, 4), grid=(3, 2))
      >>> mix.mask[0, ::2, ::2].shape, bool((mix.mask[0, 0::2] == mix.mask[0, 1::2]).all())
      ((3, 2), True)

    Baek et al. 2021, GridMix; without their extra loss, which names each cell. On tables: the
    CutMix of SAINT, Somepalli et al. 2021, arXiv:2106.01342.
    """
    name = "sample_gridmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    check_options(name, per, pairing, alpha=alpha)
    cells = tuple(spatial) if grid is None else _checks.grid(name, grid, tuple(spatial))
    law, u = law_and_uniforms(key, lam_law, math.prod(cells), draws(per, batch))
    lam, u = tie(per, pairing, batch, (law(alpha), u.T))
    mask = (u < lam[:, None]).reshape(-1, *cells)
    places = [jnp.arange(s) * n // s for n, s in zip(cells, spatial, strict=True)]
    for axis, (place, n, size) in enumerate(zip(places, cells, spatial, strict=True), start=1):
        mask = mask if n == size else jnp.take(mask, place, axis=axis)
    return _hard(mask, pairing, batch)


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
      shape: (B, *spatial) with one to three spatial axes.
      alpha, lam_law, per, pairing: see `samplers`.
      sigma: the bounds of the blur's standard deviation, in positions: large ones make few blobs.

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
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    check_options(name, per, pairing, alpha=alpha)
    _checks.sigma(name, sigma, len(spatial))
    key, key_noise = jax.random.split(key)
    n = draws(per, batch)
    law, u = law_and_uniforms(key, lam_law, 1, n)
    low, high = math.log(sigma[0]), math.log(sigma[1])
    noise = jax.random.normal(key_noise, (n, *spatial), jnp.float32)
    noise -= noise.mean(tuple(range(1, noise.ndim)), keepdims=True)  # it would take the digits
    blurred = masks.blur(noise, jnp.exp(low + (high - low) * u[0]))
    lam, blurred = tie(per, pairing, batch, (law(alpha), blurred))
    return _hard(masks.largest(blurred, lam), pairing, batch)


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
      shape: (B, *spatial) with one spatial axis or more.
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
    check_options(name, per, pairing, alpha=alpha)
    (axis,) = _checks.axes(name, (axis,), len(spatial))
    law, u = law_and_uniforms(key, lam_law, 1, draws(per, batch))
    lam, u = tie(per, pairing, batch, (law(alpha), u[0]))
    gamma = (2 * u - 1) * jnp.minimum(lam, 1 - lam)
    frames = spatial[axis - 1]
    ramp = jnp.linspace(-1, 1, frames) if frames > 1 else jnp.zeros(1)
    mask = jnp.clip(lam[:, None] + gamma[:, None] * ramp[None, :], 0, 1)
    mask = masks.spread(mask, (axis,), tuple(spatial[:axis]))
    return Mix(pairing, mask, jnp.broadcast_to(lam, (batch,)))


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
    check_options(name, per, pairing, alpha=alpha)
    if bands < 1:
        raise ValueError(f"{name} got bands={bands}; it needs an int >= 1.")
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
    return _hard(mask, pairing, batch)


def _hard(mask: Array, pairing: Pairing, batch: int) -> Mix:
    share: Float[Array, "n"] = masks.share(mask)
    return Mix(pairing, mask, jnp.broadcast_to(share, (batch,)))
