"""Losses that train the networks that choose masks and mixing regions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _geometry
from jax_mixup._entry import public
from jax_mixup.apply.losses import pair_loss
from jax_mixup.mix import Mix, Mixes


@public
def intrusion_loss(real: Shaped[ArrayLike, "n"], mixed: Shaped[ArrayLike, "m"]) -> Float[Array, ""]:
    """Distinguish mixed inputs from real ones: the mixing region must keep the two apart.

        L = mean over all inputs of -log σ(d(x)) for real ones, -log (1 - σ(d(x̃))) for mixed ones

    Both the discriminator d and the region minimise it: a mixed input that looks like a real one
    would have a wrong label.

    Args:
      real, mixed: logits d of real inputs (those that were mixed, and others), and of blended ones.

    Returns:
      f32[], the mean.

    Example:
      >>> print(f"{jm.intrusion_loss(jnp.zeros(4), jnp.zeros(2)):.3f} = log 2")
      0.693 = log 2

    Guo et al. 2019, arXiv:1809.02499, whose discriminator is a second head on the classifier's
    features. It has two logits and a softmax there, and one logit and σ here, which is the same
    family of functions.
    """
    real, mixed = (jnp.asarray(x).astype(jnp.float32) for x in (real, mixed))
    total = jax.nn.softplus(-real).sum() + jax.nn.softplus(mixed).sum()
    return total / (real.size + mixed.size)


@public
def mask_loss(mix: Mix, *, margin: float = 0.1) -> Float[Array, ""]:
    """Pull a mask's mean towards its label weight, and leave it alone once it is near.

        L = mean over examples of max(|mean mᵢ - λᵢ| - margin, 0)

    Args:
      mix: a mix of B examples, as `sample_automix` draws.
      margin: the largest difference that costs nothing.

    Returns:
      f32[]; the authors weigh it by 0.1.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.full((2, 4), 0.5), lam=jnp.array([0.5, 0.9]))
      >>> print(f"{jm.mask_loss(mix):.2f}")
      0.15

    Liu et al. 2022, arXiv:2103.13027. Their code takes one mean over the batch, which has one λ.
    """
    off = jnp.abs(_geometry.mean(mix.mask) - mix.lam)
    return jnp.maximum(off - margin, 0.0).mean()


@public
def adautomix_loss(
    mixes: Mixes,
    losses: Float[Array, "b"],
    mixed: Float[Array, "b k"],
    clean: Float[Array, "b k"],
    *,
    beta: float = 0.3,
) -> Float[Array, ""]:
    """Train a mix block against the classifier: it makes mixes that are hard for its teacher.

        L = -β mean ℓ + (1 - β) mean Σⱼ λⱼ cos(f(x̃), f(xⱼ))

    Args:
      mixes: mixes of B examples, as `sample_adautomix` draws.
      losses: ℓ, the teacher's losses for the blended examples, as `pair_loss` returns them.
      mixed, clean: the teacher's logits f for the blended and for the unmixed examples.
      beta: β.

    Returns:
      f32[], the mean.

    Example:
      >>> mix, o = jm.Mix(jm.reverse(), jnp.ones(1), lam=jnp.ones(2)), jnp.eye(2)
      >>> print(f"{jm.adautomix_loss(mix, jnp.ones(2), o, o):.1f} = 0.7 - 0.3")
      0.4 = 0.7 - 0.3

    Qin et al. 2024, arXiv:2312.11954, with an exponential moving average of the classifier as the
    teacher. Their code takes this loss at every second step, and +mean ℓ alone at the others.
    """

    def cosine(a: Array, b: Array) -> Array:
        size = jnp.square(a).sum(axis=-1) * jnp.square(b).sum(axis=-1)
        return (a * b).sum(axis=-1) * jax.lax.rsqrt(jnp.maximum(size, 1e-16))

    alike = pair_loss(mixes, cosine, mixed.astype(jnp.float32), clean.astype(jnp.float32))
    return -beta * losses.astype(jnp.float32).mean() + (1 - beta) * alike.mean()
