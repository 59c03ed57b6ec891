"""The small network of `experiments.family`, and the extra parts that some methods learn."""

from functools import partial

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers
from experiments.models.cnn import CNN
from jax_mixup import learned

Pictures = Float[Array, "b h w c"]
WIDTH = 8


class Classifier(nnx.Module):
    """A small convolutional network, and the extra parts that some methods learn."""

    def __init__(self, channels: int, *, dropout: float = 0.0, rngs: nnx.Rngs):
        net = partial(CNN, 10, channels=channels, width=WIDTH, rngs=rngs)
        self.net = net(dropout=dropout)
        self.block = learned.MixBlock(4 * WIDTH, rngs=rngs)

    def __call__(
        self,
        x: Pictures,
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: layers.Tap = layers.untapped,
    ) -> Float[Array, "b k"]:
        return self.net(x, train=train, key=key, tap=tap)


class WithPolicy(Classifier):
    """AdaMixUp's region of λ, on an encoder of its own, and a discriminator."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        super().__init__(channels, rngs=rngs)
        encoder = CNN(16, channels=channels, width=4, rngs=rngs)
        self.region = learned.PolicyRegion(encoder, 16, rngs=rngs)
        self.intruder = nnx.Linear(8 * WIDTH, 1, rngs=rngs)
