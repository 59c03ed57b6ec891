"""Mix distant pairs less: λ by the distance of the pair."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _checks
from jax_mixup._beta_cdf import symmetric_beta_cdf
from jax_mixup._blending import checked_rows, mix_where, partner_rows
from jax_mixup._entry import one_program, public
from jax_mixup.mix import Mix


@public
def warp_by_distance(
    mix: Mix,
    features: Shaped[ArrayLike, "b *dims"],
    *,
    tau_max: ArrayLike = 1.0,
    tau_std: ArrayLike = 0.5,
    other: Shaped[ArrayLike, "b *dims"] | None = None,
) -> Mix:
    """Mix near pairs more, and distant ones less: λ is warped by the distance of the pair.

        λᵢ' = I_λᵢ(1/τᵢ, 1/τᵢ),  τᵢ = τ_max exp(-(dᵢ / d̄ - 1) / 2σ²),  dᵢ = ‖fᵢ - fₚ‖²

    I_x(a, a) is the distribution function of Beta(a, a), and d̄ the mean of the dᵢ. Where τ = 1, λ
    stays what it is. A larger τ moves λ towards ½, a smaller one towards the nearer of 0 and 1; λ =
    0, ½ and 1 stay. A pair at distance 0 has τ = τ_max exp(1 / 2σ²), even where all are.
    `keep_local` is the same with a threshold.

    Args:
      mix: a mix of B examples whose mask has no positions, as `sample_mixup` draws; draw it with
        per="example", for with one λ for all only the distances differ.
      features: f[B, ...]: hidden features, inputs, or the targets of a regression.
      tau_max: τ of a pair at the mean distance, > 0: how strongly is mixed. It may be traced; a
        traced one that is not positive, or NaN, turns mixing off.
      tau_std: σ > 0: up to which distance is mixed. Infinity gives all pairs τ = τ_max. It may be
        traced, as `tau_max`.
      other: features of what is blended in place of the partners, for example of a second batch; of
        the same shape and dtype as `features`.

    Returns:
      The mix with this `lam`, and a mask [B] that is warped in the same way. A pair whose features
      are NaN or infinite is not mixed.

    Raises:
      ValueError: If the mask has positions, if `features` have another B, or if a static `tau_max`
        or `tau_std` is not positive.

    Example:
      The first two are near each other, the third is not.

      >>> mix = jm.Mix(jm.roll(), jnp.array([0.3]), lam=jnp.full(3, 0.3))
      >>> mix = jm.warp_by_distance(mix, jnp.array([0.0, 1.0, 5.0]), tau_std=1.0)
      >>> [round(float(lam), 2) for lam in mix.lam]
      [0.25, 0.35, 0.29]

    Similarity kernel mixup, Bouniot et al. 2025, arXiv:2311.01434, with `warping="beta_cdf"`, the
    default of their code; d̄ is the mean of the batch there, too. Their published runs draw λ ~
    Beta(τ, τ) in place of warping it: `sample_mixup(key, shape, alpha=tau, per="example")`. In
    torch-uncertainty d - 1 is divided by d̄, which is another τ_max in each batch.
    """
    _checks.positive("warp_by_distance", "tau_max", tau_max)
    _checks.positive("warp_by_distance", "tau_std", tau_std)
    features = checked_rows("warp_by_distance", mix, "features", features)
    if mix.mask.ndim != 1:
        raise ValueError(
            f"warp_by_distance got a mask of shape {mix.mask.shape}; it needs a mask without "
            "positions, as sample_mixup draws: for one with positions call keep_local."
        )
    partners = partner_rows("warp_by_distance", mix, "features", features, other)
    peak, width = (jnp.asarray(tau).astype(jnp.float32) for tau in (tau_max, tau_std))
    return _warped(mix, features, partners, peak, width)


@one_program()
def _warped(mix: Mix, own: Array, rest: Array, peak: Array, width: Array) -> Mix:
    own, rest = (x.reshape(x.shape[0], -1).astype(jnp.float32) for x in (own, rest))
    distance = jnp.square(own - rest).sum(axis=1)
    on = jnp.isfinite(distance) & (peak > 0) & (width > 0)
    relative = _over_mean(jnp.where(on, distance, 0.0), on)
    width = jnp.where(width > 0, width, 1.0)
    exponent = jnp.minimum((relative - 1) / width / width / 2, 60.0)  # beyond, λ is 0 or 1
    concentration = jnp.exp(exponent) / jnp.where(peak > 0, peak, 1.0)
    warp = lambda weight: symmetric_beta_cdf(weight.astype(jnp.float32), concentration)
    lam = warp(mix.lam)
    mask = mix.mask if mix.mask.dtype == jnp.bool_ else warp(mix.mask)  # 0 and 1 stay
    return mix_where(on, dataclasses.replace(mix, mask=mask, lam=lam))


def _over_mean(distance: Float[Array, "b"], on: Array) -> Float[Array, "b"]:
    count = jnp.maximum(on.sum(dtype=jnp.int32), 1).astype(jnp.float32)
    mean = (distance / count).sum()
    return distance / jnp.where(mean > 0, mean, 1.0)
