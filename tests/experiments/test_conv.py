"""Convolutions as products of matrices: the same numbers as XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import models
from experiments.models.conv import conv_general_dilated

SHAPES = [(32, 3, 5, 3, 2), (16, 4, 5, 3, 1), (16, 4, 5, 3, 2), (16, 4, 5, 1, 2), (7, 5, 6, 3, 2)]
SHAPES += [(7, 5, 6, 3, 1), (7, 5, 6, 1, 1), (1, 2, 3, 3, 1)]


@pytest.mark.parametrize(("side", "inputs", "outputs", "size", "stride"), SHAPES)
def test_values_and_gradients(side, inputs, outputs, size, stride):
    keys = jax.random.split(jax.random.key(side + size + stride))
    x = jax.random.normal(keys[0], (2, side, side + 2, inputs))
    kernel = jax.random.normal(keys[1], (size, size, inputs, outputs))
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    given = (stride, stride), ((size // 2, size // 2),) * 2

    def of(convolve):
        def loss(x, kernel):
            out = convolve(x, kernel, *given, **options)
            return jnp.sin(out).sum(), out

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(x, kernel)

    found, wanted = of(conv_general_dilated), of(jax.lax.conv_general_dilated)
    # Sums of up to 45 products in another order.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, wanted)


def test_no_convolution_is_left_on_cpus():
    make = models.make("preact8", num_classes=10)
    from flax import nnx

    graph, params, stats = nnx.split(make(nnx.Rngs(0)), nnx.Param, ...)
    call = lambda params, x: nnx.merge(graph, params, stats, copy=True)(x, train=True).sum()
    text = jax.jit(jax.grad(call)).lower(params, jnp.ones((2, 32, 32, 3))).compile().as_text()
    assert "convolution(" not in text and " dot(" in text
    assert sum(a.size for a in jax.tree.leaves(params)) == 308_266
