"""The `Mix` value and the verbs that apply it.

A mix is drawn once and then applied to all that belongs to the batch: inputs, labels, dense maps,
hidden features, losses, metrics. In every verb the mix comes first, then arrays or PyTrees of
arrays with the batch first. Row i is mixed with row p = partner[i]. The verbs for labels, losses
and metrics are in `labels`, those that change a mix in `adjust`.

Where more than two rows are mixed, a tuple of mixes says so: each layer blends what the layers
before it gave with one more partner's row (`overlay`). Verbs take `Mixes`, a mix or such a tuple.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Bool, Integer, PyTree

from jax_mixup import _checks
from jax_mixup._entry import public
from jax_mixup.pairing import StaticPairing, move_rows


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mix:
    """What is mixed with what, and in which shares: a PyTree of arrays.

        x̃ᵢ = mᵢ ⊙ xᵢ + (1 - mᵢ) ⊙ xₚ,  ỹᵢ = λᵢ yᵢ + (1 - λᵢ) yₚ

    Samplers draw one. It can be made by hand, logged, returned from jit, scanned and vmapped;
    `dataclasses.replace(mix, lam=...)` gives another label weight, say one from attention. It is of
    all rows of its batch: a part of them has other partners, and draws a mix of its own.

    Attributes:
      partner: i32[B], or a static pairing: the row p that each row is mixed with.
      mask: the share m of the row's own input at each position, `[B or 1]` or `[B or 1, *spatial]`;
        float32 in [0, 1], or bool where the method is hard, so that ids can follow it. The
        positions come right after the batch, as in arrays with channels last.
      lam: f32[B] in [0, 1]: the share λ of the row's own label. For geometric methods it is the
        share of positions that were taken from the row.

    Example:
      >>> mix = jm.Mix(jm.reverse(), mask=jnp.array([0.75]), lam=jnp.array([0.75, 0.75]))
      >>> jm.blend(mix, jnp.array([[0.0, 4.0], [8.0, 8.0]])).tolist()
      [[2.0, 5.0], [6.0, 7.0]]
    """

    partner: StaticPairing | Integer[ArrayLike, "..."]
    mask: Array
    lam: Array


Mixes = Mix | tuple[Mix, ...]
M = TypeVar("M", Mix, tuple[Mix, ...])  # what changes a mix gives the same kind
WIDE = (jnp.float64, jnp.complex64, jnp.complex128)  # dtypes that are blended as they are


@public
def take_partner(mix: Mix, x: PyTree) -> PyTree:
    """Move each row's partner into its place.

        out[i] = x[partner[i]]

    The one place where rows move. Static pairings move them without a gather; index arrays gather.

    Args:
      mix: a mix of B rows.
      x: arrays [B, ...] of any dtype, or a PyTree of them.

    Returns:
      The same shapes and dtypes.

    Raises:
      ValueError: if an array does not have B rows, or the pairing cannot serve B rows.

    Example:
      >>> mix = jm.sample_mixup(jax.random.key(0), (3,))
      >>> jm.take_partner(mix, {"id": jnp.array([10, 11, 12])})
      {'id': Array([12, 11, 10], dtype=int32)}
    """

    def take(x: ArrayLike) -> Array:
        x = checked_rows("take_partner", mix, "x", x)
        return move_rows(mix.partner, x)

    return jax.tree.map(take, x)


@public
def blend(
    mix: Mixes, x: PyTree, *, other: PyTree | None = None, dtype: DTypeLike | None = None
) -> PyTree:
    """Blend each row with its partner by the mask: inputs, features, dense soft maps.

        x̃ᵢ = mᵢ ⊙ xᵢ + (1 - mᵢ) ⊙ oᵢ,  oᵢ = xₚ unless `other` is given

    The mask is right-padded with 1s to x's rank. A soft mask is applied in float32 (float64 and
    complex inputs in their own dtype). m = 0 and m = 1 copy values exactly, and a value whose
    weight is 0 has no influence, not even where it is NaN. Integers are rounded to nearest; they
    are exact below 2^24. Mix first and normalise after: the weights sum to 1, so it is the same,
    and uint8 rows move.

    Args:
      mix: a mix of B rows, or a tuple of them, laid one over another.
      x: arrays [B, *spatial, ...], or a PyTree of them; channels last. Of channels first move the
        axis, `jnp.moveaxis(x, 1, -1)`, and back after; within a jitted step that adds no pass.
      other: what to blend with in place of the partners' rows; same structure and shapes as x.
      dtype: of the result, default x's; an integer x needs it: a float dtype, or its own.

    Returns:
      Arrays of x's shapes.

    Raises:
      TypeError: for integer or bool x without `dtype`, or an integer `dtype` that is not x's.
      ValueError: for another B, a mask that does not fit x, an `other` of another shape, or one for
        a tuple of mixes.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.25]), jnp.full(2, 0.25))
      >>> images = jnp.array([[0, 100], [200, 255]], jnp.uint8)
      >>> jm.blend(mix, images, dtype=jnp.float32).tolist()
      [[150.0, 216.25], [50.0, 138.75]]
      >>> jm.blend(mix, images, dtype=jnp.uint8).tolist()
      [[150, 216], [50, 139]]
    """

    def leaf(x: ArrayLike, other: ArrayLike | None = None) -> Array:
        out = _checks.blend_dtype(jnp.asarray(x).dtype, dtype)
        return _blended("blend", mix, x, other, out)

    return jax.tree.map(leaf, x) if other is None else jax.tree.map(leaf, x, other)


@public
def select(mix: Mixes, x: PyTree, *, other: PyTree | None = None) -> PyTree:
    """Take each position from the row or from its partner: segmentation ids, tokens.

        out[i] = x[i] where mᵢ else other[i],  other = the partner's rows unless given

    Nothing is averaged: every id survives exactly, an ignore id too. Twice, it gives x back only
    where the pairing is mutual and both rows of a pair have one mask, as with per="batch" or
    per="pair" and `reverse()`. With a mask for each row some positions are in neither mixed row:
    nothing can give them back.

    Args:
      mix: a mix of B rows whose mask is bool, or a tuple of such mixes.
      x: arrays [B, *spatial, ...] of any dtype, or a PyTree of them.
      other: as in `blend`, of x's dtypes.

    Returns:
      Arrays of x's shapes and dtypes.

    Raises:
      TypeError: if the mask is not bool.
      ValueError: for another B, a mask that does not fit x, or an `other` of another shape.

    Example:
      >>> mask = jnp.array([[True, True, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 2 / 3))
      >>> jm.select(mix, jnp.array([[1, 255, 3], [4, 5, 255]])).tolist()
      [[1, 255, 255], [4, 5, 3]]
    """
    for layer in layers_of(mix):
        if layer.mask.dtype != jnp.bool_:
            raise TypeError(
                f"select got a mix with a {layer.mask.dtype} mask; it needs a bool one, as "
                "sample_cutmix draws: for a soft mask call blend on one-hot maps, or "
                "pair_loss(by='mask') on the ids."
            )

    def leaf(x: ArrayLike, other: ArrayLike | None = None) -> Array:
        return _blended("select", mix, x, other, jnp.asarray(x).dtype)

    return jax.tree.map(leaf, x) if other is None else jax.tree.map(leaf, x, other)


def mix_where(on: Bool[Array, "n"], mix: Mix) -> Mix:
    """The mix where `on` (one bool, or B), and no mixing elsewhere."""
    own = jnp.ones((), mix.mask.dtype)
    mask = jnp.where(padded(on, mix.mask.ndim), mix.mask, own)
    return dataclasses.replace(mix, mask=mask, lam=jnp.where(on, mix.lam, 1.0))


def checked_rows(function: str, mix: Any, name: str, x: ArrayLike) -> Array:
    x = jnp.asarray(x)
    _checks.rows(function, name, x, mix.lam.shape[0])
    return x


def partner_rows(function: str, mix: Mix, name: str, x: Array, other: ArrayLike | None) -> Array:
    """What each row is mixed with: the partners' rows, or those that were given in their place."""
    if other is None:
        return move_rows(mix.partner, x)
    other = jnp.asarray(other)
    if other.shape != x.shape or other.dtype != x.dtype:
        raise ValueError(
            f"{function} got other of shape {other.shape} and dtype {other.dtype} for {name} of "
            f"shape {x.shape} and dtype {x.dtype}; it needs the same: resize or cast other first."
        )
    return other


def layers_of(mix: Mixes) -> tuple[Mix, ...]:
    return mix if isinstance(mix, tuple) else (mix,)


def layered(
    mix: Mixes,
    own: Array,
    weight_of: Callable[[Mix], Array],
    other_of: Callable[[Mix], Array | None],
    out: DTypeLike,
) -> Array:
    """Blend with one partner after another, rounded once, at the end; an `other` of None is own."""
    layers = layers_of(mix)
    weights = [weight_of(layer) for layer in layers]
    small = jnp.issubdtype(own.dtype, jnp.integer) and own.dtype.itemsize <= 2
    if small and jnp.issubdtype(out, jnp.floating):
        # As exact for what is finite, as all of these are, and twice as fast on CPU.
        weights = [jnp.where(w, 1.0, 0.0) if w.dtype == jnp.bool_ else w for w in weights]
    soft = any(weight.dtype != jnp.bool_ for weight in weights)
    between = jnp.float32 if soft and own.dtype not in WIDE else own.dtype
    for i, (layer, weight) in enumerate(zip(layers, weights, strict=True), start=1):
        other = other_of(layer)
        other = own if other is None else other
        own = weighted(weight, own, other, out if i == len(layers) else between)
    return own


def _blended(
    function: str, mix: Mixes, x: ArrayLike, other: ArrayLike | None, out: DTypeLike
) -> Array:
    x = jnp.asarray(x)
    one_mix(function, mix, other)

    def weight_of(layer: Mix) -> Array:
        return mask_for(function, layer, checked_rows(function, layer, "x", x))

    def other_of(layer: Mix) -> Array | None:
        partner = partner_rows(function, layer, "x", x, other)
        return None if partner is x else partner  # a batch of one

    return layered(mix, x, weight_of, other_of, out)


def one_mix(function: str, mix: Mixes, other: object) -> None:
    if isinstance(mix, tuple) and other is not None:
        raise ValueError(
            f"{function} got other for {len(mix)} mixes; it needs one mix: call {function} for "
            "each, with its own."
        )


def mask_for(function: str, mix: Mix, x: Array) -> Array:
    _checks.mask_fits(function, mix.mask.shape, x)
    return padded(mix.mask, x.ndim)


def padded(weight: Array, ndim: int) -> Array:
    return weight.reshape(weight.shape + (1,) * (ndim - weight.ndim))


def weighted(weight: Array, own: Array, other: Array, out: DTypeLike) -> Array:
    """weight·own + (1 - weight)·other, the one place where anything is averaged."""
    if own is other:  # a batch of one: not even a rounding error
        return own.astype(out)
    if weight.dtype == jnp.bool_:
        return _cast(jnp.where(weight, own, other.astype(own.dtype)), out)
    dtype = own.dtype if own.dtype in WIDE else jnp.float32
    parts = [_part(share.astype(dtype), x) for share, x in ((weight, own), (1 - weight, other))]
    return _cast(parts[0] + parts[1], out)


def _part(share: Array, x: Array) -> Array:
    part = share * x.astype(share.dtype)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return part
    return jnp.where(share == 0, jnp.zeros((), part.dtype), part)  # for 0 · NaN is NaN


def _cast(x: Array, out: DTypeLike) -> Array:
    whole = jnp.issubdtype(out, jnp.integer) and jnp.issubdtype(x.dtype, jnp.floating)
    return (jnp.round(x) if whole else x).astype(out)
