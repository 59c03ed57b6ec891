"""The training core: a recipe, one pure train step, and many of them in one dispatch. Fork it here.

Everything is a function of arrays and keys. One compiled program serves all methods whose options
are traced, `jax.vmap` runs all seeds at once, and `devices.py` spreads the same step over
devices. What is random follows from the run's key and the step's number, so that a run which was
stopped goes on bit by bit as if it had not been.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

import jax_mixup as jm
from experiments.core import metrics

Metrics = dict[str, Float[Array, "..."]]
Pair = tuple[Array, Array]  # inputs and labels
Sampler = Callable[[PRNGKeyArray, tuple[int, ...]], jm.Mix]
Draw = Callable[[PRNGKeyArray, Array, Array], jm.Mix]  # (key, inputs, labels)


class Recipe(NamedTuple):
    """What is trained, and how. Built where it is used, under jit, it may hold traced numbers.

    The model is called as `model(x, train=, key=)` and gives f32 logits; with `layer`, it also gets
    `tap(i, features)`, which it calls on its input (0) and on what each layer i gives.
    """

    make_model: Callable[[nnx.Rngs], nnx.Module]
    optimizer: optax.GradientTransformation
    draw: Draw | None = None  # None is plain training
    prepare: Callable[[PRNGKeyArray, Array, Array], Pair] | None = None  # crops, say, before mixing
    normalise: Callable[[Array], Array] = lambda x: x  # after it; of float32, whatever came
    smoothing: float | Array = 0.0
    layer: int | Array | None = None  # features after this one are mixed in place of the inputs
    mix_prob: Callable[[Array], Array] | None = None  # of mixing at all, for each step's number
    accumulate: int = 1  # parts of a batch, one after the other
    ema: float | None = None  # decay of the averaged weights, which are then the ones scored


class State(NamedTuple):
    """All that training changes."""

    step: Int[Array, ""]
    params: Any
    stats: Any  # what is no parameter: BatchNorm's running averages
    opt_state: Any
    ema: Any  # (params, stats), averaged over steps, or None


class Data(Protocol):
    """Training and test examples."""

    @property
    def x(self) -> Any: ...
    @property
    def y(self) -> Any: ...
    @property
    def x_test(self) -> Any: ...
    @property
    def y_test(self) -> Any: ...


def by_shape(sampler: Sampler) -> Draw:
    """Draw a batch's mix from its shape alone."""
    return lambda key, x, y: sampler(key, x.shape[:-1])


def init(recipe: Any, key: PRNGKeyArray) -> State:
    """A fresh state for this `Recipe`, or that of `any_loss`.

    `jax.eval_shape` gives its shapes, and jit with `out_shardings` its shards.
    """
    _, params, stats = nnx.split(recipe.make_model(nnx.Rngs(key)), nnx.Param, ...)
    ema = None if recipe.ema is None else jax.tree.map(jnp.copy, (params, stats))
    return State(jnp.zeros((), jnp.int32), params, stats, recipe.optimizer.init(params), ema)


def train_step(
    recipe: Recipe,
    state: State,
    key: PRNGKeyArray,
    x: Shaped[Array, "b ..."],
    y: Int[Array, "b"],
    *,
    axis_name: str | None = None,
    gathered: NamedSharding | None = None,
) -> tuple[State, Metrics]:
    """One step on the cross-entropy to the mixed labels.

    Under jit the batch is all devices'. Under pmap, with `axis_name`, it is one device's: what is
    drawn for the whole batch is then the same on all, what is drawn for each row another on each.

    Args:
      recipe, state: as above.
      key: the run's; each step folds its own number in.
      x, y: inputs, float32 or uint8, and class ids.
      axis_name: of the pmap, or None.
      gathered: under FSDP, the sharding of the parameters while they are used: on every device.

    Returns:
      The new state and, over all devices' rows, the loss, the mixed accuracy and the gradient's
      norm, each f32[].
    """
    params = state.params
    if gathered is not None:
        # Left to itself the compiler may move activations in place of the smaller parameters.
        params = jax.lax.with_sharding_constraint(params, gathered)
    gradient = partial(_gradient, recipe, state.step, axis_name)
    key = jax.random.fold_in(key, state.step)
    if recipe.accumulate == 1:
        grads, stats, scores = gradient(params, state.stats, key, x, y)
    else:
        grads, stats, scores = _accumulated(gradient, recipe.accumulate)(
            params, state.stats, key, x, y
        )
    if axis_name is not None:
        grads, stats, scores = jax.lax.pmean((grads, stats, scores), axis_name)
    scores["grad_norm"] = optax.tree.norm(grads)
    updates, opt_state = recipe.optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if recipe.ema is not None:
        ema = optax.incremental_update((params, stats), ema, 1 - recipe.ema)
    return State(state.step + 1, params, stats, opt_state, ema), scores


def train_steps(
    recipe: Recipe, state: State, key: PRNGKeyArray, data: Data, *, batch: int, steps: int
) -> tuple[State, Metrics]:
    """Steps in one dispatch, on data that live on the device.

    Each epoch has an order of its own, which follows from `key`; its last partial batch is dropped.

    Args:
      recipe, state, key: as `train_step`'s.
      data: the training part of it is used.
      batch: examples a step.
      steps: how many; they divide those of an epoch, and `state.step` is a multiple of them.

    Returns:
      The new state, and each step's metrics, f32[steps].
    """
    epoch_steps = data.y.shape[0] // batch
    if not epoch_steps or epoch_steps % steps:
        raise ValueError(
            f"train_steps got batch={batch} and steps={steps} for {data.y.shape[0]} examples; it "
            f"needs at least one batch, and steps that divide the {epoch_steps} of an epoch."
        )
    key_order, key_steps = jax.random.split(key)
    epoch, first = jnp.divmod(state.step, epoch_steps)
    order = jax.random.permutation(jax.random.fold_in(key_order, epoch), data.y.shape[0])
    order = order[: epoch_steps * batch].reshape(epoch_steps, batch)

    def step(state: State, rows: Int[Array, "b"]) -> tuple[State, Metrics]:
        return train_step(recipe, state, key_steps, data.x[rows], data.y[rows])

    return jax.lax.scan(step, state, jax.lax.dynamic_slice_in_dim(order, first, steps))


def train_epochs(
    recipe: Recipe, state: State, key: PRNGKeyArray, data: Data, *, batch: int, epochs: int
) -> tuple[State, Metrics]:
    """Whole epochs, and after each the scores on the test examples, f32[epochs]."""

    def epoch(state: State, _: None) -> tuple[State, Metrics]:
        steps = data.y.shape[0] // batch
        state, scores = train_steps(recipe, state, key, data, batch=batch, steps=steps)
        tested = metrics.classification(logits(recipe, state, data.x_test), data.y_test)
        return state, {"train_loss": scores["loss"].mean(), **tested}

    return jax.lax.scan(epoch, state, length=epochs)


def logits(recipe: Recipe, state: State, x: Shaped[Array, "b ..."]) -> Float[Array, "b k"]:
    """What the model says, with the averaged weights if there are any."""
    params, stats = (state.params, state.stats) if state.ema is None else state.ema
    model: Any = nnx.merge(graph(recipe), params, stats)
    return model(recipe.normalise(x.astype(jnp.float32)), train=False, key=None)


def cross_entropy(
    logits: Float[Array, "b k"], labels: Int[Array, "b"], smoothing: float | Array = 0.0
) -> Float[Array, "b"]:
    """Cross-entropy to smoothed labels, without one-hot; linear in the target, as pair_loss needs.

    -Σₖ ((1 - ε) [k = y] + ε / K) log pₖ = (1 - ε) CE(y) + ε (logsumexp o - mean o)
    """
    own: Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    uniform = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
    return (1 - smoothing) * own + smoothing * uniform


def _gradient(
    recipe: Recipe,
    step: Int[Array, ""],
    axis_name: str | None,
    params: Any,
    stats: Any,
    key: PRNGKeyArray,
    x: Shaped[Array, "b ..."],
    y: Int[Array, "b"],
) -> tuple[Any, Any, Metrics]:
    """The gradient, the new statistics, and the scores of one part of a batch."""
    key_prepare, key_mix, key_model = jax.random.split(key, 3)
    if axis_name is not None:
        shard = jax.lax.axis_index(axis_name)
        key_prepare, key_model = (jax.random.fold_in(k, shard) for k in (key_prepare, key_model))
    if recipe.prepare is not None:
        x, y = recipe.prepare(key_prepare, x, y)
    mix = _draw(recipe, step, axis_name, key_mix, x, y)
    layer, extra = recipe.layer, {}
    inputs = x.astype(jnp.float32) if mix is None or layer is not None else _blended(mix, x)
    inputs, own_loss = recipe.normalise(inputs), partial(cross_entropy, smoothing=recipe.smoothing)
    if mix is not None and layer is not None:
        extra = {"tap": lambda i, h: jnp.where(layer == i, jm.blend(mix, h), h)}

    def loss_fn(params: Any) -> tuple[Float[Array, ""], tuple[Array, Any]]:
        model: Any = nnx.merge(graph(recipe), params, stats, copy=True)
        out = model(inputs, train=True, key=key_model, **extra)
        losses = own_loss(out, y) if mix is None else jm.pair_loss(mix, own_loss, out, y)
        return losses.mean(), (out, nnx.state(model, nnx.Not(nnx.Param)))

    (loss, (out, stats)), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
    hits = out.argmax(-1) == y if mix is None else jm.mixed_accuracy(mix, out, y)
    return grads, stats, {"loss": loss, "accuracy": hits.mean(dtype=jnp.float32)}


def _draw(
    recipe: Recipe, step: Array, axis_name: str | None, key: PRNGKeyArray, x: Array, y: Array
) -> jm.Mix | None:
    if recipe.draw is None:
        return None
    draw = recipe.draw
    sampler = lambda key, shape: draw(key, x, y)
    if recipe.mix_prob is not None:
        sampler = jm.sometimes(sampler, recipe.mix_prob(step))
    shape = x.shape[:-1]
    if axis_name and jax.eval_shape(lambda: sampler(key, shape).mask).shape[0] > 1:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    return sampler(key, shape)


def _blended(mix: jm.Mix, x: Shaped[Array, "b ..."]) -> Float[Array, "b ..."]:
    return jm.blend(mix, x, dtype=jnp.float32)


def _accumulated(gradient: Callable[..., Any], parts: int) -> Callable[..., Any]:
    """The mean of a batch's parts, each with draws of its own: in expectation the same gradient."""

    def mean(params: Any, stats: Any, key: PRNGKeyArray, x: Array, y: Array) -> Any:
        if y.shape[0] % parts:
            raise ValueError(
                f"accumulate={parts} does not divide the batch of {y.shape[0]}: take a divisor."
            )
        # Part j is rows j, j + parts, ...: under jit with shards, rows stay on their devices.
        cut = lambda a: a.reshape(-1, parts, *a.shape[1:]).swapaxes(0, 1)

        def part(carry: Any, inputs: Any) -> Any:
            total, stats = carry
            grads, stats, scores = gradient(params, stats, *inputs)
            return (jax.tree.map(jnp.add, total, grads), stats), scores

        start = jax.tree.map(jnp.zeros_like, params), stats
        inputs = jax.random.split(key, parts), cut(x), cut(y)
        (total, stats), scores = jax.lax.scan(part, start, inputs)
        grads = jax.tree.map(lambda g: g / parts, total)
        return grads, stats, jax.tree.map(jnp.mean, scores)

    return mean


def graph(recipe: Any) -> Any:
    model = nnx.eval_shape(lambda: recipe.make_model(nnx.Rngs(0)))
    return nnx.split(model, nnx.Param, ...)[0]
