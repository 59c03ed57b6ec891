"""Maps of saliency, one number at each position: checked, normalised to sum 1, blurred."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jax_mixup import _checks


def checked_map(function: str, saliency: ArrayLike) -> Float[Array, "b *spatial"]:
    """Return saliency as float32, without a gradient: it is treated as data."""
    saliency = jnp.asarray(saliency)
    _checks.mask_shape(function, saliency.shape, spatial=True)
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
    if sigma == 0:
        return s
    for axis, size in enumerate(s.shape[1:], start=1):
        place = np.arange(size)
        kernel = np.exp(-np.square((place[:, None] - place[None, :]) / sigma) / 2)
        kernel = jnp.asarray(kernel / kernel.sum(axis=1, keepdims=True), jnp.float32)
        blurred = jnp.tensordot(
            s, kernel, axes=((axis,), (1,)), precision=jax.lax.Precision.HIGHEST
        )
        s = jnp.moveaxis(blurred, -1, axis)
    return s
