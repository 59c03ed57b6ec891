"""Laws of the mixing weight λ.

A law is a function `(key, shape) -> f32[shape]` with values in [0, 1], where λ is the share of the
row's own example. Samplers take `alpha`, which means `symmetric_beta`, or any law as `lam_law=`.
They cast what a law gives to float32, and a λ that is NaN is 1: nothing is mixed.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from jax_mixup import _checks
from jax_mixup._entry import public

Law = Callable[[PRNGKeyArray, tuple[int, ...]], Float[Array, "..."]]


@public
def symmetric_beta(
    key: PRNGKeyArray, alpha: ArrayLike, shape: tuple[int, ...] = ()
) -> Float[Array, "..."]:
    """Draw λ ~ Beta(α, α) exactly, without a rejection loop.

        E = U^(1/α), p = (1 - E) cos²(2πV), r = √(p + E), λ = (r ± √p) / (2 r)

    with U, V uniform, and ± the sign of the cosine. This is the polar form of Student's t
    (Bailey 1994), of which Beta(α, α) is a function (Devroye 1986): cost and compile time do not
    depend on α. The smaller share comes without cancellation, as r - √p = E / (r + √p), in float32,
    whatever dtype α has. Differentiable in α. Below α = 1e-6 the law of α = 1e-6 is drawn, all but
    a one-point law.

    Args:
      key: a PRNG key.
      alpha: concentration, from 0 to 1e4; may be traced, and of any shape that broadcasts to
        `shape`. `alpha <= 0` is off, λ = 1, and so is a traced NaN. An infinite one is the limit,
        λ = ½.
      shape: shape of the result.

    Returns:
      f32[shape] in [0, 1]. For α <= 0.1 many draws are exactly 0 or 1: never take log λ.

    Raises:
      ValueError: for an `alpha` that is known to be negative or NaN.

    Example:
      >>> lam = jm.symmetric_beta(jax.random.key(0), 0.2, (100_000,))
      >>> print(f"{lam.var():.2f}")  # Var λ = 1 / (4 (2α + 1)) = 0.1786
      0.18
    """
    _checks.alpha("symmetric_beta", "alpha", alpha)
    return beta_of(alpha, *jax.random.uniform(key, (2, *shape), jnp.float32))


def beta(a: ArrayLike, b: ArrayLike) -> Law:
    """Make the law λ ~ Beta(a, b) for a ≠ b.

        density ∝ λ^(a-1) (1-λ)^(b-1)

    Beta(α+1, α) with the row's own label alone is the one-label form of mixup. Uses the rejection
    sampler of `jax.random.beta`; for a = b `symmetric_beta` is faster and needs no loop.

    Args:
      a, b: the two concentrations, > 0; may be traced. Where one is not positive, or NaN, λ = 1.
        Infinite ones are limits: λ = 1 for a, 0 for b, ½ for both.

    Returns:
      A law.

    Raises:
      ValueError: for an `a` or `b` that is known and not positive.

    Example:
      >>> lam = jm.beta(2.0, 1.0)(jax.random.key(0), (10_000,))
      >>> print(f"{lam.mean():.1f}")  # a / (a + b) = 2/3
      0.7
    """
    _checks.positive("beta", "a", a)
    _checks.positive("beta", "b", b)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        first, second = _float32(a, shape), _float32(b, shape)
        on = (first > 0) & (second > 0)
        drawn = jax.random.beta(key, gamma_shape(first), gamma_shape(second), shape, jnp.float32)
        drawn = jnp.where(first == jnp.inf, jnp.where(second == jnp.inf, 0.5, 1.0), drawn)
        drawn = jnp.where((second == jnp.inf) & (first < jnp.inf), 0.0, drawn)
        return jnp.where(on, drawn, 1.0)

    return law


def uniform(low: ArrayLike, high: ArrayLike) -> Law:
    """Make the law λ ~ U(low, high).

        density 1 / (high - low) on [low, high)

    U(0, 1) is Beta(1, 1): for that, `alpha=1.0` says the same.

    Args:
      low, high: bounds in [0, 1], low <= high; may be traced, and NaN is λ = 1.

    Returns:
      A law.

    Raises:
      ValueError: for bounds that are known to be outside [0, 1] or in the wrong order.

    Example:
      >>> lam = jm.uniform(0.25, 0.75)(jax.random.key(0), (1000,))
      >>> bool(((lam >= 0.25) & (lam < 0.75)).all())
      True
    """
    _checks.share("uniform", "low", low)
    _checks.share("uniform", "high", high)
    bounds = _checks.static_number(low), _checks.static_number(high)
    if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
        raise ValueError(f"uniform got low={bounds[0]} and high={bounds[1]}; it needs low <= high.")

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        start, stop = _float32(low, shape), _float32(high, shape)
        known = ~(jnp.isnan(start) | jnp.isnan(stop))
        start, stop = jnp.where(known, start, 1.0), jnp.where(known, stop, 1.0)
        return start + (stop - start) * jax.random.uniform(key, shape, jnp.float32)

    return law


def constant(value: ArrayLike) -> Law:
    """Make the law that always gives `value`.

        λ = value

    `constant(0.5)` averages every pair. That is heavy mixing, not mixup with α = 0.5; with a mutual
    pairing such as `reverse()` both rows of a pair become the same example. `constant(1.0)` is off.

    Args:
      value: in [0, 1]; may be traced, and NaN is λ = 1.

    Returns:
      A law.

    Raises:
      ValueError: for a value that is known to be outside [0, 1].

    Example:
      >>> jm.constant(0.5)(jax.random.key(0), (2,)).tolist()
      [0.5, 0.5]
    """
    _checks.share("constant", "value", value)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return own_where_nan(_float32(value, shape))

    return law


def folded_beta(alpha: ArrayLike) -> Law:
    """Make the law of Beta(α, α) folded, so that the row itself always has the larger share.

        λ = max(λ', 1 - λ'), λ' ~ Beta(α, α)

    With it a label, an action or a loss can stay the row's own, for it belongs to most of what is
    seen: MixMatch (α = 0.75), DivideMix (4), i-Mix (1), mixreg (0.2).

    Args:
      alpha: as in `symmetric_beta`; may be traced; <= 0 or NaN is off, infinity is λ = ½.

    Returns:
      A law, with values in [½, 1].

    Raises:
      ValueError: for an `alpha` that is known to be negative or NaN.

    Example:
      >>> lam = jm.folded_beta(0.75)(jax.random.key(0), (1000,))
      >>> bool((lam >= 0.5).all())
      True

    As in the code of Berthelot et al. 2019, arXiv:1905.02249.
    """
    _checks.alpha("folded_beta", "alpha", alpha)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        lam = symmetric_beta(key, alpha, shape)
        return jnp.maximum(lam, 1 - lam)

    return law


def affine_uniform(alpha: ArrayLike) -> Law:
    """Make the law of the weight w = λ(1-α) + α(1-λ) with λ ~ U(0, 1).

        w = α + λ(1 - 2α)

    an affine map of λ, hence uniform on [min(α, 1-α), max(α, 1-α)], with mean ½ and variance
    (1-2α)²/12. α and 1-α give the same law; α = 0 is U(0, 1); at α = ½ the draw cancels and w = ½
    always. This α is not the concentration of Beta(α, α): no symmetric Beta gives such a law, but
    for α in {0, ½, 1} (Beta(1, 1), the limit of Beta(a, a) for a → ∞, Beta(1, 1)).

    Args:
      alpha: in [0, 1]; may be traced, and NaN is w = 1.

    Returns:
      A law.

    Raises:
      ValueError: for an `alpha` that is known to be outside [0, 1].

    Example:
      >>> w = jm.affine_uniform(0.9)(jax.random.key(0), (10_000,))
      >>> print(f"{w.min():.2f} {w.max():.2f}")
      0.10 0.90
      >>> jm.affine_uniform(0.5)(jax.random.key(0), (3,)).tolist()
      [0.5, 0.5, 0.5]
    """
    _checks.share("affine_uniform", "alpha", alpha)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        a = _float32(alpha, shape)
        u = jax.random.uniform(key, shape, jnp.float32)
        known = ~jnp.isnan(a)
        a = jnp.where(known, a, 0.0)
        return jnp.where(known, a + (1 - 2 * a) * u, 1.0)

    return law


def beta_of(
    alpha: ArrayLike, u: Float[Array, "..."], v: Float[Array, "..."]
) -> Float[Array, "..."]:
    """λ ~ Beta(α, α) from uniform `u` and `v`: the formula of `symmetric_beta`."""
    a = _float32(alpha, u.shape)
    positive = jnp.maximum(jnp.where(a > 0, a, 1.0), 1e-6)  # a NaN is off, like 0
    log_e = jnp.log(jnp.maximum(u, jnp.finfo(jnp.float32).tiny)) / positive
    cosine = jnp.cos(2 * jnp.pi * v)
    e = jnp.exp(log_e)
    p = -jnp.expm1(log_e) * jnp.square(cosine)
    r = jnp.sqrt(p + e)
    above = r + jnp.sqrt(p)
    # The division comes last, for XLA repeats anything cheaper for each pixel of a fused blend.
    return jnp.where(a > 0, jnp.where(cosine > 0, above, e / above), 2 * r) / (2 * r)


def law_and_uniforms(
    key: PRNGKeyArray, lam_law: Law | None, others: int, n: int
) -> tuple[Callable[[ArrayLike], Float[Array, "n"]], Float[Array, "others n"]]:
    """The law of n weights, as a function of alpha, and the other numbers that a sampler needs.

    All come from one draw, unless `lam_law` needs a key of its own: each draw costs XLA on CPU a
    loop, 0.1 s to compile and more time to run than all that is done with the numbers.
    """
    if lam_law is not None:
        key_lam, key = jax.random.split(key)
        lam = drawn_from(lam_law, key_lam, n)
        return lambda alpha: lam, jax.random.uniform(key, (others, n), jnp.float32)
    u = jax.random.uniform(key, (2 + others, n), jnp.float32)
    return lambda alpha: beta_of(alpha, u[0], u[1]), u[2:]


def drawn_from(lam_law: Law, key: PRNGKeyArray, n: int) -> Float[Array, "n"]:
    """n weights of any law, which may be the user's and give any dtype."""
    lam = jnp.asarray(lam_law(key, (n,)))
    if lam.shape != (n,) or jnp.issubdtype(lam.dtype, jnp.complexfloating):
        raise ValueError(
            f"a sampler got from its lam_law an array of shape {lam.shape} and dtype {lam.dtype} "
            f"for shape ({n},); it needs that shape, one real λ for each draw: broadcast in the "
            "law, or call jm.constant(value) for one value."
        )
    return own_where_nan(lam.astype(jnp.float32))


def own_where_nan(lam: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.where(jnp.isnan(lam), 1.0, lam)


def gamma_shape(a: Float[Array, "..."]) -> Float[Array, "..."]:
    """Concentrations that jax.random can draw: it divides logarithms by them, which overflows below
    the least one, and those that are off or infinite are seen to afterwards.
    """
    return jnp.where((a > 0) & (a < jnp.inf), jnp.clip(a, 1e-36, 1e30), 1.0)


def below(u: Float[Array, "..."], prob: ArrayLike) -> Bool[Array, "..."]:
    """True with probability `prob`, which may be traced and of any float dtype, for uniform `u`."""
    return u < _float32(prob, u.shape)


def _float32(value: ArrayLike, shape: tuple[int, ...]) -> Float[Array, "..."]:
    value = jnp.asarray(value).astype(jnp.float32)
    if value.ndim > len(shape) or any(
        n not in (1, m) for n, m in zip(value.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(
            f"a law got a number of shape {value.shape} for draws of shape {shape}; it needs one "
            "number for all, or per='example' with one for each row."
        )
    return jnp.broadcast_to(value, shape)
