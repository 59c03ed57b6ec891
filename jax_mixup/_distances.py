"""Squared distances between examples, computed in two ways that differ in rounding and speed."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Shaped


@jax.jit  # also for eager calls: so the B² D differences go into sums and never fill an array
def by_differences(
    x: Float[Array, "b d"], scale: Float[Array, ""] | None = None
) -> Float[Array, "b b"]:
    # By differences, not by ‖a‖² + ‖b‖² - 2ab, which cancels for close examples, and close ones are
    # what callers look for. The scale is applied to differences, so that its rounding error cannot
    # be large next to them.
    def from_row(row: Array) -> Array:
        steps = x - row[None, :]
        return jnp.square(steps if scale is None else steps * scale).sum(axis=-1)

    return jax.vmap(from_row)(x)


def by_products(
    rows: Float[Array, "n dims"], others: Float[Array, "m dims"]
) -> Float[Array, "n m"]:
    # As a product of matrices, several times as fast as by differences. The mean of `others` is
    # subtracted first, because rows that are near one another and far from zero would cancel.
    middle = others.mean(axis=0, keepdims=True)
    rows, others = rows - middle, others - middle
    products = jnp.matmul(rows, others.T, precision=jax.lax.Precision.HIGHEST)
    squares = jnp.square(rows).sum(axis=1)[:, None] + jnp.square(others).sum(axis=1)[None, :]
    return squares - 2 * products


def whole_rows(
    function: str, name: str, x: Shaped[ArrayLike, "b *dims"]
) -> tuple[Float[Array, "b d"], Bool[Array, "b"]]:
    """Return examples flat in float32, zero where one has NaN or infinity; and which those are."""
    x = jnp.asarray(x)
    if x.ndim == 0 or not x.size:
        raise ValueError(f"{function} got {name} of shape {x.shape}; it needs (B, ...).")
    flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
    missing = ~jnp.isfinite(flat).all(axis=1)
    return jnp.where(missing[:, None], 0.0, flat), missing


def overflow_scale(x: Float[Array, "b d"]) -> Float[Array, ""]:
    """What to divide by so that squared differences neither overflow nor vanish; usually 1."""
    most = jnp.abs(x).max()
    usual = (most == 0) | ((most > 1e-15) & (most < 1e15))
    return jnp.where(usual, 1.0, jnp.maximum(most, 1e-37))
