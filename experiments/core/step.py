"""One training step for every loss: a recipe, a state, and the step between two states. Fork it.

Everything is a function of arrays and keys. One compiled program works for all methods whose
options are traced; `seeds.py` runs all seeds of it at once, `epochs.py` many steps in one dispatch,
and `devices.py` spreads the same step over devices. What is random follows from the run's key and
the step's number, so that a run which was stopped goes on bit by bit as if it had not been.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding
from jaxtyping import Array, Float, Int, PRNGKeyArray

Metrics = dict[str, Float[Array, "..."]]
Batch = Any  # a PyTree of arrays whose first axis is that of the examples
MakeModel = Callable[[nnx.Rngs], nnx.Module]


class Task(NamedTuple):
    """What a loss may use in one step. Models are called as `model(x, train=, key=)`."""

    student: Any  # the model that learns; call it with train=True
    teacher: Any  # the averaged weights, or the student's; no gradient reaches it; train=False
    key: PRNGKeyArray
    step: Int[Array, ""]  # for schedules
    batch: Batch
    axis_name: str | None = None  # of the pmap, if there is one


class Recipe(NamedTuple):
    """What is trained, and how. Built where it is used, under jit, it may hold traced numbers."""

    make_model: MakeModel
    optimizer: optax.GradientTransformation
    loss: Callable[[Task], tuple[Float[Array, ""], Metrics]]  # and what else to log, by name
    normalise: Callable[[Array], Array] = lambda x: x  # of float32 inputs, when a model is scored
    accumulate: int = 1  # parts of a batch, one after the other
    ema: float | None = None  # decay of the averaged weights, which are then the ones scored


class State(NamedTuple):
    """All that training changes."""

    step: Int[Array, ""]
    params: Any
    stats: Any  # everything else in the model: BatchNorm's running averages
    opt_state: Any
    ema: Any  # (params, stats), averaged over steps, or None


def init(recipe: Recipe, key: PRNGKeyArray) -> State:
    """A fresh state.

    `jax.eval_shape` gives its shapes, and jit with `out_shardings` its shards.
    """
    _, params, stats = nnx.split(recipe.make_model(nnx.Rngs(key)), nnx.Param, ...)
    ema = None if recipe.ema is None else jax.tree.map(jnp.copy, (params, stats))
    return State(jnp.zeros((), jnp.int32), params, stats, recipe.optimizer.init(params), ema)


def train_step(
    recipe: Recipe,
    state: State,
    key: PRNGKeyArray,
    batch: Batch,
    *,
    axis_name: str | None = None,
    gathered: NamedSharding | None = None,
) -> tuple[State, Metrics]:
    """One step on the recipe's loss.

    Under jit the batch is that of all devices. Under pmap, with `axis_name`, it is one device's.

    Args:
      recipe: the model, the optimizer and the loss.
      state: the state before the step.
      key: the run's key; each step folds its own number in.
      batch: what the loss finds as `task.batch`.
      axis_name: the pmap's axis, or None.
      gathered: under FSDP, the sharding of the parameters while they are used: on every device.

    Returns:
      The new state, and the loss, the loss's own metrics and the gradient's norm, over all devices.
    """
    params = state.params
    if gathered is not None:
        # Otherwise the compiler may move activations instead of the smaller parameters.
        params = jax.lax.with_sharding_constraint(params, gathered)
    gradient = partial(_gradient, recipe, state, axis_name)
    if recipe.accumulate > 1:
        gradient = _accumulated(gradient, recipe.accumulate)
    key = jax.random.fold_in(key, state.step)
    grads, stats, scores = gradient(params, state.stats, key, batch)
    if axis_name is not None:
        grads, stats, scores = jax.lax.pmean((grads, stats, scores), axis_name)
    scores["grad_norm"] = optax.tree.norm(grads)
    updates, opt_state = recipe.optimizer.update(grads, state.opt_state, state.params)
    params, ema = optax.apply_updates(state.params, updates), state.ema
    if recipe.ema is not None:
        ema = optax.incremental_update((params, stats), ema, 1 - recipe.ema)
    return State(state.step + 1, params, stats, opt_state, ema), scores


def scored_model(recipe: Recipe, state: State) -> Any:
    """The model that is scored, with the averaged weights if there are any: use train=False."""
    weights = (state.params, state.stats) if state.ema is None else state.ema
    return nnx.merge(graph(recipe.make_model), *weights, copy=True)


def graph(make_model: MakeModel) -> Any:
    """The model without its arrays, for `nnx.merge`."""
    model = nnx.eval_shape(lambda: make_model(nnx.Rngs(0)))
    return nnx.split(model, nnx.Param, ...)[0]


def _gradient(
    recipe: Recipe,
    state: State,
    axis_name: str | None,
    params: Any,
    stats: Any,
    key: PRNGKeyArray,
    batch: Batch,
) -> tuple[Any, Any, Metrics]:
    """The gradient, the new statistics, and the scores of one part of a batch."""
    structure, teacher = graph(recipe.make_model), scored_model(recipe, state)

    def loss_fn(params: Any) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        student: Any = nnx.merge(structure, params, stats, copy=True)
        task = Task(student, teacher, key, state.step, batch, axis_name)
        loss, scores = recipe.loss(task)
        return loss, ({"loss": loss, **scores}, nnx.state(student, nnx.Not(nnx.Param)))

    grads, (scores, stats) = jax.grad(loss_fn, has_aux=True)(params)
    return grads, stats, scores


def _accumulated(gradient: Callable[..., Any], parts: int) -> Callable[..., Any]:
    """The mean of a batch's parts, each with draws of its own: in expectation the same gradient."""

    def mean(params: Any, stats: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        size = jax.tree.leaves(batch)[0].shape[0]
        if size % parts:
            raise ValueError(
                f"accumulate={parts} does not divide the batch of {size}: take a divisor."
            )
        # Part j is rows j, j + parts, ...: under jit with shards, rows stay on their devices.
        cut = lambda a: a.reshape(-1, parts, *a.shape[1:]).swapaxes(0, 1)

        def part(carry: Any, inputs: Any) -> Any:
            total, stats = carry
            grads, stats, scores = gradient(params, stats, *inputs)
            return (jax.tree.map(jnp.add, total, grads), stats), scores

        start = jax.tree.map(jnp.zeros_like, params), stats
        inputs = jax.random.split(key, parts), jax.tree.map(cut, batch)
        (total, stats), scores = jax.lax.scan(part, start, inputs)
        grads = jax.tree.map(lambda g: g / parts, total)
        return grads, stats, jax.tree.map(jnp.mean, scores)

    return mean
