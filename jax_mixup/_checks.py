"""Trace-time checks: each looks at static facts only and raises one sentence.

The sentence says which function, what came, what is needed, and what to call instead.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import ArrayLike


def static_number(value: object) -> float | None:
    """The value of a Python or NumPy number; None for a JAX array, which may be traced."""
    return float(value) if isinstance(value, (int, float, np.number)) else None


def option(function: str, name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        choices = ", ".join(map(repr, allowed))
        raise ValueError(f"{function} got {name}={value!r}; it needs one of {choices}.")


def alpha(function: str, name: str, value: object) -> None:
    number = static_number(value)
    if number is not None and not number >= 0:
        raise ValueError(
            f"{function} got {name}={number}; it needs a number >= 0, where 0 turns mixing off."
        )


def share(function: str, name: str, value: object) -> None:
    number = static_number(value)
    if number is not None and not 0 <= number <= 1:
        raise ValueError(f"{function} got {name}={number}; it needs a number in [0, 1].")


def mask_shape(function: str, shape: object, *, spatial: bool = False) -> tuple[int, ...]:
    """The checked `(B, *spatial)` of a sampler, which `images.shape[:-1]` gives."""
    if not isinstance(shape, (tuple, list)) or not all(
        isinstance(size, (int, np.integer)) and size > 0 for size in shape
    ):
        raise ValueError(
            f"{function} got shape={shape!r}; it needs a tuple of positive ints (B, *spatial), "
            "such as images.shape[:-1]."
        )
    if len(shape) < (2 if spatial else 1):
        need = "(B, *spatial) with a spatial axis" if spatial else "(B, *spatial)"
        instead = " (or call sample_mixup, which needs none)" if spatial else ""
        raise ValueError(f"{function} got shape={tuple(shape)}; it needs {need}{instead}.")
    return tuple(map(int, shape))


def axes(function: str, value: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """The axes of `(B, *spatial)` that are meant, in order; None is all but the batch."""
    every = tuple(range(1, rank + 1))
    if value is None:
        return every
    if not value or len(set(value)) != len(value) or not set(value) <= set(every):
        raise ValueError(
            f"{function} got axes={tuple(value)}; it needs different axes of shape after the "
            f"batch, from 1 to {rank}."
        )
    return tuple(sorted(value))


def grid(function: str, value: Sequence[int], spatial: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) != len(spatial) or not all(
        1 <= n <= size for n, size in zip(value, spatial, strict=False)
    ):
        raise ValueError(
            f"{function} got grid={tuple(value)} for {spatial} positions; it needs a number of "
            "cells for each spatial axis, from 1 to its size."
        )
    return tuple(value)


def sigma(function: str, value: Sequence[float]) -> None:
    if len(value) != 2 or not 0 < value[0] <= value[1]:
        raise ValueError(f"{function} got sigma={value}; it needs bounds 0 < low <= high.")


def fft_axes(function: str, rank: int) -> None:
    if rank > 3:
        raise ValueError(f"{function} got {rank} spatial axes; it needs one to three.")


def rows(function: str, name: str, x: jax.Array, batch: int) -> None:
    if x.ndim == 0 or x.shape[0] != batch:
        raise ValueError(
            f"{function} got {name} of shape {x.shape} for a mix of {batch} rows; it needs the "
            "batch first and as long as the mix: sample the mix with that batch's shape."
        )


def shaped(function: str, name: str, x: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    x = jnp.asarray(x)
    if x.shape != shape:
        raise ValueError(f"{function} got {name} of shape {x.shape}; it needs {shape}.")
    return x


def mask_fits(function: str, mask: tuple[int, ...], x: jax.Array) -> None:
    """Whether a mask [B or 1, *spatial] weighs x position by position, nothing broadcast."""
    if mask[:1] not in ((1,), x.shape[:1]) or mask[1:] != x.shape[1 : len(mask)]:
        raise ValueError(
            f"{function} got an array of shape {x.shape} for a mask of shape {mask}; it needs the "
            "mask's positions right after the batch: sample with shape=x.shape[:-1], or call "
            "resize_mix(mix, spatial) for another resolution."
        )


def index_array(function: str, pairing: object) -> None:
    dtype = getattr(pairing, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(
            f"{function} got pairing={pairing!r}; it needs reverse(), roll(), neighbours() or an "
            "integer index array, such as permutation(key, B)."
        )


def integer_ids(function: str, name: str, x: jax.Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.integer) or x.ndim != 1:
        raise TypeError(
            f"{function} got {name} of shape {x.shape} and dtype {x.dtype}; it needs integer class "
            "ids of shape (B,): call argmax on one-hot labels first."
        )


def blend_dtype(given: jnp.dtype, wanted: DTypeLike | None) -> jnp.dtype:
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


def label_kind(labels: jax.Array, num_classes: int | None, smooth: bool) -> None:
    """Whether `blend_labels` knows what these labels are."""
    if jnp.issubdtype(labels.dtype, jnp.inexact):
        if labels.ndim > 1 and num_classes not in (None, labels.shape[-1]):
            raise ValueError(
                f"blend_labels got labels of shape {labels.shape} with num_classes={num_classes}; "
                f"it needs num_classes={labels.shape[-1]}, or none for labels that are not ids."
            )
        if labels.ndim == 1 and smooth:
            raise ValueError(
                f"blend_labels got smoothing for labels of shape {labels.shape} and dtype "
                f"{labels.dtype}; it needs a class axis: pass integer ids and num_classes."
            )
    elif labels.ndim != 1 or labels.dtype == jnp.bool_:
        raise TypeError(
            f"blend_labels got labels of shape {labels.shape} and dtype {labels.dtype}; it needs "
            "integer ids of shape (B,) or floats: cast multi-hot labels to float32, and for ids at "
            "each position call select, or pair_loss(by='mask')."
        )
    elif num_classes is None:
        raise ValueError(
            f"blend_labels got {labels.dtype} ids without num_classes; it needs num_classes=K to "
            "make labels that can be blended, or call pair_loss, which takes ids."
        )


def probabilities(function: str, n: int, probs: Sequence[ArrayLike] | jax.Array) -> None:
    if len(probs) != n or n == 0:
        raise ValueError(
            f"{function} got {n} samplers and {len(probs)} probs; it needs one for each."
        )
    for prob in probs:
        share(function, "prob", prob)
    numbers = [number for prob in probs if (number := static_number(prob)) is not None]
    if len(numbers) == n and abs(sum(numbers) - 1) > 1e-6:
        raise ValueError(
            f"{function} got probs that sum to {sum(numbers):g}; it needs a sum of 1: to mix only "
            "sometimes, wrap it in sometimes(sampler, prob)."
        )
