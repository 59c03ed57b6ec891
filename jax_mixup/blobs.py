"""Samplers of masks without straight lines: noise, its blobs, and Gaussians. From the key alone.

They share the options of `samplers`: `per`, `pairing`, and all but `sample_smoothmix`, which has no
law of λ, `alpha` or `lam_law`.
"""

import math

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
    """Draw an FMix: blobs of any shape and size, from noise of low frequency.

        m = 1 where F⁻¹(f^-δ F(noise)) is among its largest λ of positions

    `lam` is counted: the share λ to the nearest whole position. For the one-label form, which names
    the row's own label alone, take `lam_law=jm.beta(alpha + 1, alpha)` and the plain loss.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one to three spatial axes: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.
      decay: δ, how fast the spectrum falls with the frequency f: 0 is single positions, large ones
        make few smooth blobs.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, or a negative
        `decay`.

    Example:
      >>> mix = jm.sample_fmix(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.25))
      >>> mix.mask.shape, mix.mask.dtype, float(mix.lam[0])
      ((1, 32, 32), dtype('bool'), 0.25)

    Harris et al. 2020, arXiv:2002.12047. Their code draws the spectrum and takes two of its
    rows as real and imaginary part, which leaves the image two frequencies along its last axis;
    here white noise is filtered. They round λ up or down at random, and labels get λ as drawn.
    """
    name = "sample_fmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    _checks.fft_axes(name, len(spatial))
    decay = _checks.known(name, "decay", decay, "a number >= 0 (the paper's is 3)", 0.0)
    key, key_noise = jax.random.split(key)
    n = draws(per, batch)
    law, _ = law_and_uniforms(key, lam_law, 0, n)
    noise = jax.random.normal(key_noise, (n, *spatial), jnp.float32)
    square = masks.square_frequency(tuple(spatial)) * max(spatial) ** 2  # 1 or more, or 0
    # The mean, f = 0, moves no rank: without it the other digits are kept.
    response = jnp.where(square > 0, jnp.maximum(square, 0.5) ** (-decay / 2), 0.0)
    lam, field = tie(per, pairing, batch, (law(alpha), masks.filtered(noise, response)))
    return hard_mix(masks.largest(field, lam), pairing, batch)


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
      shape: (B, *spatial) with one to three spatial axes: x.shape[:-1], channels last;
        channels first: see `samplers`.
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
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    sigma = _checks.sigma(name, sigma)
    _checks.fft_axes(name, len(spatial))
    key, key_noise = jax.random.split(key)
    n = draws(per, batch)
    law, u = law_and_uniforms(key, lam_law, 1, n)
    low, high = math.log(sigma[0]), math.log(sigma[1])
    noise = jax.random.normal(key_noise, (n, *spatial), jnp.float32)
    noise -= noise.mean(tuple(range(1, noise.ndim)), keepdims=True)  # it would take the digits
    blurred = masks.blur(noise, jnp.exp(low + (high - low) * u[0]))
    lam, blurred = tie(per, pairing, batch, (law(alpha), blurred))
    return hard_mix(masks.largest(blurred, lam), pairing, batch)


@public
def sample_smoothmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    sigma: tuple[float, float] = (0.25, 0.5),
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a SmoothMix: the partner shines through a round spot with soft edges.

        m = 1 - G,  G = exp(-½ Σ (x - c)² / σ²),  σ ~ U(σ₁, σ₂),  λᵢ = mean m

    The centre c is any position, equally likely. There is no law of λ: σ is what is drawn.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      sigma: the bounds of the spot's standard deviation, as a share of each axis.
      per, pairing: see `samplers`.

    Returns:
      A mix with a float32 mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, an unknown `per`, or bounds that are not 0 < σ₁ <= σ₂.

    Example:
      >>> mix = jm.sample_smoothmix(jax.random.key(0), (8, 32, 32))
      >>> float(mix.mask.min()), bool(jnp.isclose(mix.mask.mean(), mix.lam[0]))
      (0.0, True)

    Lee et al. 2020, SmoothMix, CVPR Workshops. Other code for it returns the mean of G, the
    partner's share, where the row's own is read; here λ is the row's, as everywhere. On images that
    are not square the spot has their aspect.
    """
    name = "sample_smoothmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch)
    sigma = _checks.sigma(name, sigma)
    u = jax.random.uniform(key, (draws(per, batch), 1 + len(spatial)), jnp.float32)
    u = tie(per, pairing, batch, u)
    width = (sigma[0] + (sigma[1] - sigma[0]) * u[:, 0]) * math.sqrt(2 * math.pi)
    spot, average = masks.bump(u[:, 1:], width, tuple(spatial))
    return Mix(pairing, 1 - spot, jnp.broadcast_to(1 - average, (batch,)))


@public
def sample_gmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a GMix: a CutMix whose box is a round spot with soft edges.

        m = G(λ) where λ < ½, else 1 - G(1-λ),  G(s) = exp(-π Σ (x - c)² / s^(2/d)),  λᵢ = mean m

    So the spot belongs to the one with the smaller share s, which is what its whole integral holds;
    the border cuts some off, and `lam` is what is left.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.

    Returns:
      A mix with a float32 mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, or an unknown `per`.

    Example:
      >>> mix = jm.sample_gmix(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.9))
      >>> float(mix.mask.min()), bool(mix.lam[0] >= 0.9)
      (0.0, True)

    Park et al. 2022, arXiv:2208.09913. Their code is for squares: here distances are shares of each
    axis, as for the box of CutMix.
    """
    name = "sample_gmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    law, centre = law_and_uniforms(key, lam_law, len(spatial), draws(per, batch))
    lam, centre = tie(per, pairing, batch, (law(alpha), centre.T))
    smaller = jnp.minimum(lam, 1 - lam)
    # Nothing of a share is no spot at all; the floor keeps its gradient finite.
    width = jnp.maximum(smaller, 1e-6) ** (1 / len(spatial))
    found = masks.bump(centre, width, tuple(spatial))
    spot, average = (jnp.where(padded(smaller > 0, g.ndim), g, 0.0) for g in found)
    mask, lam = (jnp.where(padded(lam < 0.5, g.ndim), g, 1 - g) for g in (spot, average))
    return Mix(pairing, mask, jnp.broadcast_to(lam, (batch,)))


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
    """Draw a noisy mixup: one whose weight differs a little from position to position.

        m ~ N(λ, s²), clipped to [0, 1];  λᵢ = mean m

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.
      noise: s; where λ is 0 or 1 there is none.

    Returns:
      A mix with a float32 mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha` or `noise`, or an unknown `per`.

    Example:
      >>> mix = jm.sample_noisymixup(jax.random.key(0), (8, 32, 32), lam_law=jm.constant(0.5))
      >>> mix.mask.shape, f"{mix.mask.std():.2f}"
      ((1, 32, 32), '0.03')

    Summers and Dinneen 2019, arXiv:1805.11272. Their labels have λ as it was drawn.
    """
    name = "sample_noisymixup"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    noise = _checks.known(name, "noise", noise, "a number >= 0", 0.0)
    key, key_noise = jax.random.split(key)
    n = draws(per, batch)
    law, _ = law_and_uniforms(key, lam_law, 0, n)
    lam = padded(law(alpha), len(shape))
    offset = noise * jax.random.normal(key_noise, (n, *spatial), jnp.float32)
    mask = jnp.clip(lam + jnp.where((lam > 0) & (lam < 1), offset, 0.0), 0, 1)
    mask = masks.computed_once(tie(per, pairing, batch, mask))
    return Mix(pairing, mask, jnp.broadcast_to(masks.mean(mask), (batch,)))
