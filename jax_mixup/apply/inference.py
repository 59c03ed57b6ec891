"""Mixing at test time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup.apply.inputs import blend
from jax_mixup.mix import Mix
from jax_mixup.pairings.static import reverse


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
    """Average predictions over blends with clean examples, which shrink what an attacker added.

        F(x) = (1/S) Σₛ softmax f(λ x + (1 - λ) xₛ),  xₛ of a class other than argmax f(x), or of it

    First a class is drawn uniformly, among those that are allowed and in the pool, then xₛ
    uniformly among the examples of this class. An input for which the pool has none is predicted
    without mixing.

    Args:
      key: a PRNG key.
      predict: f, from inputs [B, ...] to logits [B, K], in evaluation mode. It runs S + 1 times.
      x: the inputs, floats [B, ...].
      pool: clean examples with the shape and dtype of x after the first axis.
      labels: their class ids; an example with an id outside [0, K) is never drawn.
      which: "other" draws from classes other than the predicted one (MI-OL), "predicted" from the
        predicted one (MI-PL).
      lam: λ, the weight of the input; may be traced.
      samples: S, the number of blends.

    Returns:
      Probabilities, f32[B, K].

    Raises:
      TypeError: If `labels` are not integer ids, or if `x` is not floating point.
      ValueError: If `which` is unknown, if a static `lam` is outside [0, 1], if `samples` is less
        than 1, if the pool and `labels` differ in length, or if the pool's examples do not have the
        shape of those of x.

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

    start = 0 * logits.astype(jnp.float32)  # has the layout of the logits, under shard_map too
    return jax.lax.scan(add, start, jax.random.split(key, samples))[0] / samples


@on_any_mesh
def _allowed(logits: Float[Array, "b k"], labels: Array, *, which: str) -> tuple[Array, ...]:
    """Return which classes each input may be blended with, and where their examples are.

    That is: the allowed classes as bool[B, K]; the number of examples in each class; the place of
    its first one in the order by class; and this order, as indices into the pool.
    """
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
    """Blend each input with a clean example of an allowed class; without one it stays as it is."""
    allowed, counts, first, by_class = plan
    key_class, key_row = jax.random.split(key)
    drawn = jax.random.categorical(key_class, jnp.where(allowed, jnp.float32(0), -jnp.inf), axis=-1)
    count = counts[drawn]
    u = jax.random.uniform(key_row, count.shape, jnp.float32) * count.astype(jnp.float32)
    row = jnp.clip(u.astype(jnp.int32), 0, jnp.maximum(count - 1, 0))  # u may round up to count
    own = jnp.where(allowed.any(axis=1), jnp.asarray(lam).astype(jnp.float32), 1.0)
    clean = jnp.asarray(pool)[by_class[first[drawn] + row]]
    return blend(Mix(reverse(), own, own), x, other=clean)
