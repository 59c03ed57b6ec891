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
    """Weigh labels by where the model looks in the mixed example, averaged with the area.

        λᵢ ← w λᵢ + (1 - w) Σ m aᵢ / Σ aᵢ

    Args:
      mix: a mix of B examples.
      attention: a >= 0, f[B, *grid], of the mixed examples: the last layer's attention from the
        class token to the patches, averaged over heads. The mask is averaged over the cells of this
        grid.
      area: w, the weight of the λ that the mix has; may be traced.

    Returns:
      The mix with this `lam`. Examples without any attention keep theirs.

    Raises:
      ValueError: If `attention` has another B, if its grid has another number of axes than the
        mask, or if a static `area` is outside [0, 1].

    Example:
      >>> mask = jnp.array([[True, True, False, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> jm.transmix(mix, jnp.array([[3.0, 1.0], [0.0, 1.0]])).lam.tolist()
      [0.625, 0.25]

    TransMix, Chen et al. 2022, arXiv:2111.09833. They bring the mask to the grid by the nearest
    pixel; here a patch that is cut counts by the fraction of it that is left. For a map of the
    examples before they are mixed, such as a teacher's, call `reweigh`.
    """
    _checks.share("transmix", "area", area)
    attention = checked_rows("transmix", mix, "attention", attention)
    a = jax.lax.stop_gradient(attention).astype(jnp.float32)
    rank = mix.mask.ndim - 1
    if rank not in (0, a.ndim - 1):
        raise ValueError(
            f"transmix got attention of shape {a.shape} for a mask of shape {mix.mask.shape}; "
            f"it needs the batch and {rank} axes of patches: reshape the tokens to their grid."
        )
    mask = _geometry.area_average(mix.mask.astype(jnp.float32), a.shape[1:] if rank else ())
    axes = tuple(range(1, a.ndim))
    own, total = (padded(mask, a.ndim) * a).sum(axes), a.sum(axes)
    share = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), mix.lam)
    weight = jnp.asarray(area).astype(jnp.float32)
    return dataclasses.replace(mix, lam=weight * mix.lam + (1 - weight) * share)


@public
def align_labels(
    mix: Mix, attentions: Sequence[Shaped[ArrayLike, "b ..."]], *, read: str = "cls"
) -> Mix:
    """Pass each token's label through the layers as its features are, and read it at the end.

        s₀ = (λᵢ, …, m),  s_l = ½ (s_{l-1} + A_l s_{l-1}),  λᵢ ← s_L at the class token

    Args:
      mix: a mix of B examples whose mask has the patches as positions: call
        `resize_mix(mix, grid)`.
      attentions: the attention A of each layer, first layer first: f[B, T, T], or
        f[B, heads, T, T], which is averaged over heads. Row t holds what token t attends to.
        Patches are the last tokens; the tokens before them, such as a class token, start with λ.
      read: where λ is read at the end: "cls" is the first token; "mean" is the mean over patches,
        for models that pool them.

    Returns:
      The mix with this `lam`. A mix whose mask has no positions is returned as it is.

    Raises:
      ValueError: If attention has another B, or is not of T x T tokens with all patches among them;
        if `read` is unknown; or if `read` is "cls" and every token is a patch.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([[True, False]]), lam=jnp.full(2, 0.5))
      >>> first = jnp.array([[0.0, 1, 0], [0, 1, 0], [0, 0, 1]])  # the class token looks at patch 1
      >>> jm.align_labels(mix, [jnp.stack([first, first])]).lam.tolist()
      [0.75, 0.75]

    TL-Align, Xiao et al. 2023, arXiv:2210.06455. They carry K numbers for each token; here one
    number s gives the same result, because the label of a token is s of the example's and 1 - s of
    its partner's. This does not work for layers that merge tokens or attend within windows.
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
                "after a class token if read is 'cls': call resize_mix(mix, grid) first."
            )
        share = (share + _apply(a, share)) / 2
    return dataclasses.replace(mix, lam=share[:, 0] if read == "cls" else share[:, extra:].mean(1))


def _apply(a: Float[Array, "b t t"], share: Float[Array, "b t"]) -> Float[Array, "b t"]:
    # HIGHEST: TPUs would otherwise multiply in bfloat16.
    return jnp.einsum("bij,bj->bi", a, share, precision=jax.lax.Precision.HIGHEST)
