"""Apply a mix to what carries style: moments or ranks of features, amplitudes of a spectrum."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Bool, Float, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, layers_of, one_mix
from jax_mixup._entry import one_program, public
from jax_mixup.apply.inputs import blend
from jax_mixup.mix import Mixes
from jax_mixup.pairings._rows import move_rows


@public
def blend_moments(
    mix: Mixes,
    h: Shaped[ArrayLike, "b ..."],
    *,
    axes: Sequence[int],
    other: Shaped[ArrayLike, "b ..."] | None = None,
    epsilon: float = 1e-6,
    detach: bool = False,
) -> Shaped[Array, "b ..."]:
    """Blend the moments that normalisation removes, mean and deviation, and not the features.

        h'ᵢ = σ̃ᵢ (hᵢ - μᵢ) / σᵢ + μ̃ᵢ,  (μ̃, σ̃) = m (μ, σ)ᵢ + (1 - m) (μ, σ)ₚ

    with μ and σ² + ε computed over `axes`; the variance is unbiased, as in torch.

    Args:
      mix: a mix of B examples, or a tuple of mixes. Its mask may have positions on axes of h that
        are not in `axes`; m = 0 gives the example its partner's moments.
      h: features, f[B, *spatial, C].
      axes: the axes of h over which moments are taken, counted with the batch as axis 0. The
        spatial axes give one moment for each channel (instance norm, style), (-1,) gives one for
        each position (positional norm).
      other: features whose moments are blended in, in place of those of the partners, for example
        those of a second batch; of the same shape as h.
      epsilon: ε > 0, added to the variance.
      detach: whether gradients treat μ and σ as constants.

    Returns:
      An array of the same shape and dtype; exactly h where m = 1.

    Raises:
      TypeError: If `h` is not floating point.
      ValueError: If h has another B, if `axes` are not different axes of h after the batch, or if
        the mask has positions on them.

    Example:
      >>> h = jnp.array([[1.0, 3.0], [10.0, 30.0]])[..., None]
      >>> swap = jm.Mix(jm.reverse(), mask=jnp.zeros(1), lam=jnp.full(2, 0.9))
      >>> jm.blend_moments(swap, h, axes=(1,))[..., 0].round(2).tolist()
      [[10.0, 30.0], [1.0, 3.0]]

    MixStyle, Zhou et al. 2021, arXiv:2104.02008: spatial axes, `detach`, λ ~ Beta(0.1, 0.1) for
    each example, half of the batches, early layers; labels stay, so that `lam` is not used. MoEx,
    Li et al. 2021, arXiv:2002.11102: the mix of the example above with axes=(-1,) and ε = 1e-5
    after the stem, and labels by its `lam`, which in their scripts is 0.9 on ImageNet and 0.5 on
    CIFAR.
    """
    h, taken = _features("blend_moments", mix, h, axes)
    wide = h.astype(jnp.float64 if h.dtype == jnp.float64 else jnp.float32)

    def moments(x: Array) -> tuple[Array, Array]:
        mean = x.mean(taken, keepdims=True)
        square = jnp.square(x - mean).sum(taken, keepdims=True) / max(x.size // mean.size - 1, 1)
        result = mean, jnp.sqrt(square + epsilon)
        return jax.lax.stop_gradient(result) if detach else result

    mean, deviation = moments(wide)
    other_moments = None
    if other is not None:
        other = _checks.shaped("blend_moments", "other", other, h.shape)
        other_moments = moments(other.astype(wide.dtype))
    new_mean, new_deviation = blend(mix, (mean, deviation), other=other_moments)
    # The equation is written as a change of h, so that nothing is rounded where nothing is mixed.
    change = (wide - mean) * (new_deviation / deviation - 1) + (new_mean - mean)
    return (wide + change).astype(h.dtype)


@public
def blend_quantiles(
    mix: Mixes,
    h: Shaped[ArrayLike, "b ..."],
    *,
    axes: Sequence[int],
    other: Shaped[ArrayLike, "b ..."] | None = None,
) -> Shaped[Array, "b ..."]:
    """Blend whole distributions of features: the r-th smallest value with the partner's r-th.

        h'ᵢ(t) = m hᵢ(t) + (1 - m) qₚ(r),  r the rank of hᵢ(t) among its values, qₚ = sorted hₚ

    Values are ranked over `axes`. The example keeps the order of its values, and so its content;
    `blend_moments` does the same for mean and deviation alone. Labels stay, so that `lam` is not
    used. Of equal values, such as the zeros of a ReLU, the first has the lower rank.

    The gradient of an example's own values is that of h itself, as if nothing was blended; the
    partner's values have the gradient of their weights 1 - m.

    Args:
      mix: a mix of B examples, or a tuple of mixes. Its mask may have positions on axes of h that
        come before all of `axes`; m = 0 gives the example its partner's values.
      h: features, f[B, *spatial, C].
      axes: the axes of h over which values are ranked, counted with the batch as axis 0: the
        spatial ones for a distribution of each channel.
      other: features whose values are blended in, in place of those of the partners, for example
        those of a second batch; of the same shape as h.

    Returns:
      An array of the same shape and dtype; exactly h where m = 1.

    Raises:
      TypeError: If `h` is not floating point.
      ValueError: If h has another B, if `axes` are not different axes of h after the batch, or if
        the mask has positions on them.

    Example:
      >>> h = jnp.array([[3.0, 1.0, 2.0], [20.0, 30.0, 10.0]])[..., None]
      >>> swap = jm.Mix(jm.reverse(), mask=jnp.zeros(1), lam=jnp.ones(2))
      >>> jm.blend_quantiles(swap, h, axes=(1,))[..., 0].tolist()
      [[30.0, 10.0, 20.0], [2.0, 3.0, 1.0]]

    EFDMix, Zhang et al. 2022, arXiv:2203.07740: spatial axes, λ ~ Beta(0.1, 0.1) for each example,
    half of the batches, after the first two stages of a ResNet.
    """
    name = "blend_quantiles"
    h, taken = _features(name, mix, h, axes)
    one_mix(name, mix, other)
    moved = (*(axis for axis in range(h.ndim) if axis not in taken), *taken)

    wide = jnp.float64 if h.dtype == jnp.float64 else jnp.float32

    def lines(x: Array) -> Float[Array, "b *rest n"]:
        x = jnp.transpose(x, moved).astype(wide)
        return x.reshape(*x.shape[: h.ndim - len(taken)], -1)

    own = lines(h)
    place = jax.lax.broadcasted_iota(jnp.int32, own.shape, own.ndim - 1)
    values, order = jax.lax.sort((own, place), num_keys=1)
    if other is not None:
        other = jnp.sort(lines(_checks.shaped(name, "other", other, h.shape)), axis=-1)
    mixed = jax.lax.stop_gradient(values)
    for layer in layers_of(mix):
        rest = move_rows(layer.partner, values) if other is None else other
        mixed = blend(layer, mixed, other=None if rest is values else rest)  # a batch of one
    # Sorted by where they came from, values return there. Own ones have the gradient of h.
    nothing = jnp.where(jnp.isfinite(own), own - jax.lax.stop_gradient(own), 0)
    result = jax.lax.sort((order, mixed), num_keys=1)[1] + nothing
    result = result.reshape([h.shape[axis] for axis in moved])
    return jnp.transpose(result, [moved.index(axis) for axis in range(h.ndim)]).astype(h.dtype)


@public
def blend_amplitude(
    mix: Mixes,
    x: Shaped[ArrayLike, "b ..."],
    *,
    low: ArrayLike | None = None,
    axes: Sequence[int] | None = None,
    other: Shaped[ArrayLike, "b ..."] | None = None,
    dtype: DTypeLike | None = None,
) -> Shaped[Array, "b ..."]:
    """Blend the amplitudes of the spectrum and keep the phases: another look, the same shapes.

        x̃ᵢ = F⁻¹([m |F xᵢ| + (1 - m) |F xₚ|] e^{i arg F xᵢ}),  at frequencies |k| <= ⌊low · n⌋

    F is the Fourier transform of each channel, and n the length of the shortest axis. Labels stay
    the example's own: use them unmixed, or draw the mix by `own_label(sampler)`, whose `lam` is 1.
    A frequency that x lacks has no phase: 0 is taken, or that of a rounding error, so that a
    picture of one colour gets a pattern that means nothing.

    Results may leave the range of pixels: clip them. XLA gathers a sharded batch for an FFT, so on
    many devices call this under `shard_map`, with a mix that is drawn there.

    Args:
      mix: a mix of B examples, or a tuple of mixes, whose mask has no positions on `axes`, as
        `sample_mixup` draws; m = 0 gives the example its partner's amplitudes.
      x: images or features, [B, *spatial, C].
      low: how far the blended frequencies reach along each axis, as a fraction of the shortest one;
        0 blends the mean of each channel alone. It may be traced. None blends all frequencies.
      axes: one to three axes that are transformed, counted with the batch as axis 0. None is all
        but the batch and the last, the channels.
      other: what has the amplitudes to blend in, in place of the partners: pictures of a target
        domain; of the same shape as x.
      dtype: a float dtype of the result; the default is that of x. Integers need one.

    Returns:
      An array of the shape of x; exactly x where m = 1.

    Raises:
      TypeError: If neither `dtype` nor x is floating point.
      ValueError: If x has another B, if `axes` are not one to three different axes of x after the
        batch, if the mask has positions on them, or if a static `low` is negative.

    Example:
      >>> x = jnp.array([[1.0, 2.0, 3.0, 2.0], [50.0, 90.0, 50.0, 10.0]])[..., None]
      >>> swap = jm.Mix(jm.reverse(), mask=jnp.zeros(1), lam=jnp.ones(2))
      >>> for low in (0.0, None):
      ...     print(jm.blend_amplitude(swap, x, low=low)[0, :, 0].round(2).tolist())
      [49.0, 50.0, 51.0, 50.0]
      [10.0, 50.0, 90.0, 50.0]

    FDA, Yang and Soatto 2020, arXiv:2004.05498: m = 0, pictures of the target domain as `other`,
    low = 0.01, 0.05 or 0.09. This is their code for NumPy; that for PyTorch blends one frequency
    less at one end, and the paper's window is a fraction of each axis. FACT, Xu et al. 2021,
    arXiv:2105.11120: all frequencies, λ ~ U(0, 1) for each example.
    """
    name = "blend_amplitude"
    x = checked_rows(name, layers_of(mix)[0], "x", x)
    out = jnp.dtype(x.dtype if dtype is None else dtype)
    if not jnp.issubdtype(out, jnp.floating) or jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(
            f"{name} got x of dtype {x.dtype} and dtype={dtype}; it needs real numbers and a float "
            "dtype, such as dtype=jnp.float32 for images."
        )
    taken = _taken(name, mix, x, range(1, x.ndim - 1) if axes is None else axes)
    _checks.fft_axes(name, len(taken))
    if low is not None:
        _checks.numbers(name, "low", low, "a number >= 0, or None for all frequencies", 0.0)
        low = _checks.shaped(name, "low", jnp.asarray(low).astype(jnp.float32), ())
    wide = x.astype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)
    spectrum = jnp.fft.rfftn(wide, axes=taken)
    amplitude = jnp.abs(spectrum)
    if other is not None:
        other = _checks.shaped(name, "other", other, x.shape).astype(wide.dtype)
        other = jnp.abs(jnp.fft.rfftn(other, axes=taken))
    change = blend(mix, amplitude, other=other) - amplitude
    if low is not None:
        change = jnp.where(_within(low, x.shape, taken), change, 0.0)
    return (wide + _waves(change, spectrum, amplitude, x.shape, taken)).astype(out)


@one_program("shape", "axes")
def _waves(
    change: Float[Array, "..."],
    spectrum: Shaped[Array, "..."],
    amplitude: Float[Array, "..."],
    shape: tuple[int, ...],
    axes: tuple[int, ...],
) -> Float[Array, "..."]:
    """Waves of these amplitudes, with the phases of a spectrum; those of 0 have phase 0."""
    some = amplitude > 0
    phase = spectrum / jnp.where(some, amplitude, 1.0).astype(spectrum.dtype)
    waves = change.astype(spectrum.dtype) * jnp.where(some, phase, 1.0)
    return jnp.fft.irfftn(waves, s=[shape[axis] for axis in axes], axes=axes)


def _within(
    low: Float[Array, ""], shape: tuple[int, ...], axes: tuple[int, ...]
) -> Bool[Array, "..."]:
    """True at the low frequencies of a real FFT, whose last axis has half of them."""
    # A product such as 37 · (3 / 37) is narrowly below a whole number.
    reach = jnp.floor(low * min(shape[axis] for axis in axes) + 1e-3)
    inside = jnp.ones((1,) * len(shape), bool)
    for axis in axes:
        k = np.arange(shape[axis] // 2 + 1 if axis == axes[-1] else shape[axis], dtype=np.float32)
        k = np.minimum(k, shape[axis] - k)
        inside = inside & (np.expand_dims(k, [i for i in range(len(shape)) if i != axis]) <= reach)
    return inside


def _features(
    function: str, mix: Mixes, h: ArrayLike, axes: Sequence[int]
) -> tuple[Array, tuple[int, ...]]:
    """Checked features, and the axes over which their style is measured."""
    h = checked_rows(function, layers_of(mix)[0], "h", h)
    if not jnp.issubdtype(h.dtype, jnp.floating):
        raise TypeError(f"{function} got h of dtype {h.dtype}; it needs floats: cast it first.")
    return h, _taken(function, mix, h, axes)


def _taken(function: str, mix: Mixes, x: Array, axes: Sequence[int]) -> tuple[int, ...]:
    """Check the axes over which style is measured: the mask has no positions on them."""
    axes = tuple(axes)
    inside = all(-x.ndim <= axis < x.ndim for axis in axes)
    taken = tuple(sorted(axis % x.ndim for axis in axes)) if inside else ()
    if not taken or len(set(taken)) != len(taken) or 0 in taken:
        raise ValueError(
            f"{function} got axes={axes} for an array of shape {x.shape}; it needs different axes "
            "after the batch, such as the spatial ones, with channels last."
        )
    for layer in layers_of(mix):
        if min(taken) < layer.mask.ndim:
            raise ValueError(
                f"{function} got axes={axes} and a mask of shape {layer.mask.shape}; it needs a "
                "mask without positions on those axes: draw the mix by sample_mixup."
            )
    return taken
