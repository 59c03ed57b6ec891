"""Train all seeds of a method by one program, and all methods that differ only in numbers.

Seed i is the run of key i: initial weights, batches, draws. All arrays of the data, and of the
state, have a leading axis of seeds.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from experiments.core import classify
from experiments.core.epochs import Data, train_epochs
from experiments.core.step import Batch, Metrics, Recipe, State, init, scored_model, train_step

RecipeOf = Callable[[Any], Recipe]  # of a tree of numbers, which get traced, under jit
Tick = Callable[[int], None]


class SeedTrainer(NamedTuple):
    """Trains all seeds of a method, and asks the trained models."""

    fit: Callable[..., tuple[State, dict[str, np.ndarray]]]
    apply: Callable[..., Any]  # (numbers, state, data) -> an answer for each seed


def batch_trainer(
    recipe_of: RecipeOf,
    batch_of: Callable[[PRNGKeyArray, Any], Batch],
    score: Callable[[Any, Any], Metrics],
    *,
    look: Callable[[Any, Any], Any] | None = None,
    at_once: bool = True,
    averaged: bool = True,
) -> SeedTrainer:
    """Train on batches that are drawn, on any loss.

    Args:
      recipe_of: (numbers) -> recipe.
      batch_of: (key, data) -> the batch of one step.
      score: (model, data) -> numbers to record while training.
      look: (model, data) -> arrays, for `.apply`: pictures, say; `score` if None.
      at_once: all seeds by vmap, which small models need; otherwise one after the other.
      averaged: whether the averaged weights, where a recipe has them, are the ones scored. If only
        some of the methods compared have them, as they need a teacher, they must not be.

    Returns:
      `.fit(numbers, data, seeds=, steps=, every=, tick=)` scores after `every` steps, and gives the
      last states and each score as an array [seeds, steps // every, ...].
    """

    def scored(recipe: Recipe, state: State) -> Any:
        return scored_model(recipe, state if averaged else state._replace(ema=None))

    @partial(jax.jit, static_argnames="every", donate_argnums=1)
    def chunk(numbers: Any, state: State, keys: Any, data: Any, every: int) -> Any:
        recipe = recipe_of(numbers)

        def one(inputs: Any) -> Any:
            state, key, data = inputs
            key_batch, key_step = jax.random.split(key)

            def step(state: State, _: None) -> tuple[State, Metrics]:
                batch = batch_of(jax.random.fold_in(key_batch, state.step), data)
                state, scores = train_step(recipe, state, key_step, batch)
                return state, {name: scores[name] for name in scores if name != "grad_norm"}

            state, seen = jax.lax.scan(step, state, length=every)
            means = {f"train_{name}": values.mean(0) for name, values in seen.items()}
            return state, means | score(scored(recipe, state), data)

        return _over(one, at_once)((state, keys, data))

    @jax.jit
    def apply(numbers: Any, state: State, data: Any) -> Any:
        recipe, see = recipe_of(numbers), look or score
        return _over(lambda both: see(scored(recipe, both[0]), both[1]), at_once)((state, data))

    def advance(*inputs: Any) -> tuple[State, Metrics]:
        state, scores = chunk(*inputs)
        return state, jax.tree.map(lambda a: np.asarray(a)[:, None], scores)

    start = starter(recipe_of)

    def fit(
        numbers: Any, data: Any, *, seeds: Sequence[int], steps: int, every: int, tick: Tick
    ) -> tuple[State, dict[str, np.ndarray]]:
        if every < 1 or steps % every:
            raise ValueError(f"fit got steps={steps} and every={every}; it needs a multiple.")
        lengths = [every] * (steps // every)
        return fit_in_pieces(start, advance, numbers, data, seeds, lengths, tick)

    return SeedTrainer(fit, apply)


def epoch_trainer(recipe_of: RecipeOf, *, batch: int) -> SeedTrainer:
    """Train for epochs on classification, all seeds at once.

    Args:
      recipe_of: (numbers) -> recipe.
      batch: examples in a step.

    Returns:
      `.fit(numbers, data, seeds=, epochs=, tick=)` gives the last states, and each score as an
      array [seeds, epochs]. `.apply(numbers, state, x)` gives the logits.
    """

    @partial(jax.jit, static_argnames="epochs", donate_argnums=1)
    def some_epochs(numbers: Any, state: Any, keys: Any, data: Data, epochs: int) -> Any:
        one = lambda state, key, data: train_epochs(
            recipe_of(numbers), state, key, data, batch=batch, epochs=epochs
        )
        return jax.vmap(one)(state, keys, data)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, 0))
    def logits(numbers: Any, state: State, x: Array) -> Array:
        return classify.logits(recipe_of(numbers), state, x)

    start = starter(recipe_of)

    def fit(
        numbers: Any, data: Data, *, seeds: Sequence[int], epochs: int, tick: Tick
    ) -> tuple[State, dict[str, np.ndarray]]:
        return fit_in_pieces(start, some_epochs, numbers, data, seeds, pieces(epochs), tick)

    return SeedTrainer(fit, logits)


def starter(recipe_of: RecipeOf) -> Callable[[Any, PRNGKeyArray], State]:
    """(numbers, keys) -> fresh states."""

    @jax.jit
    def start(numbers: Any, keys: PRNGKeyArray) -> State:
        # Not by vmap, which takes XLA twice as long to compile; the weights are the same.
        return jax.lax.map(partial(init, recipe_of(numbers)), keys)

    return start


def fit_in_pieces(
    start: Callable[[Any, PRNGKeyArray], Any],
    advance: Callable[[Any, Any, PRNGKeyArray, Any, int], tuple[Any, Metrics]],
    numbers: Any,
    data: Any,
    seeds: Sequence[int],
    lengths: Sequence[int],
    tick: Tick,
) -> tuple[Any, dict[str, np.ndarray]]:
    """Train all seeds, one dispatch for each piece, so that a bar can move.

    Args:
      start: (numbers, keys) -> the first states.
      advance: (numbers, state, keys, data, length) -> the next states, and scores [seeds, n, ...].
      numbers: the method's numbers, which become float32.
      data: any tree of arrays, whose first axis is that of the seeds.
      seeds: whose weights, order and draws these are.
      lengths: the pieces' lengths, in what `advance` counts: steps or epochs.
      tick: called with each piece's length when it is done.

    Returns:
      The last states, and each score along all pieces, [seeds, n of all, ...].
    """
    numbers = jax.tree.map(jnp.float32, numbers)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    # Not the first two, which the data's own split may have taken from the same key.
    _, _, key_init, key_run = jax.vmap(partial(jax.random.split, num=4), out_axes=1)(keys)
    state, kept = start(numbers, key_init), []
    for length in lengths:
        state, scores = advance(numbers, state, key_run, data, length)
        kept.append(jax.tree.map(np.asarray, scores))
        tick(length)
    return state, jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *kept)


def pieces(epochs: int, most: int = 8) -> list[int]:
    """About `most` pieces of equal length, and the rest."""
    length = max(1, epochs // most)
    return [min(length, epochs - first) for first in range(0, epochs, length)]


def _over(one: Callable[[Any], Any], at_once: bool) -> Callable[[Any], Any]:
    return jax.vmap(one) if at_once else partial(jax.lax.map, one)
