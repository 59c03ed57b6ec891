"""Mixes that are learned: networks draw them, and a loss of their own trains these networks.

Needs Flax NNX, `pip install jax-mixup[learned]`; not imported by the package. Networks are modules,
the rest is functions. A sampler's `Mix` has a gradient by the network's parameters. The classifier
learns from `jax.lax.stop_gradient(mix)`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup.laws import Law, law_and_uniforms
from jax_mixup.mix import Mix, padded
from jax_mixup.pairing import Pairing, move_rows, reverse, roll
from jax_mixup.samplers import check_options

__all__ = [
    "MixBlock",
    "PolicyRegion",
    "sample_adamixup",
    "sample_adautomix",
    "sample_automix",
]


class PolicyRegion(nnx.Module):
    """Where λ of a pair may lie, λ ~ U(k, k + Δ): a small head on an encoder of two inputs.

        (k, Δ, rest) = softmax(W₂ W₁ f(½ (ξ₁ ⊙ x + ξ₂ ⊙ x_p))),  ξ ~ N(0, 1), cut off at 2

    Args:
      encoder: f, a module or function from inputs [B, ...] to features [B, F].
      features: F.
      rngs: of the two layers.

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
        """k and Δ of each row."""
        noise = jax.random.truncated_normal(key, -2.0, 2.0, (2, *x.shape), jnp.float32)
        both = (noise[0] * x.astype(jnp.float32) + noise[1] * other.astype(jnp.float32)) / 2
        features = self.encoder(both).astype(jnp.float32)
        shares = jax.nn.softmax(self.last(self.hidden(features)))
        return shares[:, 0], shares[:, 1]


class MixBlock(nnx.Module):
    """Cross-attention between the features of rows that will be mixed; λ is one more channel.

        A = softmax(Q [z, λ] (K [z', λ'])ᵀ / √H),  scores A V [·], f32 whatever the features are

    Args:
      features: C, channels of the features z, f[B, *positions, C].
      rngs: of the three layers, to C / 2, C / 2 and 1 channels. They start small, as the authors'.

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
        """The logits of attention, each position of z to each of the other row's."""
        product = jnp.einsum("bnc,bmc->bnm", self.query(z), self.key(other))
        return product / jnp.sqrt(jnp.float32(self.query.out_features))


@calls_back
def sample_adamixup(
    key: PRNGKeyArray,
    region: Callable[..., tuple[Array, Array]],
    x: Shaped[Array, "b ..."],
    *,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a mixup whose λ comes from the region that a network allows each pair.

        m = λᵢ = kᵢ + u Δᵢ,  u ~ U(0, 1)

    Args:
      key: a PRNG key.
      region: a `PolicyRegion`, or any function `(key, x, other) -> (k, Δ)`.
      x: the inputs, f[B, ...].
      pairing: a static pairing, or an index array.

    Returns:
      A mix with a mask [B], differentiable in the region's parameters.

    Raises:
      TypeError: for a pairing that is none.

    Example:
      >>> region = lambda key, x, other: (jnp.full(4, 0.2), jnp.full(4, 0.3))
      >>> lam = learned.sample_adamixup(jax.random.key(0), region, jnp.ones((4, 3))).lam
      >>> bool(((lam >= 0.2) & (lam < 0.5)).all())
      True

    AdaMixUp, Guo et al. 2019, arXiv:1809.02499. Train the region and the classifier together, on
    the loss of mixed and of clean rows and on `intrusion_loss`.
    """
    pairing = check_options("sample_adamixup", "example", pairing, batch=x.shape[0])
    key_region, key_lam = jax.random.split(key)
    low, width = region(key_region, x, on_any_mesh(move_rows)(pairing, x))
    lam = _within(key_lam, low, width)
    return Mix(pairing, lam, lam)


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
    """Draw an AutoMix: a mask from attention between a row's features and its partner's.

        m = 1 - σ(up(A V [zₚ, 1 - λ])),  A = softmax(Q [zᵢ, λ] (K [zₚ, 1 - λ])ᵀ / √H)

    with up a linear resize to the input's positions. Labels weigh by the λ that was drawn:
    `mask_loss` pulls the mask's mean to it.

    Args:
      key: a PRNG key.
      block: a `MixBlock` for these features.
      features: z, f[B, *positions, C] of the unmixed rows, from a momentum encoder; no gradient
        goes back to them.
      spatial: the positions of the inputs, x.shape[1:-1].
      alpha, lam_law: see `samplers`; λ is drawn for each row.
      margin: λ this near to 0 or 1 makes m = λ.
      pairing: a static pairing, or an index array.

    Returns:
      A mix with an f32 mask [B, *spatial], differentiable in the block's parameters.

    Raises:
      TypeError: for a pairing that is none.
      ValueError: for a static negative `alpha`, or `spatial` of another rank than the features'.

    Example:
      >>> block = learned.MixBlock(8, rngs=nnx.Rngs(0))
      >>> z = jnp.ones((2, 4, 4, 8))
      >>> learned.sample_automix(jax.random.key(0), block, z, (32, 32)).mask.shape
      (2, 32, 32)

    AutoMix, Liu et al. 2022, arXiv:2103.13027. In their code one λ serves a batch, query and key
    share weights, and `margin` holds for the classifier's mixes only.
    """
    positions = _positions("sample_automix", features, spatial)
    batch = features.shape[0]
    pairing = check_options("sample_automix", "example", pairing, batch=batch, alpha=alpha)
    lam, z, other = _pair(key, features, pairing, alpha, lam_law=lam_law)
    affinity, value = block.affinity(z, other), block.value(other)
    mask = _attended(affinity, value, lam, positions, spatial, margin)
    return Mix(pairing, mask, lam)


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
    positions = _positions(name, features, spatial)
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
def _within(
    key: PRNGKeyArray, low: Float[Array, "b"], width: Float[Array, "b"]
) -> Float[Array, "b"]:
    return low + jax.random.uniform(key, low.shape, jnp.float32) * width


@on_any_mesh
def _pair(
    key: PRNGKeyArray,
    features: Shaped[Array, "b ..."],
    pairing: Pairing,
    alpha: ArrayLike,
    *,
    lam_law: Law | None,
) -> tuple[Float[Array, "b"], Float[Array, "b n c"], Float[Array, "b n c"]]:
    """λ, and what the block reads of the row and of its partner."""
    law, _ = law_and_uniforms(key, lam_law, 0, features.shape[0])
    lam = jax.lax.stop_gradient(law(alpha))
    partners = move_rows(pairing, features)
    return lam, _with_share(features, lam), _with_share(partners, 1 - lam)


@on_any_mesh
def _attended(
    affinity: Float[Array, "b n n"],
    value: Float[Array, "b n 1"],
    lam: Float[Array, "b"],
    positions: tuple[int, ...],
    spatial: tuple[int, ...],
    margin: float,
) -> Float[Array, "b *spatial"]:
    score = _resized(jax.nn.softmax(affinity) @ value, positions, spatial)
    near = (lam <= margin) | (lam >= 1 - margin)
    return jnp.where(padded(near, score.ndim), padded(lam, score.ndim), 1 - jax.nn.sigmoid(score))


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
    return lams, [_with_share(row, lam) for row, lam in zip(z, lams, strict=True)]


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
        _resized(jax.nn.softmax(affinity) @ value, positions, spatial)
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


def _positions(function: str, features: Array, spatial: tuple[int, ...]) -> tuple[int, ...]:
    positions = features.shape[1:-1]
    if not positions or len(positions) != len(spatial):
        raise ValueError(
            f"{function} got features of shape {features.shape} and spatial={tuple(spatial)}; it "
            "needs features [B, *positions, C] from before any pooling, and as many spatial axes."
        )
    return positions


def _with_share(features: Shaped[Array, "b ..."], lam: Float[Array, "b"]) -> Float[Array, "b n c"]:
    """Flat positions, λ as one more channel; nothing learns through them."""
    z = jax.lax.stop_gradient(features).astype(jnp.float32)
    z = z.reshape(z.shape[0], -1, z.shape[-1])
    return jnp.concatenate([z, jnp.broadcast_to(padded(lam, 3), (*z.shape[:2], 1))], axis=-1)


def _resized(
    score: Float[Array, "b n 1"], positions: tuple[int, ...], spatial: tuple[int, ...]
) -> Float[Array, "b *spatial"]:
    batch = score.shape[0]
    return jax.image.resize(score.reshape(batch, *positions), (batch, *spatial), "linear")


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
