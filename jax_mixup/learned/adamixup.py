"""AdaMixUp: λ comes from the region that a network allows for each pair."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import check_options


class PolicyRegion(nnx.Module):
    """Predict where λ of a pair may lie, in [k, k + Δ]: a small head on an encoder of two inputs.

        (k, Δ, rest) = softmax(W₂ W₁ f(½ (ξ₁ ⊙ x + ξ₂ ⊙ x_p))),  ξ ~ N(0, 1), cut off at 2

    Args:
      encoder: f, a module or function from inputs [B, ...] to features [B, F].
      features: F, the number of features.
      rngs: random numbers for the weights of the two layers.

    Example:
      >>> region = learned.PolicyRegion(lambda x: x, 3, rngs=nnx.Rngs(0))
      >>> low, width = region(jax.random.key(0), jnp.ones((2, 3)), jnp.zeros((2, 3)))
      >>> low.shape, bool((low + width <= 1).all())
      ((2,), True)
    """

    def __init__(self, encoder: Callable[[Array], Array], features: int, *, rngs: nnx.Rngs):
        small = nnx.initializers.normal(1e-3)
        self.encoder = encoder
        self.hidden = nnx.Linear(features, 100, kernel_init=small, rngs=rngs)
        self.last = nnx.Linear(100, 3, kernel_init=small, rngs=rngs)

    def __call__(
        self, key: PRNGKeyArray, x: Shaped[Array, "b ..."], other: Shaped[Array, "b ..."]
    ) -> tuple[Float[Array, "b"], Float[Array, "b"]]:
        """Return k and Δ of each example."""
        noise = jax.random.truncated_normal(key, -2.0, 2.0, (2, *x.shape), jnp.float32)
        both = (noise[0] * x.astype(jnp.float32) + noise[1] * other.astype(jnp.float32)) / 2
        features = self.encoder(both).astype(jnp.float32)
        parts = jax.nn.softmax(self.last(self.hidden(features)))
        return parts[:, 0], parts[:, 1]


@calls_back
def sample_adamixup(
    key: PRNGKeyArray,
    region: Callable[..., tuple[Array, Array]],
    x: Shaped[Array, "b ..."],
    *,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a mixup whose λ comes from the region that a network allows for each pair.

        m = λᵢ = kᵢ + u Δᵢ,  u ~ U(0, 1)

    Args:
      key: a PRNG key.
      region: a `PolicyRegion`, or any function `(key, x, other) -> (k, Δ)`.
      x: the inputs, f[B, ...].
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a mask [B], which is differentiable with respect to the parameters of `region`.

    Raises:
      TypeError: If `pairing` is neither a static pairing nor an index array.

    Example:
      >>> region = lambda key, x, other: (jnp.full(4, 0.2), jnp.full(4, 0.3))
      >>> lam = learned.sample_adamixup(jax.random.key(0), region, jnp.ones((4, 3))).lam
      >>> bool(((lam >= 0.2) & (lam < 0.5)).all())
      True

    AdaMixUp, Guo et al. 2019, arXiv:1809.02499. Train the region and the classifier together, on
    the loss of mixed and of unmixed examples and on `intrusion_loss`.
    """
    pairing = check_options("sample_adamixup", "example", pairing, batch=x.shape[0])
    key_region, key_lam = jax.random.split(key)
    low, width = region(key_region, x, on_any_mesh(move_rows)(pairing, x))
    lam = _within(key_lam, low, width)
    return Mix(pairing, lam, lam)


@on_any_mesh
def _within(
    key: PRNGKeyArray, low: Float[Array, "b"], width: Float[Array, "b"]
) -> Float[Array, "b"]:
    return low + jax.random.uniform(key, low.shape, jnp.float32) * width
