"""Saliency and optimal transport."""

import jax.numpy as jnp

import jax_mixup as jm
from tests.library.calls.base import Call

SALIENCY = [
    Call(
        "gradient_saliency",
        lambda key, images: jm.gradient_saliency(lambda x: (x * x * x).sum((1, 2, 3)), images),
    ),
    Call(
        "gradient_saliency, blur",
        lambda key, images: jm.gradient_saliency(lambda x: jnp.sin(x).sum(), images, blur=1.0),
    ),
    Call("spectral_residual", lambda key, images: jm.spectral_residual(images), atol=1e-4),
    Call(
        "spectral_residual, smaller",
        lambda key, pixels: jm.spectral_residual(pixels, size=2, blur=0.0),
        atol=1e-4,
    ),
    Call("sinkhorn", lambda key, saliency: jm.sinkhorn(saliency, iterations=5)),
    Call("assign", lambda key, square: jm.assign(square.reshape(8, 2, 4), iterations=9)),
    Call(
        "assign, traced",
        lambda key, saliency, hard, share: jm.assign(
            jnp.where(hard, saliency, jnp.inf), epsilon=share, iterations=20
        ),
    ),
    Call(
        "sinkhorn, traced",
        lambda key, soft, share: jm.sinkhorn(soft, epsilon=share, iterations=5),
    ),
]
