"""Distributions of λ, the weight of the example's own part.

A distribution is a function `(key, shape) -> f32[shape]` with values in [0, 1]. Samplers take
`alpha`, which means `symmetric_beta`, or any distribution as `lam_law=`. They cast its values to
float32, and a λ that is NaN counts as 1: nothing is mixed.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from jax_mixup import _checks
from jax_mixup._draws import Law, float32, log_gamma, nan_to_one, symmetric
from jax_mixup._entry import public


@public
def symmetric_beta(
    key: PRNGKeyArray, alpha: ArrayLike, shape: tuple[int, ...] = ()
) -> Float[Array, "..."]:
    """Draw λ ~ Beta(α, α) exactly, without a rejection loop.

        E = U^(1/α), p = (1 - E) cos²(2πV), r = √(p + E), λ = (r ± √p) / (2 r)

    with U, V uniform, and ± the sign of the cosine. This is the polar form of Student's t (Bailey
    1994), of which Beta(α, α) is a function (Devroye 1986). So neither the cost nor the compile
    time depends on α. The smaller of λ and 1 - λ is computed without cancellation, as r - √p = E /
    (r + √p), in float32, whatever the dtype of α. The draw is differentiable in α. Below α = 1e-6
    the distribution for α = 1e-6 is drawn, where almost every draw is 0 or 1.

    Args:
      key: a PRNG key.
      alpha: concentration α, from 0 to 1e4; may be traced, and of any shape that broadcasts to
        `shape`. `alpha <= 0` turns mixing off, λ = 1, and so does a traced NaN. Infinity gives the
        limit, λ = ½.
      shape: shape of the result.

    Returns:
      f32[shape] in [0, 1]. For α <= 0.1 many draws are exactly 0 or 1: never take log λ.

    Raises:
      ValueError: If a static `alpha` is negative or NaN.

    Example:
      >>> lam = jm.symmetric_beta(jax.random.key(0), 0.2, (100_000,))
      >>> print(f"{lam.var():.2f}")  # Var λ = 1 / (4 (2α + 1)) = 0.1786
      0.18
    """
    _checks.alpha("symmetric_beta", "alpha", alpha)
    return symmetric(key, alpha, tuple(shape))


def beta(a: ArrayLike, b: ArrayLike) -> Law:
    """Make the distribution λ ~ Beta(a, b) for a ≠ b.

        density ∝ λ^(a-1) (1-λ)^(b-1)

    Beta(α+1, α) with the example's own label alone is the one-label form of mixup. It is the
    quotient of two Gamma variables; for a = b `symmetric_beta` is faster. Neither has a loop, and
    neither adds a collective on a sharded batch.

    Args:
      a, b: the two concentrations, > 0; may be traced. If one of them is not positive, or NaN, λ =
        1. Infinite ones give limits: λ = 1 for a, 0 for b, ½ for both.

    Returns:
      A distribution of λ, for `lam_law=`.

    Raises:
      ValueError: If a static `a` or `b` is not positive.

    Example:
      >>> lam = jm.beta(2.0, 1.0)(jax.random.key(0), (10_000,))
      >>> print(f"{lam.mean():.1f}")  # a / (a + b) = 2/3
      0.7
    """
    _checks.positive("beta", "a", a)
    _checks.positive("beta", "b", b)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        first, second = float32(a, shape), float32(b, shape)
        on = (first > 0) & (second > 0)
        gammas = log_gamma(key, jnp.stack([first, second]))
        drawn = jax.nn.sigmoid(gammas[0] - gammas[1])
        drawn = jnp.where(first == jnp.inf, jnp.where(second == jnp.inf, 0.5, 1.0), drawn)
        drawn = jnp.where((second == jnp.inf) & (first < jnp.inf), 0.0, drawn)
        return jnp.where(on, drawn, 1.0)

    return law


def uniform(low: ArrayLike, high: ArrayLike) -> Law:
    """Make the distribution λ ~ U(low, high).

        density 1 / (high - low) on [low, high)

    U(0, 1) is Beta(1, 1): for that, `alpha=1.0` does the same.

    Args:
      low, high: bounds in [0, 1], low <= high; may be traced; if one is NaN, λ = 1.

    Returns:
      A distribution of λ, for `lam_law=`.

    Raises:
      ValueError: If static bounds are outside [0, 1] or in the wrong order.

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
        start, stop = float32(low, shape), float32(high, shape)
        known = ~(jnp.isnan(start) | jnp.isnan(stop))
        start, stop = jnp.where(known, start, 1.0), jnp.where(known, stop, 1.0)
        return start + (stop - start) * jax.random.uniform(key, shape, jnp.float32)

    return law


def constant(value: ArrayLike) -> Law:
    """Make the distribution that always gives `value`.

        λ = value

    `constant(0.5)` averages every pair. That is heavy mixing, not mixup with α = 0.5; with a mutual
    pairing such as `reverse()` both examples of a pair become the same. `constant(1.0)` turns
    mixing off.

    Args:
      value: the value of λ in [0, 1]; may be traced; NaN gives λ = 1.

    Returns:
      A distribution of λ, for `lam_law=`.

    Raises:
      ValueError: If a static `value` is outside [0, 1].

    Example:
      >>> jm.constant(0.5)(jax.random.key(0), (2,)).tolist()
      [0.5, 0.5]
    """
    _checks.share("constant", "value", value)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return nan_to_one(float32(value, shape))

    return law


def folded_beta(alpha: ArrayLike) -> Law:
    """Make the distribution of Beta(α, α) folded, so that the example itself has the larger weight.

        λ = max(λ', 1 - λ'), λ' ~ Beta(α, α)

    With it a label, an action or a loss can stay the example's own, because most of the mixed
    input is its own: MixMatch (α = 0.75), DivideMix (4), i-Mix (1), mixreg (0.2).

    Args:
      alpha: concentration α, from 0 to 1e4; may be traced; <= 0 or NaN turns mixing off, λ = 1;
        infinity gives λ = ½.

    Returns:
      A distribution of λ, for `lam_law=`, with values in [½, 1].

    Raises:
      ValueError: If a static `alpha` is negative or NaN.

    Example:
      >>> lam = jm.folded_beta(0.75)(jax.random.key(0), (1000,))
      >>> bool((lam >= 0.5).all())
      True

    This follows the code of Berthelot et al. 2019, arXiv:1905.02249.
    """
    _checks.alpha("folded_beta", "alpha", alpha)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        lam = symmetric_beta(key, alpha, shape)
        return jnp.maximum(lam, 1 - lam)

    return law


def affine_uniform(alpha: ArrayLike) -> Law:
    """Make the distribution of the weight w = λ(1-α) + α(1-λ) with λ ~ U(0, 1).

        w = α + λ(1 - 2α)

    This is an affine map of λ, so w is uniform on [min(α, 1-α), max(α, 1-α)], with mean ½ and
    variance (1-2α)²/12. α and 1-α give the same distribution; α = 0 is U(0, 1); at α = ½ λ cancels
    and w is always ½. This α is not the concentration of Beta(α, α): no symmetric Beta gives such a
    distribution, except for α in {0, ½, 1} (Beta(1, 1), the limit of Beta(a, a) for a → ∞,
    Beta(1, 1)).

    Args:
      alpha: α in [0, 1]; may be traced; NaN gives w = 1.

    Returns:
      A distribution of λ, for `lam_law=`.

    Raises:
      ValueError: If a static `alpha` is outside [0, 1].

    Example:
      >>> w = jm.affine_uniform(0.9)(jax.random.key(0), (10_000,))
      >>> print(f"{w.min():.2f} {w.max():.2f}")
      0.10 0.90
      >>> jm.affine_uniform(0.5)(jax.random.key(0), (3,)).tolist()
      [0.5, 0.5, 0.5]
    """
    _checks.share("affine_uniform", "alpha", alpha)

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        a = float32(alpha, shape)
        u = jax.random.uniform(key, shape, jnp.float32)
        known = ~jnp.isnan(a)
        a = jnp.where(known, a, 0.0)
        return jnp.where(known, a + (1 - 2 * a) * u, 1.0)

    return law
