"""Common corruptions of small images, after Hendrycks and Dietterich 2019, arXiv:1903.12261.

The kinds are theirs, with constants of our own for pictures about ten pixels wide. Each is a pure
function of (key, x, severity), where severity 0 changes nothing, 1 is mild, 5 is severe, and any
number between them is allowed.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

Images = Float[Array, "b h w c"]


def corrupt(key: PRNGKeyArray, x: Array, *, kind: str, severity: ArrayLike) -> Array:
    """Images [b, h, w, c], floats in [0, 1] or uint8, corrupted by one of KINDS; the same dtype."""
    if kind not in KINDS:
        raise ValueError(f"corrupt got kind={kind!r}; it needs one of {', '.join(KINDS)}.")
    scale = 255 if x.dtype == jnp.uint8 else 1
    severity = jnp.asarray(severity, jnp.float32)
    y = jnp.clip(KINDS[kind](key, x.astype(jnp.float32) / scale, severity), 0, 1) * scale
    return (jnp.round(y) if scale == 255 else y).astype(x.dtype)


def gaussian_noise(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """σ = 0.06 s."""
    return x + 0.06 * severity * jax.random.normal(key, x.shape)


def shot_noise(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """Counts of 30 / s photons for white."""
    light = 30 / jnp.maximum(severity, 1e-3)
    return jnp.where(severity > 0, jax.random.poisson(key, light * x) / light, x)


def impulse_noise(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """A fraction of 0.04 s of the values becomes black or white."""
    key_hit, key_value = jax.random.split(key)
    hit = jax.random.uniform(key_hit, x.shape) < 0.04 * severity
    return jnp.where(hit, jax.random.bernoulli(key_value, shape=x.shape).astype(x.dtype), x)


def blur(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """A Gaussian of σ = 0.25 s pixels."""
    del key
    narrow = 2 * jnp.square(jnp.maximum(0.25 * severity, 1e-3))
    return _average(x, lambda a, b: jnp.exp(-jnp.square(a - b) / narrow))


def pixelate(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """Blocks of 1 + 0.6 s pixels become their mean."""
    del key
    block = 1 + 0.6 * severity
    return _average(x, lambda a, b: (a // block == b // block).astype(x.dtype))


def contrast(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """Each value moves a fraction of 0.16 s towards the image's mean."""
    del key
    return x + 0.16 * severity * (x.mean(axis=(1, 2, 3), keepdims=True) - x)


def brightness(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """0.1 s is added."""
    del key
    return x + 0.1 * severity


def translate(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """0.4 s pixels in a random direction, black beyond the border."""
    angle = jax.random.uniform(key, x.shape[:1], maxval=2 * jnp.pi)
    shift = 0.4 * severity * jnp.stack([jnp.sin(angle), jnp.cos(angle)])
    return jax.vmap(_warp, in_axes=(0, 1, None))(x, shift, 0.0)


def rotate(key: PRNGKeyArray, x: Images, severity: Array) -> Images:
    """9 s degrees about the middle to a random side, black beyond the border."""
    side = jax.random.rademacher(key, x.shape[:1], x.dtype)
    angle = jnp.deg2rad(9 * severity) * side
    return jax.vmap(_warp, in_axes=(0, None, 0))(x, jnp.zeros(2), angle)


KINDS = {
    "Gaussian noise": gaussian_noise,
    "shot noise": shot_noise,
    "impulse noise": impulse_noise,
    "blur": blur,
    "pixelate": pixelate,
    "contrast": contrast,
    "brightness": brightness,
    "translate": translate,
    "rotate": rotate,
}


def _average(x: Images, weight) -> Images:
    """Along both axes, place a becomes the mean of places b by weight(a, b)."""
    for axis in (1, 2):
        place = jnp.arange(x.shape[axis], dtype=x.dtype)
        weights = weight(place[:, None], place)
        weights = weights / weights.sum(axis=1, keepdims=True)
        x = jnp.moveaxis(jnp.tensordot(weights, x, (1, axis)), 0, axis)
    return x


def _warp(image: Float[Array, "h w c"], shift: Array, angle: ArrayLike) -> Float[Array, "h w c"]:
    """Rotate by `angle` about the middle, then move by `shift` pixels; linear in between."""
    height, width, _ = image.shape
    middle = jnp.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    row, column = jnp.stack(jnp.mgrid[:height, :width]) - middle - shift[:, None, None]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    source = middle + jnp.stack([cos * row + sin * column, cos * column - sin * row])
    sample = lambda channel: jax.scipy.ndimage.map_coordinates(channel, list(source), order=1)
    return jax.vmap(sample, in_axes=2, out_axes=2)(image)
