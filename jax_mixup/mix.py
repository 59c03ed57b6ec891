"""The `Mix` value and the verbs that apply it.

A mix is drawn once and then applied to all that belongs to the batch: inputs, labels, dense maps,
hidden features, losses, metrics. In every verb the mix comes first, then arrays or PyTrees of
arrays with the batch first. Row i is mixed with row p = partner[i]. The verbs for labels, losses
and metrics are in `labels`.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Bool, PyTree, Shaped

from jax_mixup import _checks, masks
from jax_mixup.pairing import Pairing, move_rows


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mix:
    """What is mixed with what, and in which shares: a PyTree of arrays.

        x̃ᵢ = mᵢ ⊙ xᵢ + (1 - mᵢ) ⊙ xₚ,  ỹᵢ = λᵢ yᵢ + (1 - λᵢ) yₚ

    Samplers draw one. It can be made by hand, logged, returned from jit, scanned and vmapped;
    `dataclasses.replace(mix, lam=...)` gives another label weight, say one from attention.

    Attributes:
      partner: i32[B], or a static pairing: the row p that each row is mixed with.
      mask: the share m of the row's own input at each position, `[B or 1]` or `[B or 1, *spatial]`;
        float32 in [0, 1], or bool where the method is hard, so that ids can follow it.
      lam: f32[B] in [0, 1]: the share λ of the row's own label. For geometric methods it is the
        share of positions that were taken from the row.

    Example:
      >>> mix = jm.Mix(jm.reverse(), mask=jnp.array([0.75]), lam=jnp.array([0.75, 0.75]))
      >>> jm.blend(mix, jnp.array([[0.0, 4.0], [8.0, 8.0]])).tolist()
      [[2.0, 5.0], [6.0, 7.0]]
    """

    partner: Pairing
    mask: Array
    lam: Array


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
        return move_rows(mix.partner, checked_rows("take_partner", mix, "x", x))

    return jax.tree.map(take, x)


def blend(
    mix: Mix, x: PyTree, *, other: PyTree | None = None, dtype: DTypeLike | None = None
) -> PyTree:
    """Blend each row with its partner by the mask: inputs, features, dense soft maps.

        x̃ᵢ = mᵢ ⊙ xᵢ + (1 - mᵢ) ⊙ oᵢ,  oᵢ = xₚ unless `other` is given

    The mask is right-padded with 1s to x's rank. A soft mask is applied in float32 (float64 and
    complex inputs in their own dtype), so m = 0 and m = 1 copy finite values exactly; a bool mask
    selects, and what it hides has no influence, NaN neither. Integers are rounded to nearest; they
    are exact below 2^24. Mix first and normalise after: the weights sum to 1, so it is the same,
    and uint8 rows move.

    Args:
      mix: a mix of B rows.
      x: arrays [B, *spatial, ...], or a PyTree of them.
      other: what to blend with in place of the partners' rows; same structure and shapes as x.
      dtype: of the result, default x's; an integer x needs it: a float dtype, or its own.

    Returns:
      Arrays of x's shapes.

    Raises:
      TypeError: for integer or bool x without `dtype`, or an integer `dtype` that is not x's.
      ValueError: for another B, a mask that does not fit x, or an `other` of another shape.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.25]), jnp.full(2, 0.25))
      >>> images = jnp.array([[0, 100], [200, 255]], jnp.uint8)
      >>> jm.blend(mix, images, dtype=jnp.float32).tolist()
      [[150.0, 216.25], [50.0, 138.75]]
      >>> jm.blend(mix, images, dtype=jnp.uint8).tolist()
      [[150, 216], [50, 139]]
    """

    def leaf(x: ArrayLike, other: ArrayLike | None = None) -> Array:
        x = checked_rows("blend", mix, "x", x)
        out = _blend_dtype(x.dtype, dtype)
        return weighted(mask_for("blend", mix, x), x, _partner_of("blend", mix, x, other), out)

    return jax.tree.map(leaf, x) if other is None else jax.tree.map(leaf, x, other)


def select(mix: Mix, x: PyTree, *, other: PyTree | None = None) -> PyTree:
    """Take each position from the row or from its partner: segmentation ids, tokens.

        out[i] = x[i] where mᵢ else other[i],  other = the partner's rows unless given

    Nothing is averaged: every id survives exactly, an ignore id too.

    Args:
      mix: a mix of B rows whose mask is bool.
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
    if mix.mask.dtype != jnp.bool_:
        raise TypeError(
            f"select got a mix with a {mix.mask.dtype} mask; it needs a bool one, as sample_cutmix "
            "draws: for a soft mask call blend on one-hot maps, or pair_loss(by='mask') on the ids."
        )

    def leaf(x: ArrayLike, other: ArrayLike | None = None) -> Array:
        x = checked_rows("select", mix, "x", x)
        weight = mask_for("select", mix, x)
        return weighted(weight, x, _partner_of("select", mix, x, other), x.dtype)

    return jax.tree.map(leaf, x) if other is None else jax.tree.map(leaf, x, other)


def resize_mix(mix: Mix, spatial: tuple[int, ...]) -> Mix:
    """Bring the mask to another resolution, for features or label maps of another stride.

        m'(cell) = the average of m over the cell's area

    Means are kept, so `lam` stays what it was.

    Args:
      mix: a mix; a mask without positions, as mixup's, comes back as it is.
      spatial: the new sizes, one for each spatial axis of the mask.

    Returns:
      A mix whose mask is `[B or 1, *spatial]`: float32, but bool where a bool mask only repeats its
      positions (each new size a multiple of the old), so that `select` works there. For `select` at
      a coarser stride choose a threshold: `replace(mix, mask=mix.mask >= 0.5)`.

    Raises:
      ValueError: if `spatial` has another number of axes than the mask, or a size below 1.

    Example:
      >>> mask = jnp.array([[True, True, True, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.75))
      >>> jm.resize_mix(mix, (2,)).mask.tolist()
      [[1.0, 0.5]]
    """
    old = mix.mask.shape[1:]
    spatial = tuple(spatial)
    if not old or spatial == old:
        return mix
    if len(spatial) != len(old) or min(spatial) < 1:
        raise ValueError(
            f"resize_mix got spatial={spatial} for a mask of shape {mix.mask.shape}; it needs "
            f"{len(old)} sizes of 1 or more."
        )
    mask = masks.area_average(mix.mask.astype(jnp.float32), spatial)
    if mix.mask.dtype == jnp.bool_ and all(n % o == 0 for n, o in zip(spatial, old, strict=True)):
        mask = mask > 0.5
    return dataclasses.replace(mix, mask=mask)


def keep(mix: Mix, where: Shaped[ArrayLike, "b"]) -> Mix:
    """Leave rows as they are: padding, and examples that must not be mixed.

        mᵢ = 1 and λᵢ = 1 unless where[i] and where[partner[i]]

    Args:
      mix: a mix of B rows.
      where: bool[B]; rows where it is False stay as they are, and so do the rows whose partner is
        such a row, so that nothing of padding reaches a real example. Under a soft mask padding
        must be finite, for 0 · NaN is NaN.

    Returns:
      A mix of the same rows, its mask with a leading B.

    Raises:
      TypeError: if `where` is not bool.
      ValueError: if it is not of shape (B,).

    Example:
      >>> mix = jm.Mix(jm.roll(), jnp.array([0.5]), lam=jnp.full(3, 0.5))
      >>> jm.keep(mix, jnp.array([True, True, False])).lam.tolist()
      [1.0, 0.5, 1.0]
    """
    where = checked_rows("keep", mix, "where", where)
    if where.dtype != jnp.bool_:
        raise TypeError(f"keep got where of dtype {where.dtype}; it needs bool: write weights > 0.")
    if where.ndim != 1:
        raise ValueError(f"keep got where of shape {where.shape}; it needs one bool a row, (B,).")
    return mix_where(where & move_rows(mix.partner, where), mix)


def mix_where(on: Bool[Array, "n"], mix: Mix) -> Mix:
    """The mix where `on` (one bool, or B), and no mixing elsewhere."""
    own = jnp.ones((), mix.mask.dtype)
    mask = jnp.where(padded(on, mix.mask.ndim), mix.mask, own)
    return dataclasses.replace(mix, mask=mask, lam=jnp.where(on, mix.lam, 1.0))


def checked_rows(function: str, mix: Mix, name: str, x: ArrayLike) -> Array:
    x = jnp.asarray(x)
    if mix.lam.ndim != 1:
        raise ValueError(
            f"{function} got a mix whose lam has shape {mix.lam.shape}; it needs (B,): to a mix "
            "that was drawn under vmap, apply verbs under vmap too."
        )
    _checks.rows(function, name, x, mix.lam.shape[0])
    return x


def _partner_of(function: str, mix: Mix, x: Array, other: ArrayLike | None) -> Array:
    if other is None:
        return move_rows(mix.partner, x)
    other = jnp.asarray(other)
    if other.shape != x.shape or other.dtype != x.dtype:
        raise ValueError(
            f"{function} got other of shape {other.shape} and dtype {other.dtype} for x of shape "
            f"{x.shape} and dtype {x.dtype}; it needs the same: resize or cast other first."
        )
    return other


def mask_for(function: str, mix: Mix, x: Array) -> Array:
    _checks.mask_fits(function, mix.mask.shape, x)
    return padded(mix.mask, x.ndim)


def padded(weight: Array, ndim: int) -> Array:
    return weight.reshape(weight.shape + (1,) * (ndim - weight.ndim))


def _blend_dtype(given: jnp.dtype, wanted: DTypeLike | None) -> jnp.dtype:
    exact = not jnp.issubdtype(given, jnp.inexact)
    if exact and wanted is None:
        raise TypeError(
            f"blend got x of dtype {given}; it needs dtype=, a float dtype or {given} itself, "
            "which is then rounded: for ids call select, or blend_labels with num_classes."
        )
    out = jnp.dtype(given if wanted is None else wanted)
    itself = exact and out == given and out != jnp.bool_
    if not itself and not jnp.issubdtype(out, jnp.inexact):
        raise TypeError(f"blend got dtype={out} for {given} x; it needs a float dtype.")
    return out


def weighted(weight: Array, own: Array, other: Array, out: DTypeLike) -> Array:
    """weight·own + (1 - weight)·other, the one place where anything is averaged."""
    if own is other:  # a batch of one: not even a rounding error
        return own.astype(out)
    if weight.dtype == jnp.bool_:
        small = jnp.issubdtype(own.dtype, jnp.integer) and own.dtype.itemsize <= 2
        if not (small and jnp.issubdtype(out, jnp.floating)):
            return jnp.where(weight, own, other).astype(out)
        weight = jnp.where(
            weight, 1.0, 0.0
        )  # as exact for what is finite, and twice as fast on CPU
    wide = own.dtype in (jnp.float64, jnp.complex64, jnp.complex128)
    dtype = own.dtype if wide else jnp.float32
    weight = weight.astype(dtype)
    mixed = weight * own.astype(dtype) + (1 - weight) * other.astype(dtype)
    return (jnp.round(mixed) if jnp.issubdtype(out, jnp.integer) else mixed).astype(out)
