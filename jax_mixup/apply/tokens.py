"""Apply a mix of tokens within a transformer: who attends to whom, and tokens put back."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, PyTree

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, layers_of, mask_for
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup.apply.inputs import select
from jax_mixup.mix import Mix, Mixes
from jax_mixup.pairings._rows import Pairing, StaticPairing, move_rows
from jax_mixup.pairings.static import partner_index


@public
def same_source(mix: Mixes, *, extra: int = 0) -> Bool[Array, "b t t"]:
    """Say which tokens of a mixed example come from the same picture, for attention within it.

        Aᵢ(t, s) = [the source of token t = the source of token s],  source = i or p by mᵢ

    Args:
      mix: a mix of B examples whose mask is bool with the T tokens as positions, or a tuple of such
        mixes. Tokens [B, h, w, D] have T = h · w, in the order of `reshape(B, h * w, D)`.
      extra: how many tokens come before these, such as a class token: they attend to all tokens,
        and all tokens to them.

    Returns:
      bool[B, extra + T, extra + T], True where token t may attend to token s. For several heads
      write `[:, None]`.

    Raises:
      TypeError: If the mask is not bool.
      ValueError: If the mask has no positions, or if `extra` is not an int >= 0.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([[True, True, False]]), jnp.full(2, 2 / 3))
      >>> jm.same_source(mix)[0].astype(int).tolist()
      [[1, 1, 0], [1, 1, 0], [0, 0, 1]]

    MixMAE, Liu et al. 2023, arXiv:2205.13137. Their encoder attends within windows: there compare
    the sources of a window's tokens, which are `select(mix, ids)` for ids of the examples.
    """
    name = "same_source"
    extra = _checks.whole(name, "extra", extra, 0)
    for layer in layers_of(mix):
        _check_tokens(name, layer)
    first = layers_of(mix)[0]
    batch, spatial = first.lam.shape[0], first.mask.shape[1:]
    ids = padded(jnp.arange(batch, dtype=jnp.int32), 1 + len(spatial))
    source = select(mix, jnp.broadcast_to(ids, (batch, *spatial))).reshape(batch, -1)
    same = source[:, :, None] == source[:, None, :]
    return jnp.pad(same, ((0, 0), (extra, 0), (extra, 0)), constant_values=True)


@public
def unmix(mix: Mix, h: PyTree) -> PyTree:
    """Put what was computed from mixed tokens back to the example that each token came from.

        uᵢ(t) = hᵢ(t) where mᵢ(t),  h_q(t) where ¬m_q(t),  else 0,  with p(q) = i

    For a mutual pairing such as `reverse()`, and a mask that both examples share (per="batch" or
    "pair"), every token is found, and this is `select(mix, h)`. With a mask for each example some
    tokens are in neither mixed example: they are 0, and `unmix(mix, ones)` is 1 where a token was
    found. A token that is in both is taken from the example's own place.

    Args:
      mix: a mix of B examples whose mask is bool with tokens as positions. With an index array an
        example may be the partner of several others: its tokens are taken from the last of them,
        and those that this one lacks are 0, even if another has them.
      h: arrays [B, *spatial, ...] of any dtype, or a PyTree of them, with the tokens' positions
        after the batch and without extra tokens such as a class token.

    Returns:
      Arrays of the shapes and dtypes of h.

    Raises:
      TypeError: If the mask is not bool.
      ValueError: If the mask has no positions, if h has another B, or if the mask does not fit h.

    Example:
      >>> mix = jm.Mix(jm.roll(), jnp.array([[True, False]]), jnp.full(3, 0.5))
      >>> mixed = jm.select(mix, jnp.array([[10, 11], [20, 21], [30, 31]]))
      >>> mixed.tolist(), jm.unmix(mix, mixed).tolist()
      ([[10, 31], [20, 11], [30, 21]], [[10, 11], [20, 21], [30, 31]])

    MixToken, Jiang et al. 2021, arXiv:2104.10858, for the loss of each token: λ ~ Beta(1, 1), a
    CutMix box of tokens, and the class token's label by `lam`.
    """
    _check_tokens("unmix", mix)
    batch = mix.lam.shape[0]
    back, found = _back(mix.partner, batch)

    def leaf(h: ArrayLike) -> Array:
        h = checked_rows("unmix", mix, "h", h)
        mask = mask_for("unmix", mix, h)
        away = ~jnp.broadcast_to(mask, (batch, *mask.shape[1:]))
        there = move_rows(back, away) & padded(found, h.ndim)
        return jnp.where(mask, h, jnp.where(there, move_rows(back, h), jnp.zeros((), h.dtype)))

    return jax.tree.map(leaf, h)


def _check_tokens(function: str, mix: Mix) -> None:
    if mix.mask.dtype != jnp.bool_:
        raise TypeError(
            f"{function} got a mix with a {mix.mask.dtype} mask; it needs a bool mask of tokens: "
            "draw the mix for the tokens' grid, and bring it to the pixels by resize_mix."
        )
    if mix.mask.ndim < 2:
        raise ValueError(
            f"{function} got a mask of shape {mix.mask.shape}; it needs the tokens as positions, "
            "(B or 1, *spatial), as sample_cutmix draws."
        )


def _back(pairing: Pairing, batch: int) -> tuple[Pairing, Bool[Array, "b"]]:
    """Return whose partner each example is, and whether it is anybody's."""
    if isinstance(pairing, StaticPairing):
        return dataclasses.replace(pairing, shift=-pairing.shift), jnp.ones(batch, bool)
    index, itself = partner_index(pairing, batch), jnp.arange(batch, dtype=jnp.int32)
    back = jnp.full(batch, -1, jnp.int32).at[index].max(itself)
    back = jnp.where(index == itself, itself, back)
    return jnp.maximum(back, 0), back >= 0
