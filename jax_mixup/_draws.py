"""The random numbers that samplers share: λ of any distribution, and uniform numbers."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from jax_mixup._entry import one_program
from jax_mixup._geometry import fusion_barrier

Law = Callable[[PRNGKeyArray, tuple[int, ...]], Float[Array, "..."]]


def law_and_uniforms(
    key: PRNGKeyArray, lam_law: Law | None, others: int, n: int
) -> tuple[Callable[[ArrayLike], Float[Array, "n"]], Float[Array, "n others"]]:
    """Return n draws of λ as a function of alpha, and the other numbers that a sampler needs.

    All numbers come from one draw, unless `lam_law` needs a key of its own: a draw takes longer to
    compile, and on CPU longer to run, than all work on the numbers.
    """
    if lam_law is not None:
        key_lam, u = _key_and_uniforms(key, others, n)
        lam = drawn_from(lam_law, key_lam, n)
        return lambda alpha: lam, u
    first, second, u = _uniforms(key, others, n)
    return lambda alpha: beta_of(alpha, first, second), u


@one_program("others", "n")
def _key_and_uniforms(
    key: PRNGKeyArray, others: int, n: int
) -> tuple[PRNGKeyArray, Float[Array, "n others"]]:
    key_lam, key = jax.random.split(key)
    return key_lam, uniforms(key, (others, n)).T


@one_program("others", "n")
def _uniforms(
    key: PRNGKeyArray, others: int, n: int
) -> tuple[Float[Array, "n"], Float[Array, "n"], Float[Array, "n others"]]:
    u = uniforms(key, (2 + others, n))
    return u[0], u[1], u[2:].T


@one_program("shape")
def uniforms(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw the numbers of jax.random.uniform.

    On CPU they are drawn without the loop that JAX runs there: this compiles faster, and is one
    kernel in place of a dozen. Elsewhere JAX has no loop either.
    """
    by_jax = partial(jax.random.uniform, shape=shape, dtype=jnp.float32)
    threefry = jax.random.key_impl(key) == "threefry2x32"
    threefry &= getattr(jax.config, "jax_threefry_partitionable", True)
    if not threefry or math.prod(shape) >= 2**32:
        return by_jax(key)
    return jax.lax.platform_dependent(key, cpu=partial(_unrolled, shape=shape), default=by_jax)


ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def _unrolled(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw the numbers of jax.random.uniform by Threefry-2x32 (Salmon et al. 2011)."""
    first, second = jax.random.key_data(key)
    keys = first, second, first ^ second ^ jnp.uint32(0x1BD11BDA)
    # Each number is encrypted from its place in the array.
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    places = [jax.lax.broadcasted_iota(jnp.uint32, shape, axis) for axis in range(len(shape))]
    place = sum((i * step for i, step in zip(places, steps, strict=True)), jnp.uint32(0))
    low, high = keys[0], place + keys[1]
    for i in range(5):
        for n in ROTATIONS[i % 2]:
            low = low + high
            high = low ^ (high << n | high >> (32 - n))
        low, high = low + keys[(i + 1) % 3], high + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    bits = fusion_barrier(low ^ high)  # else each kernel that uses them would draw them again
    return jax.lax.bitcast_convert_type(bits >> 9 | jnp.uint32(0x3F800000), jnp.float32) - 1


@one_program("shape")
def normals(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw the numbers of jax.random.normal."""
    low = np.nextafter(np.float32(-1), np.float32(0))
    u = uniforms(key, shape) * (np.float32(1) - low) + low
    return np.float32(np.sqrt(2)) * jax.lax.erf_inv(jnp.maximum(u, low))


def drawn_from(lam_law: Law, key: PRNGKeyArray, n: int) -> Float[Array, "n"]:
    """Draw n values of λ from any distribution, which may be the user's and return any dtype."""
    lam = jnp.asarray(lam_law(key, (n,)))
    if lam.shape != (n,) or jnp.issubdtype(lam.dtype, jnp.complexfloating):
        raise ValueError(
            f"a sampler got from its lam_law an array of shape {lam.shape} and dtype {lam.dtype} "
            f"for shape ({n},); it needs that shape, one real λ for each draw: broadcast in the "
            "function, or write lam_law=jm.constant(value) for one value."
        )
    return nan_to_one(lam.astype(jnp.float32))


@one_program("shape")
def symmetric(key: PRNGKeyArray, alpha: ArrayLike, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw λ ~ Beta(α, α)."""
    u = uniforms(key, (2, *shape))
    return beta_of(alpha, u[0], u[1])


@one_program()
def beta_of(
    alpha: ArrayLike, u: Float[Array, "..."], v: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Return λ ~ Beta(α, α) for uniform `u` and `v`, by the formula of `symmetric_beta`."""
    a = float32(alpha, u.shape)
    positive = jnp.maximum(jnp.where(a > 0, a, 1.0), 1e-6)  # NaN turns mixing off, as 0 does
    log_e = jnp.log(jnp.maximum(u, jnp.finfo(jnp.float32).tiny)) / positive
    cosine = jnp.cos(2 * jnp.pi * v)
    e = jnp.exp(log_e)
    p = -jnp.expm1(log_e) * jnp.square(cosine)
    r = jnp.sqrt(p + e)
    above = r + jnp.sqrt(p)
    # The division comes last: XLA would repeat cheaper operations for each pixel of a fused blend.
    return jnp.where(a > 0, jnp.where(cosine > 0, above, e / above), 2 * r) / (2 * r)


def nan_to_one(lam: Float[Array, "..."]) -> Float[Array, "..."]:
    """Replace NaN by λ = 1, which does not mix."""
    return jnp.where(jnp.isnan(lam), 1.0, lam)


PROPOSALS = 12  # each is taken with probability 0.95 or more: none is for 1 draw in 10^15


@one_program()
def log_gamma(key: PRNGKeyArray, a: Float[Array, "..."]) -> Float[Array, "..."]:
    """Draw log g for g ~ Gamma(a), without a loop, so that on many devices none waits for another.

    This is the method of Marsaglia and Tsang 2000 with a fixed number of proposals, of which the
    first that fits is taken. jax.random.gamma tries until all draws fit: on a sharded batch the
    devices ask each other after each try. Infinite concentrations, and those that are not positive,
    become 1 here; callers handle them.
    """
    key_normal, key_uniform = jax.random.split(key)
    shape = (PROPOSALS, *a.shape)
    x = normals(key_normal, shape)
    u = uniforms(key_uniform, (1 + PROPOSALS, *a.shape))
    # Smaller ones overflow, for logarithms are divided by them.
    a = jnp.where((a > 0) & (a < jnp.inf), jnp.clip(a, 1e-36, 1e30), 1.0)
    return fusion_barrier(_log_gamma(a, x, jnp.maximum(u, jnp.finfo(jnp.float32).tiny)))


@jax.custom_jvp
def _log_gamma(
    a: Float[Array, "..."], x: Float[Array, "proposals ..."], u: Float[Array, "numbers ..."]
) -> Float[Array, "..."]:
    d = (jnp.where(a < 1, a + 1, a) - 1 / 3)[None]
    t = x / jnp.sqrt(9 * d)
    v = (1 + t) ** 3
    fits = jnp.log(u[1:]) < jnp.square(x) / 2 + d * (1 - v + jnp.log(jnp.maximum(v, 1e-30)))
    fits = (fits | (d > 1e4)) & (t > -1)  # beyond 1e4 all fit, but for rounding errors
    taken = t[-1]
    for i in reversed(range(PROPOSALS - 1)):
        taken = jnp.where(fits[i], t[i], taken)
    whole = jnp.log(d[0]) + 3 * jnp.log1p(jnp.maximum(taken, -1 + 1e-7))
    return jnp.where(a < 1, whole + jnp.log(u[0]) / a, whole)


@_log_gamma.defjvp
def _log_gamma_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    # The gradient at a fixed quantile, as that of jax.random.gamma.
    out = _log_gamma(*primals)
    sample = jnp.maximum(jnp.exp(out), jnp.finfo(jnp.float32).tiny)
    slope = jax.lax.random_gamma_grad(primals[0], sample)  # pyright: ignore[reportCallIssue]
    return out, tangents[0] * slope / sample


def below(u: Float[Array, "..."], prob: ArrayLike) -> Bool[Array, "..."]:
    """True with probability `prob`, for uniform `u`; `prob` may be traced, of any float dtype."""
    return u < float32(prob, u.shape)


def float32(value: ArrayLike, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Return a parameter of a distribution in float32, broadcast to the shape of the draws."""
    value = jnp.asarray(value).astype(jnp.float32)
    if value.ndim > len(shape) or any(
        n not in (1, m) for n, m in zip(value.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(
            f"a distribution got a number of shape {value.shape} for draws of shape {shape}; it "
            "needs one number for all draws, or per='example' with one number for each example."
        )
    return jnp.broadcast_to(value, shape)
