"""The network of AutoMix and AdAutoMix, and the preparation of its inputs."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from jax_mixup._geometry import padded


class MixBlock(nnx.Module):
    """Cross-attention between the features of examples to be mixed; λ is one more channel.

        A = softmax(Q [z, λ] (K [z', λ'])ᵀ / √H),  scores A V [·]

    Scores are float32 for features of any dtype.

    Args:
      features: C, the number of channels of the features z, f[B, *positions, C].
      rngs: random numbers for the weights of the three layers, to C / 2, C / 2 and 1 channels. The
        weights start small, like those of the authors.

    Example:
      >>> block = learned.MixBlock(8, rngs=nnx.Rngs(0))
      >>> block.query.kernel.shape, block.value.kernel.shape  # λ is the ninth channel
      ((9, 4), (9, 1))
    """

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        small = nnx.initializers.normal(0.01)
        hidden = max(features // 2, 1)
        self.query = nnx.Linear(features + 1, hidden, kernel_init=small, rngs=rngs)
        self.key = nnx.Linear(features + 1, hidden, kernel_init=small, rngs=rngs)
        self.value = nnx.Linear(features + 1, 1, kernel_init=small, rngs=rngs)

    def affinity(
        self, z: Float[Array, "b n c"], other: Float[Array, "b n c"]
    ) -> Float[Array, "b n n"]:
        """Compute the logits of attention of each position of z to each position of `other`."""
        product = jnp.einsum("bnc,bmc->bnm", self.query(z), self.key(other))
        return product / jnp.sqrt(jnp.float32(self.query.out_features))


def positions_of(function: str, features: Array, spatial: tuple[int, ...]) -> tuple[int, ...]:
    """Return the positions of the features, as many axes as `spatial` has."""
    positions = features.shape[1:-1]
    if not positions or len(positions) != len(spatial):
        raise ValueError(
            f"{function} got features of shape {features.shape} and spatial={tuple(spatial)}; it "
            "needs features [B, *positions, C] from before any pooling, and as many spatial axes "
            "as they have."
        )
    return positions


def with_weight(features: Shaped[Array, "b ..."], lam: Float[Array, "b"]) -> Float[Array, "b n c"]:
    """Flatten positions and add λ as one more channel; no gradient goes back to the features."""
    z = jax.lax.stop_gradient(features).astype(jnp.float32)
    z = z.reshape(z.shape[0], -1, z.shape[-1])
    return jnp.concatenate([z, jnp.broadcast_to(padded(lam, 3), (*z.shape[:2], 1))], axis=-1)


def resized(
    score: Float[Array, "b n 1"], positions: tuple[int, ...], spatial: tuple[int, ...]
) -> Float[Array, "b *spatial"]:
    """Resize a score at each position of the features to the positions of the inputs."""
    batch = score.shape[0]
    return jax.image.resize(score.reshape(batch, *positions), (batch, *spatial), "linear")
