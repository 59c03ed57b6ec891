"""Label weights and masks that follow a vision transformer's attention, which is an input here.

No gradient flows through the attention, for a label is a target. Maps have the batch first and then
the grid of patches: f[B, 14, 14] for 224 x 224 images and patches of 16.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks, masks
from jax_mixup._entry import public
from jax_mixup.mix import Mix, checked_rows, padded
from jax_mixup.pairing import Pairing, move_rows, reverse
from jax_mixup.samplers import check_options


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
    mask = masks.area_average(mix.mask.astype(jnp.float32), seen.shape[1:] if rank else ())
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


@public
def sample_smmix(
    key: PRNGKeyArray,
    attention: Shaped[ArrayLike, "b *grid"],
    *,
    sides: tuple[float, float] = (0.25, 0.75),
    patch: int = 1,
    pairing: Pairing = reverse(),
) -> tuple[Mix, tuple[Int[Array, "b d"], Int[Array, "b d"]]]:
    """Draw an SMMix: the partner's most attended square in place of the row's least attended one.

        m = 0 in the box of least Σ aᵢ, shown there: the box of most Σ aₚ, both of side s
        s ~ U{⌊s₁ n⌋, …, ⌊s₂ n⌋} of an axis of n patches;  λᵢ = the share outside

    Args:
      key: a PRNG key.
      attention: f[B, *grid], how much each patch of each unmixed row is attended to.
      sides: s₁ and s₂, as shares of the axis, in (0, 1]. A side has one patch at least.
      patch: how many positions of x along each axis are a patch's, so that the mask is x's.
      pairing: a static pairing, or an index array.

    Returns:
      The mix, with a bool mask [B, *(grid · patch)], and the partner's box to show, as (start,
      stop), i32[B, d] each: `other = jm.fit_partner(mix, x, source=source, method="nearest")`.

    Raises:
      ValueError: for attention without a grid, sides that are not 0 < s₁ <= s₂ <= 1, or
        `patch` < 1.

    Example:
      >>> attention = jnp.array([[9.0, 1.0, 2.0, 3.0], [5.0, 6.0, 0.0, 8.0]])
      >>> x = jnp.array([[1, 2, 3, 4], [5, 6, 7, 8]])
      >>> mix, source = jm.sample_smmix(jax.random.key(0), attention, sides=(0.5, 0.5))
      >>> other = jm.fit_partner(mix, x, source=source, method="nearest")
      >>> jm.select(mix, x, other=other).tolist()
      [[1, 5, 6, 4], [5, 1, 2, 8]]

    Chen et al. 2023, arXiv:2212.12977. Their attention is the model's own in evaluation mode, the
    mean over heads and over the patches that attend, and one side is drawn for the batch; here each
    row draws. Their label weight is the area as well; for another, `transmix`. Their two other
    losses need no more than the mask, for tokens pooled inside and outside of it with a label each,
    and `mix.lam`, for the unmixed predictions blended.
    """
    attention = jnp.asarray(attention)
    batch, *grid = _checks.mask_shape("sample_smmix", attention.shape, spatial=True)
    pairing = check_options("sample_smmix", "example", pairing, batch=batch)
    sides = _checks.bounds("sample_smmix", "sides", sides, "0 < s₁ <= s₂ <= 1", math.ulp(0.0), 1.0)
    patch = _checks.whole("sample_smmix", "patch", patch, 1)
    low, high = ([max(1, int(n * share)) for n in grid] for share in sides)
    low, high = (jnp.asarray([side], jnp.float32) for side in (low, high))
    u = jax.random.uniform(key, (batch, 1), jnp.float32)
    side = jnp.minimum(jnp.floor(low + u * (high - low + 1)), high).astype(jnp.int32)
    worth = attention.astype(jnp.float32)
    start, origin = _best_box(-worth, side), _best_box(move_rows(pairing, worth), side)
    spatial = tuple(n * patch for n in grid)
    corners = start * patch, (start + side) * patch
    mix = Mix(pairing, masks.outside_box(*corners, spatial), masks.share_outside(*corners, spatial))
    return mix, (origin * patch, (origin + side) * patch)


def _best_box(worth: Float[Array, "b *grid"], side: Int[Array, "b d"]) -> Int[Array, "b d"]:
    """Where the box of the greatest sum starts; of equal ones the first."""
    total, inside = worth, jnp.ones((1,) * worth.ndim, bool)
    for axis, n in enumerate(worth.shape[1:], start=1):
        along = (1,) * (axis - 1) + (n,) + (1,) * (worth.ndim - 1 - axis)
        place = jnp.arange(n, dtype=jnp.int32)[None, :]
        stop = place + side[:, axis - 1, None]
        inside = inside & (stop <= n).reshape(-1, *along)
        ends = [(1, 0) if i == axis else (0, 0) for i in range(worth.ndim)]
        sums = jnp.pad(jnp.cumsum(total, axis=axis), ends)
        index = jnp.minimum(stop, n).reshape(-1, *along)
        before = jax.lax.slice_in_dim(sums, 0, n, axis=axis)
        total = jnp.take_along_axis(sums, index, axis=axis) - before
    flat = jnp.where(inside, total, -math.inf).reshape(worth.shape[0], -1)
    return jnp.stack(jnp.unravel_index(flat.argmax(axis=1), worth.shape[1:]), axis=1).astype(
        jnp.int32
    )


def _apply(a: Float[Array, "b t t"], share: Float[Array, "b t"]) -> Float[Array, "b t"]:
    # HIGHEST: TPUs would otherwise multiply in bfloat16.
    return jnp.einsum("bij,bj->bi", a, share, precision=jax.lax.Precision.HIGHEST)
