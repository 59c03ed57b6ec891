"""What the verbs share: they check arrays against a mix, fetch partners, and blend layers."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Bool, Float, Shaped

from jax_mixup import _checks
from jax_mixup._entry import one_program
from jax_mixup._geometry import fusion_barrier, padded
from jax_mixup.mix import M, Mix, Mixes
from jax_mixup.pairings._rows import move_rows

WIDE = (jnp.float64, jnp.complex64, jnp.complex128)  # these are not cast to float32 for a blend
SMALL = 2**12  # values of a picture, such as 32 x 32 x 3


def layers_of(mix: Mixes) -> tuple[Mix, ...]:
    return mix if isinstance(mix, tuple) else (mix,)


def each_layer(change: Callable[[Mix], Mix], mix: M) -> M:
    return jax.tree.map(change, mix, is_leaf=lambda m: isinstance(m, Mix))


def mix_where(on: Bool[Array, "n"], mix: Mix) -> Mix:
    """The mix where `on` is True, and no mixing elsewhere; `on` is one bool, or B of them."""
    own = jnp.ones((), mix.mask.dtype)
    mask = jnp.where(padded(on, mix.mask.ndim), mix.mask, own)
    return dataclasses.replace(mix, mask=mask, lam=jnp.where(on, mix.lam, 1.0))


def checked_rows(function: str, mix: Any, name: str, x: ArrayLike) -> Array:
    x = jnp.asarray(x)
    _checks.rows(function, name, x, mix.lam.shape[0])
    return x


def partner_rows(function: str, mix: Mix, name: str, x: Array, other: ArrayLike | None) -> Array:
    """Return what each example is mixed with: its partner, or what `other` has in its place."""
    if other is None:
        return move_rows(mix.partner, x)
    other = jnp.asarray(other)
    if other.shape != x.shape or other.dtype != x.dtype:
        raise ValueError(
            f"{function} got other of shape {other.shape} and dtype {other.dtype} for {name} of "
            f"shape {x.shape} and dtype {x.dtype}; it needs the same shape and dtype: resize or "
            "cast other first."
        )
    return other


def one_mix(function: str, mix: Mixes, other: object) -> None:
    if isinstance(mix, tuple) and other is not None:
        raise ValueError(
            f"{function} got other for {len(mix)} mixes; it needs one mix: call {function} for "
            "each mix, with its own other."
        )


def mask_for(function: str, mix: Mix, x: Array) -> Array:
    _checks.mask_fits(function, mix.mask.shape, x)
    return padded(mix.mask, x.ndim)


def layered(
    mix: Mixes,
    own: Array,
    weight_of: Callable[[Mix], Array],
    other_of: Callable[[Mix], Array | None],
    out: DTypeLike,
) -> Array:
    """Blend with one partner after another, and round once, at the end.

    Where `other_of` returns None, the example is its own partner.
    """
    layers = layers_of(mix)
    weights = [weight_of(layer) for layer in layers]
    small = jnp.issubdtype(own.dtype, jnp.integer) and own.dtype.itemsize <= 2
    if small and jnp.issubdtype(out, jnp.floating):
        # As exact, because these numbers are all finite, and twice as fast on CPU.
        weights = [jnp.where(w, 1.0, 0.0) if w.dtype == jnp.bool_ else w for w in weights]
    soft = any(weight.dtype != jnp.bool_ for weight in weights)
    # The dtype of the results between layers.
    between = jnp.float32 if soft and own.dtype not in WIDE else own.dtype
    for i, (layer, weight) in enumerate(zip(layers, weights, strict=True), start=1):
        other = other_of(layer)
        other = own if other is None else other
        own = weighted(weight, own, other, out if i == len(layers) else between)
    return own


def weighted(weight: Array, own: Array, other: Array, out: DTypeLike) -> Array:
    """Return weight·own + (1 - weight)·other: all averaging is done here."""
    if own is other:  # a batch of one: it stays the same, without a rounding error
        return own.astype(out)
    if weight.dtype == jnp.bool_:
        return _cast(jnp.where(weight, own, other.astype(own.dtype)), out)
    shared = weight.shape[0] == 1 and weight.size > 1  # one mask with positions, for all examples
    if shared and math.prod(own.shape[1:]) <= SMALL:
        weight = _repeated(weight, (1, *own.shape[1:]))
    dtype = own.dtype if own.dtype in WIDE else jnp.float32
    parts = [_part(w.astype(dtype), x) for w, x in ((weight, own), (1 - weight, other))]
    return _cast(parts[0] + parts[1], out)


@one_program("shape")
def _repeated(weight: Array, shape: tuple[int, ...]) -> Array:
    """Repeat a mask over the channels; on CPU the result is written, for all examples to read.

    LLVM would else shuffle weights and values of three channels into each other, for each example.
    To write the mask of large pictures costs more than that.
    """
    repeat = partial(jnp.broadcast_to, shape=shape)
    return jax.lax.platform_dependent(
        weight, cpu=lambda weight: fusion_barrier(repeat(weight)), default=repeat
    )


def _part(weight: Array, x: Array) -> Array:
    part = weight * x.astype(weight.dtype)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return part
    return jnp.where(weight == 0, jnp.zeros((), part.dtype), part)  # because 0 · NaN is NaN


def _cast(x: Array, out: DTypeLike) -> Array:
    whole = jnp.issubdtype(out, jnp.integer) and jnp.issubdtype(x.dtype, jnp.floating)
    return (jnp.round(x) if whole else x).astype(out)


def masked_product(
    weight: Float[Array, "..."], amount: Shaped[Array, "..."]
) -> Float[Array, "..."]:
    """Return weight·amount, and 0 where the weight is 0, even if the amount there is NaN."""
    return jnp.where(weight > 0, weight * amount.astype(jnp.float32), 0.0)
