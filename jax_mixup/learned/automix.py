"""AutoMix: a mask from the attention between the features of two examples."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from jax_mixup._draws import Law, law_and_uniforms
from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup._geometry import padded
from jax_mixup.learned._block import MixBlock, positions_of, resized, with_weight
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import check_options


@calls_back
def sample_automix(
    key: PRNGKeyArray,
    block: MixBlock,
    features: Shaped[Array, "b ..."],
    spatial: tuple[int, ...],
    *,
    alpha: ArrayLike = 2.0,
    lam_law: Law | None = None,
    margin: float = 0.08,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw an AutoMix: a mask from attention between the example's and its partner's features.

        m = 1 - σ(up(A V [zₚ, 1 - λ])),  A = softmax(Q [zᵢ, λ] (K [zₚ, 1 - λ])ᵀ / √H)

    where up is a linear resize to the positions of the inputs. Labels are weighted by the λ that
    was drawn, and `mask_loss` pulls the mean of the mask towards it.

    Args:
      key: a PRNG key.
      block: a `MixBlock` for these features.
      features: z, f[B, *positions, C] of the unmixed examples, from a momentum encoder; no gradient
        goes back to them.
      spatial: the sizes of the spatial axes of the inputs, x.shape[1:-1].
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ is drawn for each example, from one alpha or from one for
        each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      margin: if λ is this near to 0 or 1, the mask is m = λ.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask [B, *spatial], which is differentiable with respect to the
      parameters of `block`.

    Raises:
      TypeError: If `pairing` is neither a static pairing nor an index array.
      ValueError: If a static `alpha` is negative, or `spatial` has another rank than the positions
        of the features.

    Example:
      >>> block = learned.MixBlock(8, rngs=nnx.Rngs(0))
      >>> z = jnp.ones((2, 4, 4, 8))
      >>> learned.sample_automix(jax.random.key(0), block, z, (32, 32)).mask.shape
      (2, 32, 32)

    AutoMix, Liu et al. 2022, arXiv:2103.13027. In their code one λ is drawn for the batch, query
    and key have the same weights, and `margin` is used for the mixes of the classifier only.
    """
    positions = positions_of("sample_automix", features, spatial)
    batch = features.shape[0]
    pairing = check_options("sample_automix", "example", pairing, batch=batch, alpha=alpha)
    lam, z, other = _pair(key, features, pairing, alpha, lam_law=lam_law)
    affinity, value = block.affinity(z, other), block.value(other)
    mask = _attended(affinity, value, lam, positions, spatial, margin)
    return Mix(pairing, mask, lam)


@on_any_mesh
def _pair(
    key: PRNGKeyArray,
    features: Shaped[Array, "b ..."],
    pairing: Pairing,
    alpha: ArrayLike,
    *,
    lam_law: Law | None,
) -> tuple[Float[Array, "b"], Float[Array, "b n c"], Float[Array, "b n c"]]:
    """Draw λ, and prepare the features of the examples and of their partners for the block."""
    law, _ = law_and_uniforms(key, lam_law, 0, features.shape[0])
    lam = jax.lax.stop_gradient(law(alpha))
    partners = move_rows(pairing, features)
    return lam, with_weight(features, lam), with_weight(partners, 1 - lam)


@on_any_mesh
def _attended(
    affinity: Float[Array, "b n n"],
    value: Float[Array, "b n 1"],
    lam: Float[Array, "b"],
    positions: tuple[int, ...],
    spatial: tuple[int, ...],
    margin: float,
) -> Float[Array, "b *spatial"]:
    score = resized(jax.nn.softmax(affinity) @ value, positions, spatial)
    near = (lam <= margin) | (lam >= 1 - margin)
    return jnp.where(padded(near, score.ndim), padded(lam, score.ndim), 1 - jax.nn.sigmoid(score))
