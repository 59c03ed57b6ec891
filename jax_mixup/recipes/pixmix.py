"""PixMix: pictures are added to or multiplied with fractals and with views of themselves."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._blending import WIDE
from jax_mixup._draws import uniforms
from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup._geometry import padded

Augment = Callable[[PRNGKeyArray, Array], Array]  # a batch of images to another one


@calls_back
def pixmix(
    key: PRNGKeyArray,
    images: Shaped[ArrayLike, "b ..."],
    pictures: Shaped[ArrayLike, "b ..."],
    augment: Augment,
    *,
    k: int = 4,
    beta: ArrayLike = 3.0,
) -> Shaped[Array, "b ..."]:
    """Mix images in several rounds with pictures such as fractals, or with views of themselves.

        x ← x or augment(x); then, 0 to k times, o = augment(x₀) or the picture, and
        x ← ½ (a (2x - 1) + b (2o - 1) + 1)  or  ½ (2x)ᵃ (2o)ᵇ,  clipped to [0, 1]
        a ~ Beta(β, 1), b ~ Beta(1, β),  or  a ~ 1 + Beta(1, β), b ~ -Beta(1, β)

    Each "or" is drawn with probability ½, and the number of rounds uniformly; all draws are each
    example's own. Labels stay. Call it inside of a jit: outside, the rounds are compiled in each
    call, as `augment` may be another function.

    Args:
      key: a PRNG key.
      images: floats in [0, 1], [B, ...], before they are normalised.
      pictures: one for each example, with the shape of the images and values in [0, 1], from a
        second loader, or `fractals[jax.random.randint(key, (B,), 0, len(fractals))]`.
      augment: a function `(key, images) -> images` for a batch, which gives values in [0, 1]. For
        one of single images, f: `lambda key, x: jax.vmap(f)(jax.random.split(key, len(x)), x)`. It
        runs k + 1 times.
      k: the largest number of rounds.
      beta: β > 0, a number: larger is weaker. It may be traced; where a traced one is not positive,
        or NaN, there are no rounds.

    Returns:
      Images of the same shape and dtype, in [0, 1].

    Raises:
      TypeError: If images, pictures, or what `augment` gives are not floating point, or if
        `augment` is not a function.
      ValueError: If pictures, or what `augment` gives, have another shape than the images, if `k`
        is not an int >= 0, if `beta` is not one number, or if a static one is not positive.

    Example:
      >>> images, fractals = jnp.full((4, 8, 8, 3), 0.3), jnp.full((4, 8, 8, 3), 0.6)
      >>> def flip(key, x):  # or any other view
      ...     return jnp.where(jax.random.bernoulli(key), x, x[:, :, ::-1])
      >>> mixed = jm.pixmix(jax.random.key(1), images, fractals, flip)
      >>> mixed.shape, len(set(mixed[:, 0, 0, 0].tolist())) > 1
      ((4, 8, 8, 3), True)

    Hendrycks et al. 2022, arXiv:2112.05135; β = 3 and k = 4 are those of their CIFAR script. There
    each view is by one operation, drawn from nine, of Pillow. In torch-uncertainty there are k - 1
    rounds at most.
    """
    images, pictures = _checked(images, pictures, augment)
    k = _checks.whole("pixmix", "k", k, 0)
    _checks.positive("pixmix", "beta", beta)
    beta = _checks.shaped("pixmix", "beta", jnp.asarray(beta).astype(jnp.float32), ())
    wide = images.dtype if images.dtype in WIDE else jnp.float32

    def view(key: PRNGKeyArray) -> Array:
        made = augment(key, images)
        if made is None or not jnp.issubdtype(jnp.result_type(made), jnp.floating):
            raise TypeError(
                f"pixmix got from augment {_checks.described(made)}; it needs floats in [0, 1], of "
                "the shape of the images."
            )
        return _checks.shaped("pixmix", "from augment images", made, images.shape).astype(wide)

    def one(mixed: Array, now: tuple[Array, PRNGKeyArray]) -> tuple[Array, None]:
        number, key = now
        key_view, key_round = jax.random.split(key)
        on = number < rounds
        return _round(key_round, mixed, view(key_view), pictures, on, beta), None

    key_view, key_start, key_rounds = jax.random.split(key, 3)
    mixed, rounds = _start(key_start, images.astype(wide), view(key_view), pictures, k, beta)
    each = jnp.arange(k, dtype=jnp.int32), jax.random.split(key_rounds, k)
    return jax.lax.scan(one, mixed, each)[0].astype(images.dtype)


def _checked(images: ArrayLike, pictures: ArrayLike, augment: object) -> tuple[Array, Array]:
    images, pictures = jnp.asarray(images), jnp.asarray(pictures)
    for name, x in (("images", images), ("pictures", pictures)):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(
                f"pixmix got {name} of dtype {x.dtype}; it needs floats in [0, 1]: for uint8 write "
                f"{name}.astype(jnp.float32) / 255."
            )
    if images.ndim == 0 or pictures.shape != images.shape:
        raise ValueError(
            f"pixmix got pictures of shape {pictures.shape} for images of shape {images.shape}; it "
            "needs one picture for each image, of its shape: crop or resize the pictures first."
        )
    if not callable(augment):
        raise TypeError(
            f"pixmix got augment={_checks.shown(augment)}; it needs a function (key, images) -> "
            "images: for none, lambda key, x: x."
        )
    return images, pictures


@on_any_mesh
def _start(
    key: PRNGKeyArray,
    images: Float[Array, "b ..."],
    view: Array,
    pictures: Array,  # for their layout alone, which what a round returns has, too
    k: int,
    beta: Float[Array, ""],
) -> tuple[Float[Array, "b ..."], Int[Array, "b"]]:
    """The image or its view, and the number of rounds."""
    del pictures
    u = uniforms(key, (2, images.shape[0]))
    rounds = jnp.minimum(jnp.floor(u[1] * (k + 1)), k).astype(jnp.int32)
    start = jnp.where(padded(u[0] < 0.5, images.ndim), view, images)
    return start, jnp.where(beta > 0, rounds, 0)


@on_any_mesh
def _round(
    key: PRNGKeyArray,
    mixed: Float[Array, "b ..."],
    view: Array,
    pictures: Array,
    on: Array,
    beta: Float[Array, ""],
) -> Float[Array, "b ..."]:
    """One round, where `on` is True."""
    of_view, is_sum, gentle, u, v = uniforms(key, (5, mixed.shape[0]))
    power = 1 / jnp.where(beta > 0, beta, 1.0)
    high, low = u**power, 1 - v**power  # of Beta(β, 1) and Beta(1, β)
    own, rest = jnp.where(gentle < 0.5, high, 2 - high), jnp.where(gentle < 0.5, low, -low)
    of_view, is_sum, own, rest, on = (
        padded(x, mixed.ndim) for x in (of_view < 0.5, is_sum < 0.5, own, rest, on)
    )
    own, rest = own.astype(mixed.dtype), rest.astype(mixed.dtype)
    other = jnp.where(of_view, view, pictures.astype(mixed.dtype))
    added = (own * (2 * mixed - 1) + rest * (2 * other - 1) + 1) / 2
    # As logarithms, for the gradient: a power has none at 0, and none that is finite far above 1.
    seen, base = mixed > 0, jnp.maximum(2 * other, 1e-37)
    log = own * jnp.log(jnp.where(seen, 2 * mixed, 1)) + rest * jnp.log(base)
    multiplied = jnp.where(seen, jnp.exp(jnp.minimum(log, 1)) / 2, 0)
    return jnp.where(on, jnp.clip(jnp.where(is_sum, added, multiplied), 0, 1), mixed)
