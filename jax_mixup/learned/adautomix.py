"""AdAutoMix: masks for an example and several partners."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from jax_mixup._draws import law_and_uniforms
from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup.learned._block import MixBlock, positions_of, resized, with_weight
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import roll
from jax_mixup.samplers._options import check_options


@calls_back
def sample_adautomix(
    key: PRNGKeyArray,
    block: MixBlock,
    features: Shaped[Array, "b ..."],
    spatial: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    margin: float = 0.03,
    pairings: tuple[Pairing, ...] = (roll(1), roll(2)),
) -> tuple[Mix, ...]:
    """Draw masks for an example and several partners, whose weights sum to 1 at each position.

        w = softmax over j of up(Aⱼ V [zⱼ, λⱼ]),  λⱼ = λ'ⱼ / Σ λ',  λ' ~ Beta(α, α)
        Aⱼ = softmax(Σ_{k ≠ j} Q [zⱼ, λⱼ] (K [z_k, λ_k])ᵀ / √H)

    Args:
      key: a PRNG key.
      block: a `MixBlock` for these features.
      features: z, f[B, *positions, C] of the unmixed examples, from a momentum encoder; no gradient
        goes back to them.
      spatial: the sizes of the spatial axes of the inputs, x.shape[1:-1].
      alpha: concentration of λ' ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ' are drawn for each example, from one alpha or from one for
        each.
      margin: if the example's own λ is this near to 0 or 1, its weights are wⱼ = λⱼ.
      pairings: one pairing for each partner; one example more is mixed than there are pairings.

    Returns:
      A tuple of mixes, each laid over those before it, which the verbs take: x̃ = Σⱼ wⱼ xⱼ, and
      labels are weighted by λ.

    Raises:
      TypeError: If a pairing is neither a static pairing nor an index array.
      ValueError: If a static `alpha` is negative, `spatial` has another rank than the positions of
        the features, or `pairings` is empty.

    Example:
      >>> block, z = learned.MixBlock(8, rngs=nnx.Rngs(0)), jnp.ones((4, 2, 2, 8))
      >>> draw = jax.jit(lambda key: learned.sample_adautomix(key, block, z, (8, 8)))
      >>> [mix.mask.shape for mix in draw(jax.random.key(0))]
      [(4, 8, 8), (4, 8, 8)]

    AdAutoMix, Qin et al. 2024, arXiv:2312.11954. In their code one λ is drawn for the batch, and
    all examples that are mixed come from permutations.
    """
    name = "sample_adautomix"
    positions = positions_of(name, features, spatial)
    if not pairings:
        raise ValueError(f"{name} got no pairings; it needs one for each partner of an example.")
    batch = features.shape[0]
    pairings = tuple(
        check_options(name, "example", pairing, batch=batch, alpha=alpha) for pairing in pairings
    )
    lams, z = _group(key, features, pairings, alpha)
    logits = [sum(block.affinity(own, other) for other in z if other is not own) for own in z]
    values = [block.value(own) for own in z]
    weights = _position_weights(logits, values, lams, positions, spatial, margin)
    return _layers(pairings, weights, lams)


@on_any_mesh
def _group(
    key: PRNGKeyArray,
    features: Shaped[Array, "b ..."],
    pairings: tuple[Pairing, ...],
    alpha: ArrayLike,
) -> tuple[Float[Array, "k b"], list[Float[Array, "b n c"]]]:
    """Draw λ of each example and its partners, and prepare their features for the block."""
    batch, members = features.shape[0], 1 + len(pairings)
    law, _ = law_and_uniforms(key, None, 0, members * batch)
    each = jnp.tile(jnp.asarray(alpha), members) if jnp.ndim(alpha) else alpha
    drawn = jax.lax.stop_gradient(law(each)).reshape(members, batch)
    # If mixing is off, λ' of the example is 1, and λ' of its partners is 0.
    lams = _normalised(jnp.concatenate([drawn[:1], 1 - drawn[1:]]))
    z = [features, *(move_rows(pairing, features) for pairing in pairings)]
    return lams, [with_weight(part, lam) for part, lam in zip(z, lams, strict=True)]


@on_any_mesh
def _position_weights(
    logits: list[Any],
    values: list[Array],
    lams: Float[Array, "k b"],
    positions: tuple[int, ...],
    spatial: tuple[int, ...],
    margin: float,
) -> Float[Array, "k b *spatial"]:
    """Compute the weight of each example at each position."""
    scores = [
        resized(jax.nn.softmax(affinity) @ value, positions, spatial)
        for affinity, value in zip(logits, values, strict=True)
    ]
    constant = lams.reshape(*lams.shape, *(1,) * len(spatial))
    near = (constant[:1] <= margin) | (constant[:1] >= 1 - margin)
    return jnp.where(near, constant, jax.nn.softmax(jnp.stack(scores), axis=0))


@on_any_mesh
def _layers(
    pairings: tuple[Pairing, ...], weights: Float[Array, "k *dims"], lams: Float[Array, "k b"]
) -> tuple[Mix, ...]:
    """Make the mixes of all partners, each laid over those before it."""
    return tuple(
        Mix(pairing, _below(weights, j), _below(lams, j)) for j, pairing in enumerate(pairings, 1)
    )


def _normalised(drawn: Float[Array, "k b"]) -> Float[Array, "k b"]:
    """Divide weights by their sum; where that is 0, the first example has all of the weight."""
    total = drawn.sum(axis=0, keepdims=True)
    first = (jnp.arange(drawn.shape[0]) == 0).astype(jnp.float32)[:, None]
    return jnp.where(total > 0, drawn / jnp.where(total > 0, total, 1.0), first)


def _below(weights: Float[Array, "k *dims"], j: int) -> Float[Array, "*dims"]:
    """Compute what layer j leaves of those below it, so that each example gets its weight."""
    below = weights[:j].sum(axis=0)
    total = below + weights[j]
    return jnp.where(total > 0, below / jnp.where(total > 0, total, 1.0), 1.0)
