"""Squared distances between examples, in the two ways that rounding asks for."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Shaped


@jax.jit  # eagerly too, so that the B² D differences go into their sums and are never an array
def by_differences(
    x: Float[Array, "b d"], scale: Float[Array, ""] | None = None
) -> Float[Array, "b b"]:
    # By differences, not by ‖a‖² + ‖b‖² - 2ab: that cancels where rows are close, and close rows
    # are the ones asked for. A scale comes after them, for its rounding must not cancel either.
    def from_row(row: Array) -> Array:
        steps = x - row[None, :]
        return jnp.square(steps if scale is None else steps * scale).sum(axis=-1)

    return jax.vmap(from_row)(x)


def by_products(
    rows: Float[Array, "n dims"], others: Float[Array, "m dims"]
) -> Float[Array, "n m"]:
    # As a product of matrices, several times as fast as by differences. The others' mean is taken
    # off, for rows that are near one another and far from zero would cancel.
    middle = others.mean(axis=0, keepdims=True)
    rows, others = rows - middle, others - middle
    products = jnp.matmul(rows, others.T, precision=jax.lax.Precision.HIGHEST)
    squares = jnp.square(rows).sum(axis=1)[:, None] + jnp.square(others).sum(axis=1)[None, :]
    return squares - 2 * products


def whole_rows(
    function: str, name: str, x: Shaped[ArrayLike, "b *dims"]
) -> tuple[Float[Array, "b d"], Bool[Array, "b"]]:
    """The rows, flat and float32, zero where something of a row is missing; and which those are."""
    x = jnp.asarray(x)
    if x.ndim == 0 or not x.size:
        raise ValueError(f"{function} got {name} of shape {x.shape}; it needs (B, ...).")
    flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
    missing = ~jnp.isfinite(flat).all(axis=1)
    return jnp.where(missing[:, None], 0.0, flat), missing


def overflow_scale(x: Float[Array, "b d"]) -> Float[Array, ""]:
    """What to divide by so that squares of differences neither overflow nor vanish: 1 as a rule."""
    most = jnp.abs(x).max()
    usual = (most == 0) | ((most > 1e-15) & (most < 1e15))
    return jnp.where(usual, 1.0, jnp.maximum(most, 1e-37))
