"""A small convolutional generator and discriminator, for pictures of 8 x 8."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers
from experiments.models.cnn import Layer


class Generator(nnx.Module):
    """Noise to 2 x 2, twice doubled by repetition and convolved; values in [0, 1].

    After Radford et al. 2016 (arXiv:1511.06434): BatchNorm and ReLU. Convolutions are `cnn.Layer`'s
    matrix products, as quick vmapped over seeds.
    """

    def __init__(self, latent: int, *, width: int = 16, rngs: nnx.Rngs):
        self.first = nnx.Linear(latent, 4 * 4 * width, rngs=rngs)
        self.norm = layers.batch_norm(4 * width, rngs=rngs)
        sizes = (4 * width, 2 * width, width)
        self.layers = nnx.List(
            Layer(sizes[i], sizes[i + 1], 1, dtype=jnp.float32, rngs=rngs) for i in range(2)
        )
        self.last = nnx.Linear(width, 1, rngs=rngs)

    def __call__(
        self, z: Float[Array, "b z"], *, train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "b 8 8 1"]:
        """`key` is not used: all that is random is in z."""
        x = self.first(z).reshape(len(z), 2, 2, -1)
        x = nnx.relu(layers.normed(self.norm, x, train))
        for layer in self.layers:
            x = layer(x.repeat(2, axis=1).repeat(2, axis=2), train)
        return jax.nn.sigmoid(self.last(x))


class Discriminator(nnx.Module):
    """Patches of 2 x 2, twice, by matrix products and leaky ReLU; then all of it to one logit.

    There is no BatchNorm: with it real and generated examples would influence each other, and R1's
    gradient for one example would depend on all.
    """

    def __init__(self, *, width: int = 16, rngs: nnx.Rngs):
        self.first = nnx.Linear(4, 2 * width, rngs=rngs)
        self.second = nnx.Linear(8 * width, 4 * width, rngs=rngs)
        self.hidden = nnx.Linear(16 * width, 4 * width, rngs=rngs)
        self.last = nnx.Linear(4 * width, 1, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b 8 8 1"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "b 1"]:
        """The logit of being real; nothing here depends on `train` or `key`."""
        x = jax.nn.leaky_relu(self.first(_patches(x)), 0.2)
        x = jax.nn.leaky_relu(self.second(_patches(x)), 0.2)
        x = jax.nn.leaky_relu(self.hidden(x.reshape(len(x), -1)), 0.2)
        return self.last(x)


def _patches(x: Float[Array, "b h w c"]) -> Float[Array, "b i j p"]:
    """The values of each 2 x 2 square at one position."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).swapaxes(2, 3).reshape(b, h // 2, w // 2, 4 * c)
