"""Pictures in pictures: the whole partner, resized into the box that the mask gives to it."""

import itertools
import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Inexact, Int, PyTree, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._blending import WIDE, checked_rows, mask_for, masked_product
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import padded
from jax_mixup.adjust.masks import resize_mix
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import move_rows

METHODS = ("linear", "antialias", "nearest")


Box = tuple[Int[Array, "_ d"], Int[Array, "_ d"]]  # start and stop; one for all, or one for each


class Line(NamedTuple):
    """One axis: where each position looks in the source, and the bounds of the source."""

    place: Float[Array, "n size"]
    ratio: Float[Array, "m 1"]  # how many positions of the source one position shows
    origin: Int[Array, "k 1"]
    end: Int[Array, "k 1"]

    def whole(self, place: Float[Array, "n size"]) -> Int[Array, "n size"]:
        """The position of the source that holds this place, or the nearest that it has."""
        return jnp.clip(jnp.floor(place).astype(jnp.int32), self.origin, self.end - 1)


@public
def fit_partner(
    mix: Mix,
    x: PyTree,
    *,
    source: Box | None = None,
    other: PyTree | None = None,
    method: str = "linear",
) -> PyTree:
    """Resize each partner into the box that the mask gives to it, as the `other` of `blend`.

        out[t] = o[(t - a + ½) s/b + c - ½],  a, b: start and side of the box, c, s: of the source

    The box is the smallest one that holds all positions where the mask is False.

    Args:
      mix: a mix of B examples whose mask is bool, with positions.
      x: arrays [B, *spatial, ...] of any dtype, or a PyTree of them.
      source: which box of the partner to show, as (start, stop), i32[B or 1, d] each; None shows
        the whole partner.
      other: what to show in place of the partners, of the shapes of x: the last step's batch, for
        example.
      method: "linear" interpolates between two positions along each axis, as the papers' code does.
        "antialias" averages where it shrinks, by a product of matrices, which takes several times
        as long. Both round integers, and a bool is True where at least half of what it averages is.
        "nearest" copies single positions: it is right for ids, and cheapest.

    Returns:
      Arrays of the shapes and dtypes of x. Outside the box they repeat the values at its border.

    Raises:
      TypeError: If the mask is not bool, or has no positions.
      ValueError: If the mask does not fit x, if x has another B, if `other` has another shape, or
        if `method` is unknown.

    Example:
      >>> mask = jnp.array([[True, True, False, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> x = jnp.array([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
      >>> jm.blend(mix, x, other=jm.fit_partner(mix, x, method="nearest"))[0].tolist()
      [0.0, 0.0, 2.0, 4.0]
    """
    _checks.option("fit_partner", "method", method, METHODS)
    if mix.mask.dtype != jnp.bool_ or mix.mask.ndim < 2:
        raise TypeError(
            f"fit_partner got a {mix.mask.dtype} mask of shape {mix.mask.shape}; it needs a bool "
            "mask with positions: draw the mix by sample_resizemix or sample_cutmix."
        )
    spatial = mix.mask.shape[1:]
    start, stop = _box(~mix.mask)
    if source is None:
        whole = jnp.asarray(spatial, jnp.int32)[None, :]
        source = jnp.zeros_like(whole), whole
    lines = _lines((start, stop), source, spatial)

    def leaf(x: ArrayLike, other: ArrayLike | None = None) -> Array:
        x = checked_rows("fit_partner", mix, "x", x)
        mask_for("fit_partner", mix, x)
        partners = move_rows(mix.partner, x) if other is None else jnp.asarray(other)
        partners = _checks.shaped("fit_partner", "other", partners, x.shape)
        if method == "nearest":
            return _nearest(partners, lines)
        out = (_linear if method == "linear" else _antialias)(partners, lines)
        if x.dtype == jnp.bool_:
            return out >= 0.5
        return (out if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.round(out)).astype(x.dtype)

    return jax.tree.map(leaf, x) if other is None else jax.tree.map(leaf, x, other)


@public
def pool_given(mix: Mix, h: Shaped[ArrayLike, "b *dims"]) -> Float[Array, "b c"]:
    """Average features over the part of the mask that is given to the other picture.

        out = Σ (1 - m) h / Σ (1 - m)

    Args:
      mix: a mix of B examples, whose mask is brought to the features' resolution.
      h: features, f[B, *spatial, C]. Values of weight 0 have no influence, not even NaN.

    Returns:
      f32[B, C]; zeros for examples whose mask is 1 everywhere.

    Raises:
      ValueError: If h has another B, or if the mask has no positions or another number of axes.

    Example:
      >>> mask = jnp.array([[True, True, False, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> jm.pool_given(mix, jnp.array([[[1.0], [2.0]], [[3.0], [4.0]]])).tolist()
      [[2.0], [4.0]]

    RecursiveMix, Yang et al. 2022, arXiv:2203.06844, who use RoI-align.
    """
    h = checked_rows("pool_given", mix, "h", h)
    weight = 1 - mask_for("pool_given", resize_mix(mix, h.shape[1:-1]), h).astype(jnp.float32)
    axes = tuple(range(1, h.ndim - 1))
    total = masked_product(weight, h).sum(axes)
    count = jnp.broadcast_to(weight, (*weight.shape[:-1], 1)).sum(axes)
    return total / jnp.where(count > 0, count, 1.0)


@one_program()
def _box(given: Bool[Array, "n *spatial"]) -> Box:
    """The smallest box around all True positions; one position if there is none."""
    ends = []
    for axis in range(1, given.ndim):
        others = tuple(a for a in range(1, given.ndim) if a != axis)
        line = given.any(axis=others)
        size = line.shape[1]
        start = jnp.argmax(line, axis=1)
        ends.append((start, jnp.maximum(size - jnp.argmax(line[:, ::-1], axis=1), start + 1)))
    start, stop = (jnp.stack(e, axis=1).astype(jnp.int32) for e in zip(*ends, strict=True))
    return _geometry.fusion_barrier(start), _geometry.fusion_barrier(stop)


@one_program("spatial")
def _lines(box: Box, source: Box, spatial: tuple[int, ...]) -> list[Line]:
    """Where each position of the result looks in the source, axis by axis."""
    lines = []
    for axis, size in enumerate(spatial):
        start, stop, origin, end = (e[:, axis, None] for e in (*box, *source))
        ratio = (end - origin).astype(jnp.float32) / (stop - start).astype(jnp.float32)
        t = jnp.arange(size, dtype=jnp.int32)[None, :]
        t = jnp.clip(t, start, stop - 1) - start
        place = (t.astype(jnp.float32) + 0.5) * ratio + origin.astype(jnp.float32)
        lines.append(Line(place, ratio, origin, end))
    return lines


@one_program()
def _nearest(x: Shaped[Array, "b ..."], lines: list[Line]) -> Array:
    return _taken(x, [line.whole(line.place) for line in lines])


@one_program()
def _linear(x: Shaped[Array, "b ..."], lines: list[Line]) -> Inexact[Array, "b ..."]:
    # By the compiler's estimate for TPUs, a gather of each position moves eight times the bytes of
    # the products.
    narrow = partial(_triangles, shrinking=False)
    return jax.lax.platform_dependent(x, lines, tpu=narrow, default=_corners)


def _corners(x: Shaped[Array, "b ..."], lines: list[Line]) -> Inexact[Array, "b ..."]:
    """Interpolate between two positions along each axis, in one pass over the result."""
    # Float64 and complex arrays are resized in their own dtype.
    dtype, rank = x.dtype if x.dtype in WIDE else jnp.float32, len(lines)
    out = jnp.zeros((), dtype)
    for corner in itertools.product((False, True), repeat=rank):
        weight, index = jnp.ones((), jnp.float32), []
        for axis, (far, line) in enumerate(zip(corner, lines, strict=True)):
            low = jnp.floor(line.place - 0.5)
            share = line.place - 0.5 - low
            weight = weight * _along(share if far else 1 - share, axis, rank)
            # Nothing of weight 0 is read, because 0 · NaN is NaN.
            index.append(line.whole(jnp.where(share > 0, low + float(far), low)))
        out = out + padded(weight, x.ndim).astype(dtype) * _taken(x, index).astype(dtype)
    return out


def _taken(x: Shaped[Array, "b ..."], index: list[Array]) -> Array:
    """Each position from these places along each axis, by one gather."""
    spatial, rank = x.shape[1 : 1 + len(index)], len(index)
    place = jnp.zeros((1,) * (1 + rank), jnp.int32)
    for axis, (i, size) in enumerate(zip(index, spatial, strict=True)):
        place = place * size + _along(i, axis, rank)
    flat, place = x.reshape(x.shape[0], math.prod(spatial), -1), place.reshape(place.shape[0], -1)
    if place.shape[0] == 1:
        taken = flat.at[:, place[0]].get(mode="promise_in_bounds")
    else:
        taken = jax.vmap(lambda row, i: row.at[i].get(mode="promise_in_bounds"))(flat, place)
    return taken.reshape(x.shape)


def _along(line: Shaped[Array, "n size"], axis: int, rank: int) -> Shaped[Array, "n ..."]:
    """Lay a line along one of the spatial axes."""
    return jnp.expand_dims(line, [i + 1 for i in range(rank) if i != axis])


@one_program()
def _antialias(x: Shaped[Array, "b ..."], lines: list[Line]) -> Inexact[Array, "b ..."]:
    return _triangles(x, lines, shrinking=True)


def _triangles(
    x: Shaped[Array, "b ..."], lines: list[Line], *, shrinking: bool
) -> Inexact[Array, "b ..."]:
    """Weigh by triangles; if `shrinking`, by such as cover all that one position shows."""
    wide = x if x.dtype in WIDE else x.astype(jnp.float32)
    weights = [
        _triangle(line, size, shrinking) for line, size in zip(lines, x.shape[1:], strict=False)
    ]
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return _multiplied(wide, weights)
    # A NaN shows where its weight is positive and nowhere else, although 0 · NaN is NaN.
    missing = ~jnp.isfinite(wide)
    out = _multiplied(jnp.where(missing, jnp.zeros((), wide.dtype), wide), weights)
    affected = _multiplied(missing.astype(jnp.float32), weights) > 0
    return jnp.where(affected, jnp.nan, out)


def _triangle(line: Line, size: int, shrinking: bool) -> Float[Array, "n size size"]:
    index = jnp.arange(size, dtype=jnp.int32)[None, None, :]
    inside = (index >= line.origin[:, :, None]) & (index < line.end[:, :, None])
    distance = jnp.abs(index.astype(jnp.float32) + 0.5 - line.place[:, :, None])
    width = jnp.maximum(line.ratio, 1)[:, :, None] if shrinking else 1.0
    weight = jnp.where(inside, jnp.maximum(0, 1 - distance / width), 0)
    return weight / weight.sum(axis=2, keepdims=True)


def _multiplied(x: Inexact[Array, "b ..."], weights: list[Array]) -> Inexact[Array, "b ..."]:
    for axis, weight in enumerate(weights, start=1):
        weight = jnp.broadcast_to(weight, (x.shape[0], *weight.shape[1:])).astype(x.dtype)
        rows = jnp.moveaxis(x, axis, 1)
        flat = rows.reshape(*rows.shape[:2], -1)
        # HIGHEST: TPUs would otherwise multiply in bfloat16.
        out = jnp.einsum("boi,bif->bof", weight, flat, precision=jax.lax.Precision.HIGHEST)
        x = jnp.moveaxis(out.reshape(rows.shape), 1, axis)
    return x
