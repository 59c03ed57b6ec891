"""Apply a mix to hidden features: at one of several layers, with noise, or aligned."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, partner_rows
from jax_mixup._distances import by_products
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup.apply.inputs import blend
from jax_mixup.mix import Mix, Mixes
from jax_mixup.optimal_transport import sinkhorn
from jax_mixup.pairings.static import partner_index


@public
def blend_at(
    mix: Mixes, h: PyTree, *, layer: ArrayLike, at: int, other: PyTree | None = None
) -> PyTree:
    """Blend the features of one layer, which may be drawn again at each step.

        h'ᵢ = mᵢ ⊙ hᵢ + (1 - mᵢ) ⊙ hₚ if layer = at, else hᵢ

    Call it after every layer that may be mixed, with that layer's number. `layer` may be traced, so
    that one compiled step works for all layers; XLA fuses the choice with the blend.

    Args:
      mix: a mix of B examples, or a tuple of mixes. A mask without positions, such as that of
        mixup, fits features of any shape. A mask with positions must have those of h: bring it
        there by `resize_mix(mix, h.shape[1:-1])`. Any other mask raises an error.
      h: float arrays [B, *spatial, ...], or a PyTree of them.
      layer: the number of the layer that is mixed at this step, an integer. If no call has this
        number as `at`, no features are mixed, although labels still are: draw among the numbers
        that calls have.
      at: the number of this layer; by convention 0 is the input.
      other: features to blend with in place of the partners' features: those of a second batch at
        this layer, of the same structure and shapes as h.

    Returns:
      Arrays of the shapes and dtypes of h.

    Raises:
      TypeError: If `h` is not floating point.
      ValueError: If h has another B, or if the mask does not fit h.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.75]), lam=jnp.full(2, 0.75))
      >>> @jax.jit
      ... def model(x, layer):
      ...     h = jm.blend_at(mix, x, layer=layer, at=0)
      ...     return jm.blend_at(mix, h**2, layer=layer, at=1)
      >>> [model(jnp.array([0.0, 4.0]), layer).tolist() for layer in (0, 1)]
      [[1.0, 9.0], [4.0, 12.0]]

    Manifold mixup, Verma et al. 2019, arXiv:1806.05236: λ ~ Beta(2, 2) for each batch, and the
    layer uniform among the input and the first two stages of a PreAct-ResNet-18:
    `layer = jax.random.randint(key, (), 0, 3)`. Their code branches in Python instead.
    """
    here = jnp.asarray(layer) == at
    mixed = blend(mix, h, other=other)
    return jax.tree.map(lambda mixed, h: jnp.where(here, mixed, h), mixed, h)


@public
def add_noise(
    key: PRNGKeyArray,
    x: Shaped[ArrayLike, "*dims"],
    *,
    additive: ArrayLike = 0.4,
    multiplicative: ArrayLike = 0.2,
) -> Shaped[Array, "*dims"]:
    """Multiply by noise and add noise, of a random strength, after a blend of inputs or features.

        x' = (1 + σ_m b₁ v) ⊙ x + σ_a b₂ ξ,  b ~ Beta(2, 5), v ~ U(-1, 1), ξ ~ N(0, 1)

    One b₁ and one b₂ are drawn for all of x, and one v and one ξ for each number in it.

    Args:
      key: a PRNG key.
      x: an array of any shape and float dtype.
      additive, multiplicative: the noise levels σ_a and σ_m; may be traced; 0 is no noise. For a
        layer that is drawn at each step: `additive=jnp.where(layer == 1, 0.4, 0.0)`.

    Returns:
      An array of the same shape and dtype.

    Raises:
      TypeError: If `x` is not floating point.
      ValueError: If a static level is negative.

    Example:
      >>> x = jm.add_noise(jax.random.key(0), jnp.ones((4, 8)), additive=0.0)
      >>> bool((abs(x - 1) <= 0.2).all()), bool((x != 1).any())
      (True, True)

    Noisy feature mixup, Lim et al. 2022, arXiv:2110.02180: λ ~ Beta(1, 1), `blend_at` the input or
    one of three stages, and this noise there. The default levels are those of their CIFAR runs.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"add_noise got x of dtype {x.dtype}; it needs floats: cast or blend first."
        )
    for name, value in (("additive", additive), ("multiplicative", multiplicative)):
        number = _checks.static_number(value)
        if number is not None and not number >= 0:
            raise ValueError(
                f"add_noise got {name}={number}; it needs a level >= 0, where 0 is no noise."
            )
    key_strength, key_scale, key_add = jax.random.split(key, 3)
    # The second smallest of six uniform numbers is distributed as Beta(2, 5): no rejection loop.
    strength = jnp.sort(jax.random.uniform(key_strength, (2, 6), jnp.float32), axis=1)[:, 1]
    scale = jnp.asarray(multiplicative).astype(jnp.float32) * strength[0]
    shift = jnp.asarray(additive).astype(jnp.float32) * strength[1]
    v = jax.random.uniform(key_scale, x.shape, jnp.float32, -1.0, 1.0)
    xi = jax.random.normal(key_add, x.shape, jnp.float32)
    return ((1 + scale * v) * x.astype(jnp.float32) + shift * xi).astype(x.dtype)


@public
def align_partner(
    mix: Mix,
    h: Shaped[ArrayLike, "b *dims"],
    *,
    other: Shaped[ArrayLike, "b *dims"] | None = None,
    epsilon: ArrayLike = 0.1,
    iterations: int = 100,
) -> Float[Array, "b *dims"]:
    """Move the partner's features to where the example has similar ones, as the `other` of `blend`.

        oᵢ(s) = n Σ_t P(s, t) hₚ(t),  P the `sinkhorn` plan of C(s, t) = ‖hᵢ(s) - hₚ(t)‖²

    The example keeps its layout, and each of its n positions is blended with an average of the
    partner's positions. Gradients go through the features, and not through the plan P.

    Args:
      mix: a mix of B examples, as `sample_mixup` draws.
      h: features of one of the last layers, f[B, *spatial, C], where positions are few: the plan
        has n² entries for each example.
      other: features to move in place of the partners' features, for example those of a second
        batch; of the same shape and dtype as h.
      epsilon: ε > 0 of `sinkhorn`, in units of the squared distance between features; may be
        traced. The smaller, the sharper the plan and the more steps it takes.
      iterations: how many steps `sinkhorn` takes, each over all columns and all rows of the plan.

    Returns:
      What to blend with in place of the partners, of the shape and dtype of h:
      `jm.blend(mix, h, other=...)`. An example that is its own partner gets itself.

    Raises:
      TypeError: If `h` is not floating point.
      ValueError: If h has another B, or no positions or channels; if a static `epsilon` is not
        positive; if `iterations` is less than 1.

    Example:
      >>> h = jnp.array([[[9.0], [0.0]], [[1.0], [8.0]]])  # two examples of two positions
      >>> mix = jm.sample_mixup(jax.random.key(0), (2,), lam_law=jm.constant(0.5))
      >>> other = jm.align_partner(mix, h)
      >>> jm.blend(mix, h, other=other).squeeze().tolist()
      [[8.5, 0.5], [0.5, 8.5]]

    AlignMix, Venkataramanan et al. 2022, arXiv:2103.15375, who draw λ ~ Beta(2, 2). Their code
    tosses a coin for which of the two keeps its layout. This would change no distribution here: the
    example moved onto its partner, at λ, is what the partner's own result is at 1 - λ. They stop
    Sinkhorn early, and at half of the steps mix inputs instead.
    """
    h = checked_rows("align_partner", mix, "h", h)
    if not jnp.issubdtype(h.dtype, jnp.floating):
        raise TypeError(f"align_partner got h of dtype {h.dtype}; it needs floats: cast it first.")
    if h.ndim < 3:
        raise ValueError(
            f"align_partner got h of shape {h.shape}; it needs positions and channels, "
            "(B, *spatial, C): without positions blend the partners as they are."
        )
    own = h.reshape(h.shape[0], -1, h.shape[-1]).astype(jnp.float32)
    rest = partner_rows("align_partner", mix, "h", h, other)
    rest = rest.reshape(own.shape).astype(jnp.float32)
    cost = jax.lax.stop_gradient(jax.vmap(by_products)(own, rest))
    plan = own.shape[1] * sinkhorn(cost, epsilon=epsilon, iterations=iterations)
    # HIGHEST: TPUs would otherwise multiply in bfloat16.
    moved = jnp.matmul(plan, rest, precision=jax.lax.Precision.HIGHEST).reshape(h.shape)
    if other is not None:
        return moved.astype(h.dtype)
    itself = jnp.arange(h.shape[0], dtype=jnp.int32)
    alone = partner_index(mix.partner, h.shape[0]) == itself
    return jnp.where(padded(alone, h.ndim), h, moved.astype(h.dtype))
