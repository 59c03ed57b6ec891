"""Convolutions as products of matrices, which are faster on CPUs than XLA's own.

Inside of a loop, where a train step is, XLA's convolution uses one thread. One product of the three
columns next to one another with all three rows of the kernel at once moves fewer bytes than nine
shifts next to one another (im2col).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def conv_general_dilated(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "n n c d"],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "b _h _w d"]:
    """`jax.lax.conv_general_dilated` for kernels of 1 or 3 that keep the size but for a stride.

    Args:
      x: features.
      kernel: weights, 1 x 1 or 3 x 3.
      window_strides: the same stride twice.
      padding: (n // 2, n // 2) twice.
      options: what else `jax.lax.conv_general_dilated` gets, on other devices than CPUs.
    """
    (n, _, c, d), (stride, _) = kernel.shape, window_strides

    def products(x: Array, kernel: Array) -> Array:
        if n == 1:
            return _product(x[:, ::stride, ::stride], kernel[0, 0])
        width = x.shape[2]
        across = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
        parts = [across[:, :, j : j + width : stride] for j in range(n)]
        columns = jnp.concatenate(parts, axis=-1)  # each row's three neighbours across
        rows = kernel.reshape(n, n * c, d)
        if stride == 1:
            # One product for the three rows of the kernel, whose results then move and add up.
            out = _product(columns, rows.transpose(1, 0, 2).reshape(n * c, n * d))
            out = jnp.pad(out, ((0, 0), (1, 1), (0, 0), (0, 0)))
            parts = [out[:, i : i + x.shape[1], :, i * d : (i + 1) * d] for i in range(n)]
            return parts[0] + parts[1] + parts[2]
        columns = jnp.pad(columns, ((0, 0), (1, 1), (0, 0), (0, 0)))
        taken = [columns[:, i : i + x.shape[1] : stride] for i in range(n)]
        parts = [_product(part, row) for part, row in zip(taken, rows, strict=True)]
        return parts[0] + parts[1] + parts[2]

    def whole(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, window_strides, padding, **options)

    return jax.lax.platform_dependent(x, kernel, cpu=products, default=whole)


def _product(x: Float[Array, "b h w c"], weights: Float[Array, "c d"]) -> Float[Array, "b h w d"]:
    return (x.reshape(-1, x.shape[-1]) @ weights).reshape(*x.shape[:3], -1)
