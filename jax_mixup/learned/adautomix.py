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
    """Draw masks for a row and several partners, which together give each position once.

        w = softmax over j of up(Aⱼ V [zⱼ, λⱼ]),  λⱼ = λ'ⱼ / Σ λ',  λ' ~ Beta(α, α)
        Aⱼ = softmax(Σ_{k ≠ j} Q [zⱼ, λⱼ] (K [z_k, λ_k])ᵀ / √H)

    Args:
      key: a PRNG key.
      block, features, spatial, alpha: as in `sample_automix`.
      margin: where the row's own λ is this near to 0 or 1, wⱼ = λⱼ.
      pairings: of the partners; their number is that of the rows mixed, less one.

    Returns:
      A tuple of mixes, laid one over another, that the verbs take: x̃ = Σⱼ wⱼ xⱼ, labels by λ.

    Raises:
      TypeError: for a pairing that is none.
      ValueError: as `sample_automix`, or for no pairings.

    Example:
      >>> block, z = learned.MixBlock(8, rngs=nnx.Rngs(0)), jnp.ones((4, 2, 2, 8))
      >>> draw = jax.jit(lambda key: learned.sample_adautomix(key, block, z, (8, 8)))
      >>> [mix.mask.shape for mix in draw(jax.random.key(0))]
      [(4, 8, 8), (4, 8, 8)]

    AdAutoMix, Qin et al. 2024, arXiv:2312.11954. In their code λ is the batch's, and every row that
    is mixed comes by a permutation.
    """
    name = "sample_adautomix"
    positions = positions_of(name, features, spatial)
    if not pairings:
        raise ValueError(f"{name} got no pairings; it needs one for each partner of a row.")
    batch = features.shape[0]
    pairings = tuple(
        check_options(name, "example", pairing, batch=batch, alpha=alpha) for pairing in pairings
    )
    lams, z = _group(key, features, pairings, alpha)
    logits = [sum(block.affinity(own, other) for other in z if other is not own) for own in z]
    weights = _divided(logits, [block.value(own) for own in z], lams, positions, spatial, margin)
    return _laid(pairings, weights, lams)


@on_any_mesh
def _group(
    key: PRNGKeyArray,
    features: Shaped[Array, "b ..."],
    pairings: tuple[Pairing, ...],
    alpha: ArrayLike,
) -> tuple[Float[Array, "k b"], list[Float[Array, "b n c"]]]:
    """λ of each row and its partners, and what the block reads of them."""
    batch, rows = features.shape[0], 1 + len(pairings)
    law, _ = law_and_uniforms(key, None, 0, rows * batch)
    each = jnp.tile(jnp.asarray(alpha), rows) if jnp.ndim(alpha) else alpha
    drawn = jax.lax.stop_gradient(law(each)).reshape(rows, batch)
    lams = _shares(jnp.concatenate([drawn[:1], 1 - drawn[1:]]))  # off is λ' = 1: the row alone
    z = [features, *(move_rows(pairing, features) for pairing in pairings)]
    return lams, [with_weight(row, lam) for row, lam in zip(z, lams, strict=True)]


@on_any_mesh
def _divided(
    logits: list[Any],
    values: list[Array],
    lams: Float[Array, "k b"],
    positions: tuple[int, ...],
    spatial: tuple[int, ...],
    margin: float,
) -> Float[Array, "k b *spatial"]:
    """How much of each position is each row's."""
    scores = [
        resized(jax.nn.softmax(affinity) @ value, positions, spatial)
        for affinity, value in zip(logits, values, strict=True)
    ]
    share = lams.reshape(*lams.shape, *(1,) * len(spatial))
    near = (share[:1] <= margin) | (share[:1] >= 1 - margin)
    return jnp.where(near, share, jax.nn.softmax(jnp.stack(scores), axis=0))


@on_any_mesh
def _laid(
    pairings: tuple[Pairing, ...], weights: Float[Array, "k *dims"], lams: Float[Array, "k b"]
) -> tuple[Mix, ...]:
    return tuple(
        Mix(pairing, _left(weights, j), _left(lams, j)) for j, pairing in enumerate(pairings, 1)
    )


def _shares(drawn: Float[Array, "k b"]) -> Float[Array, "k b"]:
    """Weights that sum to 1 over the rows; where nothing was drawn, the first one's."""
    total = drawn.sum(axis=0, keepdims=True)
    first = (jnp.arange(drawn.shape[0]) == 0).astype(jnp.float32)[:, None]
    return jnp.where(total > 0, drawn / jnp.where(total > 0, total, 1.0), first)


def _left(weights: Float[Array, "k *dims"], j: int) -> Float[Array, "*dims"]:
    """What layer j leaves of those below it, so that all layers give each row its weight."""
    below = weights[:j].sum(axis=0)
    total = below + weights[j]
    return jnp.where(total > 0, below / jnp.where(total > 0, total, 1.0), 1.0)
