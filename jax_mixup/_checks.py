"""Checks at trace time: each looks at static facts only and raises one sentence.

The sentence says which function was called, what came, what is needed, and what to call instead.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import ArrayLike

MAX_POSITIONS = 2**31 - 1  # positions are counted in int32


def static_values(value: object) -> np.ndarray | None:
    """The values of known numbers: of Python, NumPy, or JAX outside of a trace; else None."""
    if isinstance(value, jax.Array):
        if isinstance(value, jax.core.Tracer) or not value.is_fully_addressable:
            return None
    elif not isinstance(value, (int, float, np.number, np.bool_, np.ndarray)):
        return None
    values = np.asarray(value)
    return values.astype(np.float64) if np.isrealobj(values) else None


def static_number(value: object) -> float | None:
    """The value of one known number; None for a traced number, and for arrays with axes."""
    values = static_values(value)
    return float(values) if values is not None and values.ndim == 0 else None


def numbers(
    function: str, name: str, value: object, need: str, low: float, high: float = math.inf
) -> None:
    """Check that a number, or each number of an array, is in [low, high], as far as it is known."""
    if value is None or isinstance(value, (str, bytes)) or callable(value):
        raise TypeError(f"{function} got {name}={shown(value)}; it needs {need}.")
    values = static_values(value)
    if values is None:
        return
    bad = values[~((values >= low) & (values <= high))]
    if bad.size:
        raise ValueError(f"{function} got {name}={float(bad.flat[0])}; it needs {need}.")


def positive(function: str, name: str, value: object) -> None:
    numbers(function, name, value, "a number > 0", math.ulp(0.0))


def known(
    function: str, name: str, value: object, need: str, low: float, high: float = sys.float_info.max
) -> float:
    """Check a number that the program's structure depends on, so that it cannot be traced."""
    number = static_number(value)
    if number is None or not low <= number <= high:
        raise ValueError(
            f"{function} got {name}={shown(value)}; it needs {need}, known when the step is traced."
        )
    return number


def whole(function: str, name: str, value: object, least: int, most: int | None = None) -> int:
    """Check an integer that the program's structure depends on."""
    number = static_number(value)
    inside = number is not None and least <= number and (most is None or number <= most)
    if number is None or not inside or not number.is_integer():
        need = f"an int >= {least}" if most is None else f"an int from {least} to {most}"
        raise ValueError(f"{function} got {name}={shown(value)}; it needs {need}.")
    return int(number)


def sizes(function: str, name: str, value: object, example: str) -> tuple:
    """Check a tuple of one value for each axis, or of two bounds; one number alone is refused."""
    if not isinstance(value, (tuple, list)):
        raise ValueError(
            f"{function} got {name}={shown(value)}; it needs a tuple: write {name}={example}."
        )
    return tuple(value)


def each_draw(function: str, name: str, value: ArrayLike, n: int, batch: int) -> None:
    """Check that there is one number for all of the n draws, or one for each draw."""
    shape = jnp.shape(value)
    if shape not in ((), (n,)):
        instead = f"or one for each example, ({batch},)"
        if n != batch:
            instead = "or per='example' to draw for each example" + ", with one number each" * (
                shape == (batch,)
            )
        raise ValueError(
            f"{function} got {name} of shape {shape} for a batch of {batch} examples; it needs one "
            f"number for all of them, {instead}."
        )


def option(function: str, name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        choices = ", ".join(map(repr, allowed))
        raise ValueError(f"{function} got {name}={shown(value)}; it needs one of {choices}.")


def alpha(function: str, name: str, value: object) -> None:
    numbers(function, name, value, "a number >= 0, where 0 turns mixing off", 0.0)


def share(function: str, name: str, value: object) -> None:
    numbers(function, name, value, "a number in [0, 1]", 0.0, 1.0)


def classes(function: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"{function} got num_classes={shown(value)}; it needs an int.")


def mask_shape(function: str, shape: object, *, spatial: bool = False) -> tuple[int, ...]:
    """Check the `(B, *spatial)` of a sampler, which `images.shape[:-1]` gives."""
    if not isinstance(shape, (tuple, list)) or not all(
        isinstance(size, (int, np.integer)) and size > 0 for size in shape
    ):
        raise ValueError(
            f"{function} got shape={shown(shape)}; it needs a tuple of positive ints "
            "(B, *spatial), such as images.shape[:-1]."
        )
    if len(shape) < (2 if spatial else 1):
        need = "(B, *spatial) with a spatial axis" if spatial else "(B, *spatial)"
        instead = " (or call sample_mixup, which needs none)" if spatial else ""
        raise ValueError(f"{function} got shape={tuple(shape)}; it needs {need}{instead}.")
    if spatial and (positions := math.prod(map(int, shape[1:]))) > MAX_POSITIONS:
        raise ValueError(
            f"{function} got shape={tuple(shape)} with {positions} positions for each example; it "
            f"needs at most {MAX_POSITIONS}, because they are counted in int32."
        )
    return tuple(map(int, shape))


def channels_last(function: str, shape: tuple[int, ...]) -> None:
    """Refuse images [B, 1 or 3 or 4, H, W] of 16 x 16 or more: channels would be cut like space."""
    if len(shape) == 4 and shape[1] in (1, 3, 4) and min(shape[2:]) >= 16:
        raise ValueError(
            f"{function} got images of shape {shape}, which look as if channels came first; it "
            "needs them last: call it on jnp.moveaxis(images, 1, -1), or, if axis 1 is a spatial "
            "axis, call sample_cutmix or another sampler, and blend."
        )


def channels_out(function: str, shape: tuple[int, ...], cut: object) -> None:
    """Refuse shapes that look as if they had channels, unless the axes to cut are named."""
    if cut is not None:
        return
    if len(shape) == 4 and shape[3] in (1, 3, 4) and min(shape[1:3]) >= 16:
        raise ValueError(
            f"{function} got shape={shape}, whose last axis looks like channels; it needs "
            "(B, *spatial): write images.shape[:-1], or axes=(1, 2, 3) for a volume."
        )
    if len(shape) == 3 and shape[1] in (1, 3, 4) and shape[2] >= 16:
        raise ValueError(
            f"{function} got shape={shape}, which looks as if channels came first; it needs "
            "(B, *spatial): call it on the shape of jnp.moveaxis(images, 1, -1) without the last "
            "axis, or write axes=(1, 2) if axis 1 is a spatial axis."
        )


def axes(function: str, value: object, rank: int) -> tuple[int, ...]:
    """Return the axes of `(B, *spatial)` in order; None is all axes but the batch."""
    every = tuple(range(1, rank + 1))
    if value is None:
        return every
    value = sizes(function, "axes", value, f"({value},)")
    if not value or not ints(value) or len(set(value)) != len(value) or not set(value) <= {*every}:
        raise ValueError(
            f"{function} got axes={value}; it needs different axes of `shape` after the batch, "
            f"from 1 to {rank}."
        )
    return tuple(sorted(map(int, value)))


def grid(function: str, value: object, spatial: tuple[int, ...]) -> tuple[int, ...]:
    value = sizes(function, "grid", value, str((value,) * len(spatial)))
    fits = len(value) == len(spatial) and ints(value)
    if not fits or not all(1 <= n <= size for n, size in zip(value, spatial, strict=True)):
        raise ValueError(
            f"{function} got grid={value} for positions {spatial}; it needs a number of cells for "
            "each spatial axis, from 1 to its size."
        )
    return tuple(map(int, value))


def ints(value: tuple) -> bool:
    return all(isinstance(n, (int, np.integer)) for n in value)


def bounds(
    function: str, name: str, value: object, need: str, low: float, high: float = math.inf
) -> tuple[float, float]:
    """Check two numbers, known when the step is traced, with low <= first <= second <= high."""
    values = sizes(function, name, value, f"({value}, {value})")
    ends = [number for v in values if (number := static_number(v)) is not None]
    if len(values) == len(ends) == 2 and low <= ends[0] <= ends[1] <= high:
        return ends[0], ends[1]
    raise ValueError(f"{function} got {name}={value}; it needs bounds {need}.")


def sigma(function: str, value: object) -> tuple[float, float]:
    return bounds(function, "sigma", value, "0 < low <= high", math.ulp(0.0))


def fft_axes(function: str, rank: int) -> None:
    if rank > 3:
        raise ValueError(f"{function} got {rank} spatial axes; it needs one to three axes.")


def described(x: object) -> str:
    """Describe an argument in a few words, for an error message."""
    if isinstance(x, (jax.Array, np.ndarray)):
        return f"an array of shape {x.shape} and dtype {x.dtype}"
    return f"{type(x).__name__} {x!r}"[:80]


def shown(value: object) -> str:
    """Show the value of an option; of an array its shape, for its numbers would fill the screen."""
    if isinstance(value, (jax.Array, np.ndarray)) and value.ndim:
        return described(value)
    return f"{value!r}"[:80]


def key(function: str, value: object) -> None:
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if callable(value):  # an nnx.Rngs, or one of its streams, which have attributes of any name
        raise TypeError(
            f"{function} got {type(value).__name__} as key; it needs one PRNG key: call it, as in "
            "rngs(), or write jax.random.key(0)."
        )
    if dtype is None or shape is None:
        typed = legacy = False
    else:
        typed = jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
        legacy = dtype == jnp.uint32 and len(shape) == 1  # of jax.random.PRNGKey
    if not (typed or legacy):
        several = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
        what = f"{shape} keys" if several else described(value)
        raise TypeError(
            f"{function} got {what} as key; it needs one PRNG key, as the first argument: "
            "jax.random.key(0)" + (", or call it under jax.vmap." if several else ".")
        )


def mix(function: str, mix: Any) -> None:
    """Check that a Mix, which may be made by hand, has B label weights, a mask and a pairing."""
    mask, lam = (x if hasattr(x, "dtype") else np.asarray(x) for x in (mix.mask, mix.lam))
    if lam.ndim != 1:
        raise ValueError(
            f"{function} got a mix whose lam has shape {lam.shape}; it needs one label weight for "
            "each example, (B,): write jnp.full(B, lam), and if the mix was drawn under vmap, call "
            f"{function} under vmap too."
        )
    batch = lam.shape[0]
    for name, dtype in (("mask", mask.dtype), ("lam", lam.dtype)):
        if not jnp.issubdtype(dtype, jnp.floating) and (name == "lam" or dtype != jnp.bool_):
            raise TypeError(
                f"{function} got a mix whose {name} has dtype {dtype}; it needs floats in [0, 1]"
                f"{', or bool: write mask > 0' if name == 'mask' else ''}."
            )
    if mask.ndim == 0 or mask.shape[0] not in (1, batch):
        raise ValueError(
            f"{function} got a mix of {batch} examples whose mask has shape {mask.shape}; it needs "
            "(B or 1, *spatial): write mask[None] for one mask for all examples."
        )
    pairing, known = mix.partner, getattr(mix.partner, "rows", None)
    if known not in (None, batch):
        raise ValueError(
            f"{function} got a mix that was drawn for {known} examples, with {batch} label "
            "weights; it needs all of its examples, because in a part of a batch partners differ: "
            "draw a mix for each part, and under shard_map inside of it."
        )
    if not hasattr(pairing, "rule"):
        index_array(function, pairing, batch)


def rows(function: str, name: str, x: jax.Array, batch: int) -> None:
    if x.ndim == 0:
        raise ValueError(
            f"{function} got {name} of shape () for a mix of {batch} examples; it needs the batch "
            "first: a list is a PyTree of its numbers, so write jnp.asarray(list)."
        )
    if x.shape[0] != batch:
        raise ValueError(
            f"{function} got {name} of shape {x.shape} for a mix of {batch} examples; it needs the "
            "batch first and as long as the mix: sample the mix with that batch's shape."
        )


def shaped(function: str, name: str, x: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    x = jnp.asarray(x)
    if x.shape != shape:
        raise ValueError(f"{function} got {name} of shape {x.shape}; it needs {shape}.")
    return x


def mask_fits(function: str, mask: tuple[int, ...], x: jax.Array | jax.ShapeDtypeStruct) -> None:
    """Check that a mask [B or 1, *spatial] weighs x position by position, without broadcasting."""
    if mask[:1] not in ((1,), x.shape[:1]) or mask[1:] != x.shape[1 : len(mask)]:
        raise ValueError(
            f"{function} got an array of shape {x.shape} for a mask of shape {mask}; it needs the "
            "mask's positions right after the batch, and channels last: sample with "
            "shape=x.shape[:-1], move channels from first to last by jnp.moveaxis(x, 1, -1), and "
            "for another resolution call resize_mix(mix, spatial)."
        )
    rank = len(mask)
    if 1 < rank < x.ndim - 1 and mask[0] > 1 and mask == x.shape[1 : rank + 1]:
        raise ValueError(
            f"{function} got a mask of shape {mask} for an array of shape {x.shape}, which may be "
            "one mask for all examples or have the batch first; it needs one that is not "
            "ambiguous: write mask[None] for one mask, or broadcast it to all positions."
        )


def index_array(function: str, pairing: object, batch: int | None = None) -> None:
    """Check that a pairing that is not static is an index array, of B examples if B is known."""
    dtype, shape = getattr(pairing, "dtype", None), getattr(pairing, "shape", None)
    if dtype is None or shape is None or not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(
            f"{function} got pairing={shown(pairing)}; it needs reverse(), roll(), neighbours() or "
            "an integer index array, such as permutation(key, B)."
        )
    grouped = len(shape) == 2 and (shape[1] > 1 or batch == 1)
    if not (len(shape) == 1 or grouped) or batch not in (None, math.prod(shape)):
        raise ValueError(
            f"{function} got a pairing of shape {shape}"
            f"{'' if batch is None else f' for {batch} examples'}; it needs one index for each "
            "example, (B,), as permutation(key, B) draws, or (G, B / G) for G groups."
        )


def integer_ids(function: str, name: str, x: ArrayLike) -> jax.Array:
    """Return class ids as int32: in a narrow dtype the number of classes could overflow."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.integer) or x.ndim != 1:
        raise TypeError(
            f"{function} got {name} of shape {x.shape} and dtype {x.dtype}; it needs integer class "
            "ids of shape (B,): call argmax on one-hot labels first."
        )
    return int32(x)


def int32(ids: jax.Array) -> jax.Array:
    """Return ids as int32; ids that do not fit become its smallest or largest, and no class."""
    if ids.dtype.itemsize > 4 or ids.dtype == jnp.uint32:
        ends = jnp.iinfo(jnp.int32)
        low = 0 if jnp.issubdtype(ids.dtype, jnp.unsignedinteger) else ends.min
        ids = jnp.clip(ids, jnp.asarray(low, ids.dtype), jnp.asarray(ends.max, ids.dtype))
    return ids.astype(jnp.int32)


def blend_dtype(x_dtype: jnp.dtype, wanted: DTypeLike | None, name: str = "x") -> jnp.dtype:
    exact, itself = not jnp.issubdtype(x_dtype, jnp.inexact), x_dtype != jnp.bool_
    if exact and wanted is None:
        need = "dtype=, a float dtype"
        if itself:
            need = f"dtype=jnp.float32 for images (or jnp.{x_dtype}, which rounds)"
        raise TypeError(
            f"blend got {name} of dtype {x_dtype}; it needs {need}: for ids and bool masks call "
            "select, or blend_labels with num_classes."
        )
    out = jnp.dtype(x_dtype if wanted is None else wanted)
    if not (exact and itself and out == x_dtype) and not jnp.issubdtype(out, jnp.inexact):
        instead = ", or select(mix, x), which moves bools" if x_dtype == jnp.bool_ else ""
        raise TypeError(
            f"blend got dtype={out} for {name} of dtype {x_dtype}; it needs a float dtype{instead}."
        )
    return out


def probabilities(
    function: str, n: int, probs: Sequence[ArrayLike] | jax.Array | np.ndarray
) -> None:
    # As one NumPy array first: under jit, iterating over a known JAX array gives tracers.
    known_probs = static_values(probs)
    each = probs if known_probs is None else known_probs
    count = len(each) if getattr(each, "ndim", 1) == 1 else -1
    if count != n or n == 0:
        what = f"{count} probs" if count >= 0 else described(probs)
        raise ValueError(f"{function} got {n} samplers and {what}; it needs one prob for each.")
    for prob in each:
        share(function, "prob", prob)
    values = [number for prob in each if (number := static_number(prob)) is not None]
    # The rounding error of 1/3 is 1e-8 in float32, and 1e-3 in bfloat16.
    halves = any(jnp.dtype(getattr(p, "dtype", float)).itemsize == 2 for p in (probs, *each))
    if len(values) == n and abs(sum(values) - 1) > (1e-2 if halves else 1e-6):
        raise ValueError(
            f"{function} got probs that sum to {sum(values):g}; it needs a sum of 1: to mix only "
            "sometimes, call sometimes(sampler, prob)."
        )
