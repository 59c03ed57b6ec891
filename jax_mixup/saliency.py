"""Where saliency comes from, and which pairs it suggests. `salient` and `puzzle` sample by it.

Saliency is f32[B, *spatial], zero or more. Its scale does not matter: samplers bring each row's sum
to 1, and a row that is zero everywhere counts as equally salient everywhere, as does one with a NaN
or an infinity.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Shaped

from jax_mixup import _checks, masks
from jax_mixup._entry import calls_back, on_any_mesh, public
from jax_mixup.mix import padded
from jax_mixup.partners import around


@calls_back
def gradient_saliency(
    loss_fn: Callable[[Array], Array], x: Shaped[ArrayLike, "b *spatial c"], *, blur: float = 0.0
) -> Float[Array, "b *spatial"]:
    """Find what the loss depends on: the norm of its gradient at each position.

        s = ‖∂ Σ loss(x) / ∂x‖₂ over channels

    One forward and one backward pass of the model; no gradient goes through the result.

    Args:
      loss_fn: from x to one number, or to one for each row, which are then summed. For the papers'
        saliency it calls the model in evaluation mode on the clean batch.
      x: floats [B, *spatial, C], as the model wants them.
      blur: standard deviation of a Gaussian over the result, in positions; 0 is none.

    Returns:
      f32[B, *spatial].

    Raises:
      TypeError: for x that is no float.
      ValueError: for x without a spatial axis, or a negative `blur`.

    Example:
      >>> x = jnp.array([[[1.0, 0.0], [0.0, 0.0], [3.0, 4.0]]])  # (B, T, C)
      >>> jm.gradient_saliency(lambda x: (x**2).sum((1, 2)) / 2, x).tolist()
      [[1.0, 0.0, 5.0]]

    As in Puzzle Mix, Kim et al. 2020, arXiv:2009.06962, whose code takes the root of the mean over
    channels: the same up to a factor.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"gradient_saliency got x of dtype {x.dtype}; it needs floats: cast and normalise as "
            "for the model first."
        )
    _has_channels("gradient_saliency", x, "a spatial axis")
    loss, gradient_of = jax.vjp(lambda x: jnp.sum(loss_fn(x)), x)
    # A one that lies where the loss does: `jax.grad` eagerly puts it on a single device.
    (gradient,) = gradient_of(jnp.where(loss == loss, jnp.ones((), loss.dtype), loss))
    return _norm(gradient, blur=blur)


@on_any_mesh
def _norm(gradient: Float[Array, "b *spatial c"], *, blur: float) -> Float[Array, "b *spatial"]:
    norm = jnp.sqrt(jnp.square(gradient.astype(jnp.float32)).sum(axis=-1))
    return jax.lax.stop_gradient(smooth("gradient_saliency", norm, blur))


@public
def spectral_residual(
    x: Shaped[ArrayLike, "b *spatial c"], *, size: int = 64, blur: float = 2.5
) -> Float[Array, "b *spatial"]:
    """Find what stands out, without a model: what an even spectrum would not have.

        s = G * |F⁻¹ exp(R + i·phase)|²,  R = L - (mean of L over 3 places an axis), L = log|F x|

    Args:
      x: numbers [B, *spatial, C] of any dtype, with one to three spatial axes; channels are
        averaged.
      size: of the longest spatial axis while working. Larger inputs are averaged down to it, in
        proportion, and the result is interpolated back; smaller ones stay.
      blur: standard deviation of the Gaussian G, in working positions; 0 is none.

    Returns:
      f32[B, *spatial], zero for a row of zeros.

    Raises:
      ValueError: for another number of axes, a `size` below 1, or a negative `blur`.

    Example:
      >>> image = jnp.tile(jnp.array([0.0, 1.0]), (1, 32, 16)).at[0, 20, 9].set(5.0)[..., None]
      >>> s = jm.spectral_residual(image, blur=1.0)
      >>> [int(i) for i in jnp.unravel_index(s.argmax(), s.shape[1:])]
      [20, 9]

    Hou & Zhang 2007, CVPR. Their code averages the spectrum as if it ended at its borders; here it
    goes round, as spectra do. Magnitudes below 1e-6 of the largest are rounding, and count as that.
    """
    name = "spectral_residual"
    x = jnp.asarray(x)
    _has_channels(name, x, "one to three spatial axes", most=5)
    size = _checks.whole(name, "size", size, 1)
    grey = x.astype(jnp.float32).mean(axis=-1)
    spatial, axes = grey.shape[1:], tuple(range(1, grey.ndim))
    shrink = min(1.0, size / max(spatial))
    work = tuple(max(1, round(n * shrink)) for n in spatial)
    spectrum = jnp.fft.fftn(masks.area_average(grey, work), axes=axes)
    magnitude = jnp.abs(spectrum)
    least = 1e-6 * magnitude.max(axis=axes, keepdims=True) + jnp.finfo(jnp.float32).tiny
    magnitude = jnp.maximum(magnitude, least)
    log = mean = jnp.log(magnitude)
    for axis in axes:
        mean = (jnp.roll(mean, 1, axis) + mean + jnp.roll(mean, -1, axis)) / 3
    amplitude = jnp.exp(log - mean) / magnitude
    s = jnp.square(jnp.abs(jnp.fft.ifftn(spectrum * amplitude.astype(jnp.complex64), axes=axes)))
    s = jax.image.resize(smooth(name, s, blur), grey.shape, "linear", antialias=False)
    return jax.lax.stop_gradient(s)


@public
def salient_pairs(
    saliency: Shaped[ArrayLike, "b *spatial"], *, blur: float = 1.8
) -> Int[Array, "b"]:
    """Pair rows that are salient at different places: one cycle, greedily of long steps.

        p(sₖ) = sₖ₊₁,  sₖ₊₁ = the row not yet visited that maximises ‖ŝ(sₖ) - ŝ(sₖ₊₁)‖₂

    It starts with the most distant pair. ŝ is the saliency, blurred and of sum 1. Costs O(B²) of a
    row's size, and B steps.

    Args:
      saliency: f[B, *spatial], zero or more.
      blur: as in `sample_guidedmixup`.

    Returns:
      i32[B], a permutation of one cycle: no row is its own partner, but for B = 1 and rows whose
      saliency is NaN or infinite, which the cycle leaves out.

    Raises:
      ValueError: for saliency without a spatial axis, or a negative `blur`.

    Example:
      >>> saliency = jnp.array([[9.0, 0.0], [8.0, 1.0], [0.0, 9.0], [1.0, 8.0]])
      >>> jm.salient_pairs(saliency, blur=0.0).tolist()
      [2, 3, 1, 0]

    GuidedMixup, Kang & Kim 2023, arXiv:2306.16612, condition "greedy" of their code.
    """
    s = checked("salient_pairs", saliency)
    n = s.shape[0]
    missing = ~jnp.isfinite(s).all(axis=tuple(range(1, s.ndim)))
    s = normalised(smooth("salient_pairs", jnp.where(padded(missing, s.ndim), 0.0, s), blur))
    s = s.reshape(n, -1)
    product = jnp.matmul(s, s.T, precision=jax.lax.Precision.HIGHEST)
    square = jnp.diagonal(product)
    distance = jnp.maximum(square[:, None] + square[None, :] - 2 * product, 0.0)
    distance = jnp.where(jnp.eye(n, dtype=bool), -1.0, distance)
    first, second = jnp.divmod(distance.argmax().astype(jnp.int32), n)

    def step(_: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        pairs, visited, row = state
        farthest = jnp.where(visited, -1.0, distance[row]).argmax().astype(jnp.int32)
        return pairs.at[row].set(farthest), visited.at[farthest].set(True), farthest

    pairs = jnp.zeros(n, jnp.int32).at[first].set(second)
    visited = jnp.zeros(n, bool).at[first].set(True).at[second].set(True)
    pairs, _, last = jax.lax.fori_loop(0, n - 2, step, (pairs, visited, second))
    return around(pairs.at[last].set(first), missing)


def checked(function: str, saliency: ArrayLike) -> Float[Array, "b *spatial"]:
    """Saliency as float32: it is data here, and no gradient goes through it."""
    saliency = jnp.asarray(saliency)
    _checks.mask_shape(function, saliency.shape, spatial=True)
    return jax.lax.stop_gradient(saliency.astype(jnp.float32))


def normalised(s: Float[Array, "b *spatial"]) -> Float[Array, "b *spatial"]:
    """Each row of sum 1; where there is none, or a NaN or infinity in it, the same everywhere."""
    total = s.sum(axis=tuple(range(1, s.ndim)), keepdims=True)
    some = (total > 0) & (total < jnp.inf)
    return jnp.where(some, s / jnp.where(some, total, 1.0), 1 / s[0].size)


def smooth(
    function: str, s: Float[Array, "b *spatial"], sigma: float
) -> Float[Array, "b *spatial"]:
    """Blur with a Gaussian that ends at the borders, unlike `masks.blur`, which goes round."""
    sigma = _checks.known(function, "blur", sigma, "a number >= 0 (0 is no blur)", 0.0)
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


def _has_channels(function: str, x: Array, need: str, *, most: int | None = None) -> None:
    if x.ndim < 3 or (most is not None and x.ndim > most):
        raise ValueError(
            f"{function} got x of shape {x.shape}; it needs (B, *spatial, C) with {need}: add a "
            "channel axis by x[..., None] where there is none."
        )
