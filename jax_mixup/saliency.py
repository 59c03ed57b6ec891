"""Saliency: how much each position of an input matters, from a loss or from the spectrum."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._entry import calls_back, on_any_mesh, one_program, public
from jax_mixup._maps import over_channels, smoothed


@calls_back
def gradient_saliency(
    loss_fn: Callable[[Array], Array], x: Shaped[ArrayLike, "b *spatial c"], *, blur: float = 0.0
) -> Float[Array, "b *spatial"]:
    """Find what the loss depends on: the norm of its gradient at each position.

        s = ‖∂ Σ loss(x) / ∂x‖₂ over channels

    It takes one forward and one backward pass of the model; no gradient goes through the result.

    Args:
      loss_fn: from x to one number, or to one number for each example, which are then summed. For
        the saliency of the papers it calls the model in evaluation mode on the clean batch.
      x: floats [B, *spatial, C], as the model takes them.
      blur: standard deviation of a Gaussian over the result, in positions; 0 is none.

    Returns:
      f32[B, *spatial].

    Raises:
      TypeError: If `x` is not floating point.
      ValueError: If `x` has no spatial axis, or if `blur` is negative.

    Example:
      >>> x = jnp.array([[[1.0, 0.0], [0.0, 0.0], [3.0, 4.0]]])  # (B, T, C)
      >>> jm.gradient_saliency(lambda x: (x**2).sum((1, 2)) / 2, x).tolist()
      [[1.0, 0.0, 5.0]]

    This follows Puzzle Mix, Kim et al. 2020, arXiv:2009.06962, whose code takes the root of the
    mean over channels: the same up to a factor.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"gradient_saliency got x of dtype {x.dtype}; it needs floats: cast and normalise x as "
            "for the model first."
        )
    _has_channels("gradient_saliency", x, "a spatial axis")
    loss, gradient_of = jax.vjp(lambda x: jnp.sum(loss_fn(x)), x)
    # This one is on the devices of the loss: `jax.grad`, run eagerly, puts it on a single device.
    (gradient,) = gradient_of(jnp.where(loss == loss, jnp.ones((), loss.dtype), loss))
    return _norm(gradient, blur=blur)


@on_any_mesh
def _norm(gradient: Float[Array, "b *spatial c"], *, blur: float) -> Float[Array, "b *spatial"]:
    norm = jnp.sqrt(over_channels(jnp.square(gradient.astype(jnp.float32))))
    return jax.lax.stop_gradient(smoothed("gradient_saliency", norm, blur))


@public
def spectral_residual(
    x: Shaped[ArrayLike, "b *spatial c"], *, size: int = 64, blur: float = 2.5
) -> Float[Array, "b *spatial"]:
    """Find what stands out, without a model: what an even spectrum would not have.

        s = G * |F⁻¹ exp(R + i·phase)|²,  R = L - (mean of L over 3 places an axis), L = log|F x|

    Args:
      x: numbers [B, *spatial, C] of any dtype, with one to three spatial axes; channels are
        averaged.
      size: the size of the longest spatial axis during the computation. Larger inputs are averaged
        down to it, in proportion, and the result is interpolated back; smaller inputs stay as they
        are.
      blur: standard deviation of the Gaussian G, in positions of the smaller input; 0 is none.

    Returns:
      f32[B, *spatial], zero for an example of zeros.

    Raises:
      ValueError: If `x` has another number of axes, if `size` is less than 1, or if `blur` is
        negative.

    Example:
      >>> image = jnp.tile(jnp.array([0.0, 1.0]), (1, 32, 16)).at[0, 20, 9].set(5.0)[..., None]
      >>> s = jm.spectral_residual(image, blur=1.0)
      >>> [int(i) for i in jnp.unravel_index(s.argmax(), s.shape[1:])]
      [20, 9]

    Hou & Zhang 2007, CVPR. Their code averages the spectrum as if it ended at its borders; here it
    is cyclic, as spectra are. Magnitudes below 1e-6 of the largest are rounding errors, and are set
    to that.
    """
    name = "spectral_residual"
    x = jnp.asarray(x)
    _has_channels(name, x, "one to three spatial axes", most=5)
    size = _checks.whole(name, "size", size, 1)
    grey = over_channels(x.astype(jnp.float32)) / x.shape[-1]
    shrink = min(1.0, size / max(grey.shape[1:]))
    work = tuple(max(1, round(n * shrink)) for n in grey.shape[1:])
    s = smoothed(name, _residual(_geometry.area_average(grey, work)), blur)
    s = jax.image.resize(s, grey.shape, "linear", antialias=False)
    return jax.lax.stop_gradient(s)


@one_program()
def _residual(grey: Float[Array, "b *spatial"]) -> Float[Array, "b *spatial"]:
    axes = tuple(range(1, grey.ndim))
    spectrum = jnp.fft.fftn(grey, axes=axes)
    magnitude = jnp.abs(spectrum)
    least = 1e-6 * magnitude.max(axis=axes, keepdims=True) + jnp.finfo(jnp.float32).tiny
    magnitude = jnp.maximum(magnitude, least)
    log = mean = jnp.log(magnitude)
    for axis in axes:
        mean = (jnp.roll(mean, 1, axis) + mean + jnp.roll(mean, -1, axis)) / 3
    amplitude = jnp.exp(log - mean) / magnitude
    residual = jnp.fft.ifftn(spectrum * amplitude.astype(jnp.complex64), axes=axes)
    return jnp.square(jnp.abs(residual))


def _has_channels(function: str, x: Array, need: str, *, most: int | None = None) -> None:
    if x.ndim < 3 or (most is not None and x.ndim > most):
        raise ValueError(
            f"{function} got x of shape {x.shape}; it needs (B, *spatial, C) with {need}: if x has "
            "no channels, add a channel axis by x[..., None]."
        )
