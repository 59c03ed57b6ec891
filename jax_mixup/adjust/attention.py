"""Change the label weights of a mix by the attention of a transformer."""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._blending import checked_rows
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix


@public
def transmix(mix: Mix, attention: Shaped[ArrayLike, "b *grid"], *, area: ArrayLike = 0.5) -> Mix:
    """Weigh labels by where the model looks in the mixed row, averaged with the area.

        λᵢ ← w λᵢ + (1 - w) Σ m aᵢ / Σ aᵢ

    Args:
      mix: a mix of B rows.
      attention: a >= 0, f[B, *grid], of the mixed rows: the last layer's, from the class token to
        the patches, as a mean over heads. The mask is averaged over the grid's cells.
      area: w, the weight of the λ that the mix has; may be traced.

    Returns:
      The mix with this `lam`; rows without attention keep theirs.

    Raises:
      ValueError: for another B, a grid of another rank than the mask, or a static `area` outside
        [0, 1].

    Example:
      >>> mask = jnp.array([[True, True, False, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> jm.transmix(mix, jnp.array([[3.0, 1.0], [0.0, 1.0]])).lam.tolist()
      [0.625, 0.25]

    TransMix, Chen et al. 2022, arXiv:2111.09833. They bring the mask to the grid by the nearest
    pixel; here a patch that was cut counts by its share. Where the map is of the rows before they
    were mixed, as a teacher's, call `reweigh`.
    """
    _checks.share("transmix", "area", area)
    attention = checked_rows("transmix", mix, "attention", attention)
    seen = jax.lax.stop_gradient(attention).astype(jnp.float32)
    rank = mix.mask.ndim - 1
    if rank not in (0, seen.ndim - 1):
        raise ValueError(
            f"transmix got attention of shape {seen.shape} for a mask of shape {mix.mask.shape}; "
            f"it needs the batch and {rank} axes of patches: reshape the tokens to their grid."
        )
    mask = _geometry.area_average(mix.mask.astype(jnp.float32), seen.shape[1:] if rank else ())
    axes = tuple(range(1, seen.ndim))
    own, total = (padded(mask, seen.ndim) * seen).sum(axes), seen.sum(axes)
    share = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), mix.lam)
    weight = jnp.asarray(area).astype(jnp.float32)
    return dataclasses.replace(mix, lam=weight * mix.lam + (1 - weight) * share)


@public
def align_labels(
    mix: Mix, attentions: Sequence[Shaped[ArrayLike, "b ..."]], *, read: str = "cls"
) -> Mix:
    """Let each token's label go through the layers as its features do, and read it at the end.

        s₀ = (λᵢ, …, m),  s_l = ½ (s_{l-1} + A_l s_{l-1}),  λᵢ ← s_L at the class token

    Args:
      mix: a mix of B rows whose mask has the patches as positions: call `resize_mix(mix, grid)`.
      attentions: A of each layer, first layer first: f[B, T, T], or f[B, heads, T, T], of which the
        mean is taken; row t says what token t attends to. Patches are the last tokens; what comes
        before them, as class tokens, starts with λ.
      read: "cls" is the first token; "mean" the mean over patches, for models that pool them.

    Returns:
      The mix with this `lam`. A mask without positions comes back as it is.

    Raises:
      ValueError: for another B, attention that is not of T x T tokens with all patches among them,
        another `read`, or "cls" where every token is a patch.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([[True, False]]), lam=jnp.full(2, 0.5))
      >>> first = jnp.array([[0.0, 1, 0], [0, 1, 0], [0, 0, 1]])  # the class token looks at patch 1
      >>> jm.align_labels(mix, [jnp.stack([first, first])]).lam.tolist()
      [0.75, 0.75]

    TL-Align, Xiao et al. 2023, arXiv:2210.06455. The same in two numbers a token where they carry
    K, for a token's label is s of the row's and 1 - s of its partner's. Layers that merge or window
    tokens are not served.
    """
    _checks.option("align_labels", "read", read, ("cls", "mean"))
    if mix.mask.ndim == 1:
        return mix
    batch, patches = mix.lam.shape[0], math.prod(mix.mask.shape[1:])
    mask = jnp.broadcast_to(mix.mask.reshape(-1, patches).astype(jnp.float32), (batch, patches))
    share, extra = mask, 0
    for layer, attention in enumerate(attentions):
        a = checked_rows("align_labels", mix, "attention", attention)
        a = jax.lax.stop_gradient(a).astype(jnp.float32)
        a = a.mean(axis=1) if a.ndim == 4 else a
        if layer == 0:
            extra = a.shape[-1] - patches
            others = jnp.broadcast_to(mix.lam[:, None], (batch, max(extra, 0)))
            share = jnp.concatenate([others, mask], axis=1)
        if a.shape != (batch, patches + extra, patches + extra) or extra < (read == "cls"):
            raise ValueError(
                f"align_labels got attention of shape {jnp.shape(attention)} for {patches} patches "
                f"and read={read!r}; it needs (B, T, T) or (B, heads, T, T) with the patches last, "
                "after a class token where that is read: call resize_mix(mix, grid) first."
            )
        share = (share + _apply(a, share)) / 2
    return dataclasses.replace(mix, lam=share[:, 0] if read == "cls" else share[:, extra:].mean(1))


def _apply(a: Float[Array, "b t t"], share: Float[Array, "b t"]) -> Float[Array, "b t"]:
    # HIGHEST: TPUs would otherwise multiply in bfloat16.
    return jnp.einsum("bij,bj->bi", a, share, precision=jax.lax.Precision.HIGHEST)
