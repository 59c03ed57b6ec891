"""Verbs for hidden features: where in a model to mix, noise, moments; and mixing at test time.

A model takes part by calling a function of the caller's after its layers, say `tap(i, h)`. It can
be any function of arrays, whichever library wrote it.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._entry import calls_back, on_any_mesh, public
from jax_mixup.mix import Mix, Mixes, blend, layers_of
from jax_mixup.pairing import reverse


@public
def blend_at(
    mix: Mixes, h: PyTree, *, layer: ArrayLike, at: int, other: PyTree | None = None
) -> PyTree:
    """Blend the features of one layer, which may be drawn anew at each step.

        h'ᵢ = mᵢ ⊙ hᵢ + (1 - mᵢ) ⊙ hₚ if layer = at, else hᵢ

    Called after every layer that is eligible, with that layer's number. `layer` may be traced, so
    one compiled step serves all; XLA fuses the choice with the blend.

    Args:
      mix: a mix of B rows, or a tuple of them. A mask without positions, as mixup's, fits features
        of any shape. One with positions must have those of h: bring it there by
        `resize_mix(mix, h.shape[1:-1])`; any other is refused.
      h: float arrays [B, *spatial, ...], or a PyTree of them.
      layer: which layer is mixed at this step, an integer. One that no call has as `at` mixes
        nothing, though labels still are: draw among those that call.
      at: this layer's number; 0 is by custom the input.
      other: as in `blend`: features of a second batch at this layer.

    Returns:
      Arrays of h's shapes and dtypes.

    Raises:
      TypeError: for features that are no floats.
      ValueError: for another B, or a mask that does not fit h.

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
    """Add and multiply by noise of a random strength, after a blend of inputs or features.

        x' = (1 + σ_m b₁ v) ⊙ x + σ_a b₂ ξ,  b ~ Beta(2, 5), v ~ U(-1, 1), ξ ~ N(0, 1)

    One b₁ and b₂ for all of x, a v and ξ for each number.

    Args:
      key: a PRNG key.
      x: of any shape and float dtype.
      additive, multiplicative: σ_a and σ_m; may be traced, 0 is none. At a layer that is drawn:
        `additive=jnp.where(layer == 1, 0.4, 0.0)`.

    Returns:
      The same shape and dtype.

    Raises:
      TypeError: for x that is no float.
      ValueError: for a static level below 0.

    Example:
      >>> x = jm.add_noise(jax.random.key(0), jnp.ones((4, 8)), additive=0.0)
      >>> bool((abs(x - 1) <= 0.2).all()), bool((x != 1).any())
      (True, True)

    Noisy feature mixup, Lim et al. 2022, arXiv:2110.02180: λ ~ Beta(1, 1), `blend_at` the input or
    one of three stages, and this noise there. Levels are those of their CIFAR runs.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"add_noise got x of dtype {x.dtype}; it needs floats: cast or blend first."
        )
    for name, value in (("additive", additive), ("multiplicative", multiplicative)):
        number = _checks.static_number(value)
        if number is not None and not number >= 0:
            raise ValueError(f"add_noise got {name}={number}; it needs a level >= 0, 0 for none.")
    key_strength, key_scale, key_add = jax.random.split(key, 3)
    # Beta(2, 5) is the law of the second smallest of six uniform numbers: no rejection loop.
    strength = jnp.sort(jax.random.uniform(key_strength, (2, 6), jnp.float32), axis=1)[:, 1]
    scale = jnp.asarray(multiplicative).astype(jnp.float32) * strength[0]
    shift = jnp.asarray(additive).astype(jnp.float32) * strength[1]
    v = jax.random.uniform(key_scale, x.shape, jnp.float32, -1.0, 1.0)
    xi = jax.random.normal(key_add, x.shape, jnp.float32)
    return ((1 + scale * v) * x.astype(jnp.float32) + shift * xi).astype(x.dtype)


@public
def blend_moments(
    mix: Mixes,
    h: Shaped[ArrayLike, "b ..."],
    *,
    axes: Sequence[int],
    other: Shaped[ArrayLike, "b ..."] | None = None,
    epsilon: float = 1e-6,
    detach: bool = False,
) -> Shaped[Array, "b ..."]:
    """Blend what normalisation takes out of features, mean and deviation, and not the features.

        h'ᵢ = σ̃ᵢ (hᵢ - μᵢ) / σᵢ + μ̃ᵢ,  (μ̃, σ̃) = m (μ, σ)ᵢ + (1 - m) (μ, σ)ₚ

    with μ and σ² + ε over `axes`, the variance unbiased, as torch has it.

    Args:
      mix: a mix of B rows, or a tuple of them. Its mask may have positions on axes of h that are
        not in `axes`; m = 0 gives the row its partner's moments.
      h: features, f[B, *spatial, C].
      axes: over which moments are taken, as h counts its axes, without the batch: the spatial ones
        give one a channel (instance norm, style), (-1,) one a position (positional norm).
      other: features whose moments are blended in, in place of the partners': of a second batch.
      epsilon: ε > 0, added to the variance.
      detach: whether gradients pass by μ and σ as constants.

    Returns:
      The same shape and dtype; exactly h where m = 1.

    Raises:
      TypeError: for features that are no floats.
      ValueError: for another B, axes that are not different ones of h after the batch, or a mask
        with positions on them.

    Example:
      >>> h = jnp.array([[1.0, 3.0], [10.0, 30.0]])[..., None]
      >>> swap = jm.Mix(jm.reverse(), mask=jnp.zeros(1), lam=jnp.full(2, 0.9))
      >>> jm.blend_moments(swap, h, axes=(1,))[..., 0].round(2).tolist()
      [[10.0, 30.0], [1.0, 3.0]]

    MixStyle, Zhou et al. 2021, arXiv:2104.02008: spatial axes, `detach`, λ ~ Beta(0.1, 0.1) for
    each row, half of the batches, early layers; labels stay, so that `lam` is not used. MoEx, Li et
    al. 2021, arXiv:2002.11102: the mix of the example with axes=(-1,) and ε = 1e-5 after the stem,
    and labels by its `lam`, 0.9 on ImageNet, 0.5 on CIFAR in their scripts.
    """
    h = jnp.asarray(h)
    if not jnp.issubdtype(h.dtype, jnp.floating):
        raise TypeError(f"blend_moments got h of dtype {h.dtype}; it needs floats.")
    taken = tuple(axis % h.ndim for axis in axes)
    if not taken or len(set(taken)) != len(taken) or 0 in taken or max(map(abs, axes)) > h.ndim:
        raise ValueError(
            f"blend_moments got axes={tuple(axes)} for features of shape {h.shape}; it needs "
            "different axes after the batch: the spatial ones, or (-1,)."
        )
    for layer in layers_of(mix):
        if min(taken) < layer.mask.ndim:
            raise ValueError(
                f"blend_moments got axes={tuple(axes)} and a mask of shape {layer.mask.shape}; it "
                "needs a mask without positions on those axes, as sample_mixup draws."
            )
    wide = h.astype(jnp.float32)

    def moments(x: Array) -> tuple[Array, Array]:
        mean = x.mean(taken, keepdims=True)
        square = jnp.square(x - mean).sum(taken, keepdims=True) / max(x.size // mean.size - 1, 1)
        found = mean, jnp.sqrt(square + epsilon)
        return jax.lax.stop_gradient(found) if detach else found

    mean, deviation = moments(wide)
    given = None
    if other is not None:
        theirs = _checks.shaped("blend_moments", "other", other, h.shape)
        given = moments(theirs.astype(jnp.float32))
    new_mean, new_deviation = blend(mix, (mean, deviation), other=given)
    # The equation as a change of h, so that where nothing is mixed nothing is rounded.
    change = (wide - mean) * (new_deviation / deviation - 1) + (new_mean - mean)
    return (wide + change).astype(h.dtype)


@calls_back
def mixup_inference(
    key: PRNGKeyArray,
    predict: Callable[[Array], Array],
    x: Shaped[ArrayLike, "b ..."],
    pool: Shaped[ArrayLike, "n ..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    which: str = "other",
    lam: ArrayLike = 0.5,
    samples: int = 30,
) -> Float[Array, "b k"]:
    """Predict inputs through blends with clean examples, which shrinks what an attacker added.

        F(x) = (1/S) Σₛ softmax f(λ x + (1 - λ) xₛ),  xₛ of a class other than argmax f(x), or of it

    Each xₛ has a class that is uniform among those allowed and in the pool, and is uniform among
    its examples there. A row for which the pool has none is predicted as it is.

    Args:
      key: a PRNG key.
      predict: f, from inputs [B, ...] to logits [B, K], in evaluation mode. It runs S + 1 times.
      x: the inputs, floats.
      pool: clean examples with x's shape and dtype after the first axis.
      labels: their class ids; one outside [0, K) is never drawn.
      which: "other" draws from other classes than the predicted one (MI-OL), "predicted" from it
        (MI-PL).
      lam: λ; may be traced.
      samples: S.

    Returns:
      Probabilities, f32[B, K].

    Raises:
      TypeError: for labels that are not ids, or inputs that are no floats.
      ValueError: for an unknown `which`, a static `lam` outside [0, 1], no samples, or a pool that
        does not fit.

    Example:
      >>> pool, labels = jnp.array([[4.0, 0.0], [0.0, 4.0]]), jnp.array([0, 1])
      >>> p = jm.mixup_inference(
      ...     jax.random.key(0), lambda x: x, pool, pool, labels, which="predicted", samples=3
      ... )
      >>> (100 * p).round().tolist()
      [[98.0, 2.0], [2.0, 98.0]]

    Pang et al. 2020, arXiv:1909.11515, for models that were trained with mixup. Their code takes
    one input at a time, 30 samples for MI-OL and 10 for MI-PL.
    """
    name = "mixup_inference"
    _checks.option(name, "which", which, ("other", "predicted"))
    _checks.share(name, "lam", lam)
    labels = _checks.shaped(name, "labels", labels, jnp.shape(pool)[:1])
    labels = _checks.integer_ids(name, "labels", labels)
    if samples < 1:
        raise ValueError(f"{name} got samples={samples}; it needs an int >= 1.")
    x = jnp.asarray(x)
    logits = predict(x)
    plan = _allowed(logits, labels, which=which)

    def add(total: Array, key: PRNGKeyArray) -> tuple[Array, None]:
        probabilities = jax.nn.softmax(predict(_with_clean(key, plan, x, pool, lam)), axis=-1)
        return total + probabilities.astype(jnp.float32), None

    start = 0 * logits.astype(jnp.float32)  # laid out as logits are, under shard_map too
    return jax.lax.scan(add, start, jax.random.split(key, samples))[0] / samples


@on_any_mesh
def _allowed(logits: Float[Array, "b k"], labels: Array, *, which: str) -> tuple[Array, ...]:
    """For each row the classes it may be blended with; how many examples each has, and which."""
    classes = logits.shape[1]
    place = jnp.where((labels >= 0) & (labels < classes), labels, classes)
    counts = jnp.zeros(classes + 1, jnp.int32).at[place].add(1)[:classes]
    by_class = jnp.argsort(place).astype(jnp.int32)
    first = jnp.cumsum(counts, dtype=jnp.int32) - counts
    best = logits.argmax(axis=-1).astype(jnp.int32)
    predicted = jnp.arange(classes, dtype=jnp.int32)[None, :] == best[:, None]
    allowed = (predicted if which == "predicted" else ~predicted) & (counts > 0)[None, :]
    return allowed, counts, first, by_class


@on_any_mesh
def _with_clean(
    key: PRNGKeyArray, plan: tuple[Array, ...], x: Array, pool: ArrayLike, lam: ArrayLike
) -> Array:
    """Each row blended with a clean example of an allowed class; without one as it is."""
    allowed, counts, first, by_class = plan
    key_class, key_row = jax.random.split(key)
    drawn = jax.random.categorical(key_class, jnp.where(allowed, jnp.float32(0), -jnp.inf), axis=-1)
    count = counts[drawn]
    u = jax.random.uniform(key_row, count.shape, jnp.float32) * count.astype(jnp.float32)
    row = jnp.clip(u.astype(jnp.int32), 0, jnp.maximum(count - 1, 0))  # rounding reaches count
    own = jnp.where(allowed.any(axis=1), jnp.asarray(lam).astype(jnp.float32), 1.0)
    clean = jnp.asarray(pool)[by_class[first[drawn] + row]]
    return blend(Mix(reverse(), own, own), x, other=clean)
