"""Train on any loss, with an averaged teacher at hand, for fields whose targets are no class ids.

`step` is the core where cross-entropy to mixed labels is all; here the loss is the question. What
is random follows from the run's key and the step's number.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.core import step as train
from experiments.core.step import Metrics, State

Batch = Any  # a PyTree of arrays, whatever the loss wants


class Task(NamedTuple):
    """What a loss may use in one step. Models are called as `model(x, train=, key=)`."""

    student: Any  # learns; call it with train=True
    teacher: Any  # the averaged weights, or the student's; no gradient reaches it; train=False
    key: PRNGKeyArray
    step: Array  # i32[], for ramps
    batch: Batch


class Recipe(NamedTuple):
    """What is trained, and how. Built under jit, it may hold traced numbers."""

    make_model: Callable[[nnx.Rngs], nnx.Module]
    optimizer: optax.GradientTransformation
    loss: Callable[[Task], tuple[Float[Array, ""], Metrics]]
    ema: float | None = None  # decay of the averaged weights, which are then the ones scored


def step(recipe: Recipe, state: State, key: PRNGKeyArray, batch: Batch) -> tuple[State, Metrics]:
    """One step on the recipe's loss; `train.init(recipe, key)` gives the first state."""
    key = jax.random.fold_in(key, state.step)
    graph, teacher = train.graph(recipe), model(recipe, state)

    def loss_fn(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        student: Any = nnx.merge(graph, params, state.stats, copy=True)
        loss, scores = recipe.loss(Task(student, teacher, key, state.step, batch))
        return loss, ({"loss": loss, **scores}, nnx.state(student, nnx.Not(nnx.Param)))

    grads, (scores, stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    updates, opt_state = recipe.optimizer.update(grads, state.opt_state, state.params)
    params, ema = optax.apply_updates(state.params, updates), state.ema
    if recipe.ema is not None:
        ema = optax.incremental_update((params, stats), ema, 1 - recipe.ema)
    return State(state.step + 1, params, stats, opt_state, ema), scores


def model(recipe: Recipe, state: State) -> Any:
    """The model that is scored: call it with train=False."""
    weights = (state.params, state.stats) if state.ema is None else state.ema
    return nnx.merge(train.graph(recipe), *weights, copy=True)


class Study(NamedTuple):
    """What trains all seeds of a method, and reads what they learned."""

    fit: Callable[..., tuple[State, dict[str, np.ndarray]]]
    apply: Callable[..., Any]  # (numbers, state, data) -> what `look` makes of them, for each seed


def seeds(
    recipe_of: Callable[[Any], Recipe],
    batch_of: Callable[[PRNGKeyArray, Any], Batch],
    score: Callable[[Any, Any], Metrics],
    *,
    look: Callable[[Any, Any], Any] | None = None,
    at_once: bool = True,
) -> Study:
    """Train all seeds by one program, and all methods that differ only in numbers.

    Args:
      recipe_of: (numbers) -> recipe, under jit; numbers are a tree of floats, which get traced.
      batch_of: (key, data) -> the batch of one step.
      score: (model, data) -> numbers to keep, while training.
      look: (model, data) -> arrays, for `.apply`: pictures, say.
      at_once: all seeds by vmap, which small models need; else one after the other.

    Returns:
      `.fit(numbers, data, steps=, every=, tick=)` scores after `every` steps and gives the last
      states, and each score as an array [seeds, steps // every, ...]. All arrays of `data` lead
      with an axis of seeds; seed i is the run of key i: initial weights, batches, draws.
    """

    @partial(jax.jit, static_argnames="every", donate_argnums=1)
    def chunk(numbers: Any, state: State, keys: Any, data: Any, every: int) -> Any:
        recipe = recipe_of(numbers)

        def one(inputs: Any) -> Any:
            state, key, data = inputs
            key_batch, key_step = jax.random.split(key)

            def a_step(state: State, _: None) -> tuple[State, Metrics]:
                batch = batch_of(jax.random.fold_in(key_batch, state.step), data)
                return step(recipe, state, key_step, batch)

            state, seen = jax.lax.scan(a_step, state, length=every)
            means = {f"train_{name}": values.mean(0) for name, values in seen.items()}
            return state, means | score(model(recipe, state), data)

        return _over(one, at_once)((state, keys, data))

    @jax.jit
    def start(numbers: Any, keys: Any) -> State:
        # Not by vmap, which takes XLA twice as long to compile; the weights are the same.
        return jax.lax.map(partial(train.init, recipe_of(numbers)), keys)

    @jax.jit
    def apply(numbers: Any, state: State, data: Any) -> Any:
        recipe, see = recipe_of(numbers), look or score
        return _over(lambda both: see(model(recipe, both[0]), both[1]), at_once)((state, data))

    def fit(
        numbers: Any, data: Any, *, steps: int, every: int, tick: Callable[[int], None]
    ) -> tuple[State, dict[str, np.ndarray]]:
        if every < 1 or steps % every:
            raise ValueError(f"fit got steps={steps} and every={every}; it needs a multiple.")
        numbers = jax.tree.map(jnp.float32, numbers)
        count = jax.tree.leaves(data)[0].shape[0]
        keys = jax.vmap(jax.random.key)(jnp.arange(count))
        # Not the first two, which the data's own split may have taken from the same key.
        _, _, key_init, key_run = jax.vmap(partial(jax.random.split, num=4), out_axes=1)(keys)
        state, kept = start(numbers, key_init), []
        for _ in range(steps // every):
            state, scores = chunk(numbers, state, key_run, data, every=every)
            kept.append(jax.tree.map(np.asarray, scores))
            tick(every)
        return state, jax.tree.map(lambda *parts: np.stack(parts, axis=1), *kept)

    return Study(fit, apply)


def _over(one: Callable[[Any], Any], at_once: bool) -> Callable[[Any], Any]:
    return jax.vmap(one) if at_once else partial(jax.lax.map, one)
