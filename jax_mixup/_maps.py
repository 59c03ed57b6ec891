"""Maps of saliency, one number at each position: checked, normalised to sum 1, blurred."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from jax_mixup import _checks
from jax_mixup._entry import one_program
from jax_mixup._geometry import multiplied


def checked_map(function: str, saliency: ArrayLike) -> Float[Array, "b *spatial"]:
    """Return saliency as float32, without a gradient: it is treated as data."""
    saliency = jnp.asarray(saliency)
    _checks.mask_shape(function, saliency.shape, spatial=True)
    if saliency.ndim > 2 and saliency.shape[-1] == 1 < min(saliency.shape[1:-1]):
        raise ValueError(
            f"{function} got a map of shape {saliency.shape}, whose last axis looks like channels; "
            "it needs (B, *spatial): write it as s[..., 0]."
        )
    return jax.lax.stop_gradient(saliency.astype(jnp.float32))


def normalised(s: Float[Array, "b *spatial"]) -> Float[Array, "b *spatial"]:
    """Scale each example's map to sum 1.

    Where the sum is 0, or a value is NaN or infinite, the map is the same at all positions.
    """
    total = s.sum(axis=tuple(range(1, s.ndim)), keepdims=True)
    usable = (total > 0) & (total < jnp.inf)
    return jnp.where(usable, s / jnp.where(usable, total, 1.0), 1 / s[0].size)


def smoothed(
    function: str, s: Float[Array, "b *spatial"], sigma: float
) -> Float[Array, "b *spatial"]:
    """Blur with a Gaussian that is cut off at the borders; `_geometry.blur` is cyclic."""
    sigma = _checks.known(function, "blur", sigma, "a number >= 0, where 0 is no blur", 0.0)
    return s if sigma == 0 else _blurred(s, float(sigma))


@one_program("sigma")
def _blurred(s: Float[Array, "b *spatial"], sigma: float) -> Float[Array, "b *spatial"]:
    for axis, size in enumerate(s.shape[1:], start=1):
        places = np.arange(size)
        kernel = np.exp(-np.square((places[:, None] - places[None, :]) / sigma) / 2)
        kernel /= kernel.sum(axis=1, keepdims=True)
        # Six standard deviations away a Gaussian is below float32's digits.
        reach = math.ceil(6 * sigma)
        if reach <= 16 and 2 * reach < size:
            s = _by_taps(s, kernel, axis, reach)
        else:
            s = multiplied(s, kernel, axis)
    return s


def _by_taps(s: Float[Array, "b *spatial"], kernel: np.ndarray, axis: int, reach: int) -> Array:
    """Sum few neighbours in one pass, and multiply matrices only at the borders."""
    size = s.shape[axis]
    part = partial(jax.lax.slice_in_dim, s, axis=axis)
    first = multiplied(part(0, 2 * reach), kernel[:reach, : 2 * reach], axis)
    last = multiplied(part(size - 2 * reach, size), kernel[-reach:, -2 * reach :], axis)
    weights = kernel[reach, : 2 * reach + 1]  # of the first place whose neighbours are all there
    inner = sum(float(w) * part(k, size - 2 * reach + k) for k, w in enumerate(weights))
    return jnp.concatenate([first, inner, last], axis=axis)


@one_program()
def over_channels(x: Float[Array, "... c"]) -> Float[Array, "..."]:
    """The sum over the last axis. XLA on CPU does not vectorise a sum over a few numbers."""
    c = x.shape[-1]
    return sum((x[..., i] for i in range(1, c)), start=x[..., 0]) if c <= 8 else x.sum(axis=-1)


@one_program()
def peak(s: Float[Array, "b *spatial"]) -> Int[Array, "b d"]:
    """The position of the greatest value, of equal ones the first.

    First the line, then the place in it: XLA on CPU does not vectorise an argmax, but a max.
    """
    lines = s.reshape(s.shape[0], -1, s.shape[-1])
    line = lines.max(axis=2).argmax(axis=1)
    place = jnp.take_along_axis(lines, line[:, None, None], axis=1)[:, 0].argmax(axis=1)
    flat = line * s.shape[-1] + place
    return jnp.stack(jnp.unravel_index(flat, s.shape[1:]), axis=1).astype(jnp.int32)
