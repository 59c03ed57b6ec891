"""Classification with mixing: the cross-entropy to mixed labels as one loss of `step.Recipe`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

import jax_mixup as jm
from experiments.core.step import MakeModel, Metrics, Recipe, State, Task, scored_model

Pair = tuple[Array, Array]  # inputs and labels
Sampler = Callable[[PRNGKeyArray, tuple[int, ...]], jm.Mix]
Draw = Callable[[PRNGKeyArray, Array, Array], jm.Mix]  # (key, inputs, labels)
Prepare = Callable[[PRNGKeyArray, Array, Array], Pair]


def recipe(
    make_model: MakeModel,
    optimizer: optax.GradientTransformation,
    draw: Draw | None = None,
    prepare: Prepare | None = None,
    *,
    normalise: Callable[[Array], Array] = lambda x: x,
    smoothing: float | Array = 0.0,
    layer: int | Array | None = None,
    mix_prob: Callable[[Array], Array] | None = None,
    accumulate: int = 1,
    ema: float | None = None,
) -> Recipe:
    """A recipe for batches of (inputs, class ids); inputs are float32 or uint8.

    The model is called as `model(x, train=, key=)` and gives f32 logits; with `layer`, it also gets
    `tap(i, features)`, which it calls on its input (0) and on what each layer i gives.

    Args:
      make_model: makes the model.
      optimizer: an optax optimizer.
      draw: gives the mix of a batch; None is plain training.
      prepare: (key, inputs, labels) -> the same, before mixing: crops, say.
      normalise: applied after mixing; it gets float32 inputs, whatever they were before.
      smoothing: label smoothing.
      layer: features after this one are mixed in place of the inputs.
      mix_prob: the probability of mixing at all, for each step's number.
      accumulate: number of parts of a batch, one after the other.
      ema: decay of the averaged weights, which are then the ones scored.
    """
    loss = partial(
        mixed_loss, draw=draw, prepare=prepare, normalise=normalise, smoothing=smoothing,
        layer=layer, mix_prob=mix_prob,
    )  # fmt: skip
    return Recipe(make_model, optimizer, loss, normalise, accumulate, ema)


def with_draw(recipe: Recipe, draw: Draw | None) -> Recipe:
    """The same recipe with other mixes, or without mixing."""
    loss: Any = recipe.loss
    return recipe._replace(loss=partial(loss, draw=draw))


def by_shape(sampler: Sampler) -> Draw:
    """Draw a batch's mix from its shape alone."""
    return lambda key, x, y: sampler(key, x.shape[:-1])


def mixed_loss(
    task: Task,
    *,
    draw: Draw | None,
    prepare: Prepare | None,
    normalise: Callable[[Array], Array],
    smoothing: float | Array,
    layer: int | Array | None,
    mix_prob: Callable[[Array], Array] | None,
) -> tuple[Float[Array, ""], Metrics]:
    """The cross-entropy to the mixed labels, and the mixed accuracy; arguments are `recipe`'s.

    Under pmap, draws for the whole batch are the same on all devices, and draws for each
    example differ from device to device.
    """
    key_prepare, key_mix, key_model = jax.random.split(task.key, 3)
    if task.axis_name is not None:
        shard = jax.lax.axis_index(task.axis_name)
        key_prepare, key_model = (jax.random.fold_in(k, shard) for k in (key_prepare, key_model))
    x, y = task.batch
    if prepare is not None:
        x, y = prepare(key_prepare, x, y)
    mix, extra = _draw(draw, mix_prob, task, key_mix, x, y), {}
    if mix is None:
        inputs = x.astype(jnp.float32)
    elif layer is None:
        inputs = jm.blend(mix, x, dtype=jnp.float32)
    else:
        inputs = x.astype(jnp.float32)
        extra = {"tap": lambda i, h: jnp.where(layer == i, jm.blend(mix, h), h)}
    out = task.student(normalise(inputs), train=True, key=key_model, **extra)
    own_loss = partial(cross_entropy, smoothing=smoothing)
    losses = own_loss(out, y) if mix is None else jm.pair_loss(mix, own_loss, out, y)
    hits = out.argmax(-1) == y if mix is None else jm.mixed_accuracy(mix, out, y)
    return losses.mean(), {"accuracy": hits.mean(dtype=jnp.float32)}


def logits(recipe: Recipe, state: State, x: Shaped[Array, "b ..."]) -> Float[Array, "b k"]:
    """The scored model's logits for inputs that are not normalised yet."""
    inputs = recipe.normalise(x.astype(jnp.float32))
    return scored_model(recipe, state)(inputs, train=False, key=None)


def cross_entropy(
    logits: Float[Array, "b k"], labels: Int[Array, "b"], smoothing: float | Array = 0.0
) -> Float[Array, "b"]:
    """Cross-entropy to smoothed labels, without one-hot; linear in the target, as pair_loss needs.

    -Σₖ ((1 - ε) [k = y] + ε / K) log pₖ = (1 - ε) CE(y) + ε (logsumexp o - mean o)
    """
    own: Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    uniform = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
    return (1 - smoothing) * own + smoothing * uniform


def eval_step(
    recipe: Recipe, state: State, x: Shaped[Array, "b ..."], labels: Int[Array, "b"]
) -> Metrics:
    """Sums over the real examples: those whose label is not -1.

    Returns:
      "loss", "correct" and "count", each f32[].
    """
    out, real = logits(recipe, state, x), labels >= 0
    losses = cross_entropy(out, jnp.maximum(labels, 0))
    return {
        "loss": jnp.where(real, losses, 0).sum(),
        "correct": (real & (out.argmax(-1) == labels)).sum(dtype=jnp.float32),
        "count": real.sum(dtype=jnp.float32),
    }


def _draw(
    draw: Draw | None, mix_prob: Any, task: Task, key: PRNGKeyArray, x: Array, y: Array
) -> jm.Mix | None:
    if draw is None:
        return None
    sampler = lambda key, shape: draw(key, x, y)
    if mix_prob is not None:
        sampler = jm.sometimes(sampler, mix_prob(task.step))
    shape = x.shape[:-1]
    if task.axis_name and jax.eval_shape(lambda: sampler(key, shape).mask).shape[0] > 1:
        key = jax.random.fold_in(key, jax.lax.axis_index(task.axis_name))
    return sampler(key, shape)
