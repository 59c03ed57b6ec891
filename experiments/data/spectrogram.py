"""Log-mel spectrograms in JAX, for use inside a train step."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

FLOOR = 1e-6  # powers below this count as equal, so that digital silence has a logarithm


def log_mel(
    x: Float[Array, "b n"], *, rate: int = 8000, size: int = 256, hop: int = 160, bands: int = 32
) -> Float[Array, "b t f"]:
    """The logarithm of the power in mel bands, for a window of `size` samples every `hop` of them.

    Frame t begins at sample t * hop, so that n / hop frames cover the clip: padding of whole hops
    is padding of whole frames. The last windows reach into zeros.
    """
    n = x.shape[1]
    if n % hop:
        raise ValueError(f"log_mel got {n} samples; it needs a multiple of hop={hop}: pad.")
    starts = np.arange(0, n, hop)
    padded = jnp.pad(x.astype(jnp.float32), ((0, 0), (0, max(size - hop, 0))))
    frames = padded[:, starts[:, None] + np.arange(size)] * np.hanning(size + 1)[:-1]
    power = jnp.square(jnp.abs(jnp.fft.rfft(frames.astype(jnp.float32)))) / size
    return jnp.log(power @ mel_filters(rate, size, bands) + FLOOR)


def mel_filters(
    rate: int, size: int, bands: int, low: float = 60.0
) -> Float32[np.ndarray, "bins bands"]:
    """Triangles of height 1 whose corners are equally far apart in mel, from `low` Hz up."""
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    corners = np.linspace(mel(low), mel(rate / 2), bands + 2)
    bins = mel(np.fft.rfftfreq(size, 1 / rate))[:, None]
    rising = (bins - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins) / np.diff(corners)[1:]
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
