"""Many steps in one dispatch, for classification on data that live on the device."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from experiments.core import metrics
from experiments.core.classify import logits
from experiments.core.step import Metrics, Recipe, State, train_step


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


def train_steps(
    recipe: Recipe, state: State, key: PRNGKeyArray, data: Data, *, batch: int, steps: int
) -> tuple[State, Metrics]:
    """Steps in one dispatch.

    Each epoch has an order of its own, which follows from `key`; its last partial batch is dropped.

    Args:
      recipe: for batches of (inputs, labels), as `classify.recipe` gives it.
      state: its step is a multiple of `steps`.
      key: the run's key.
      data: only its training part is used.
      batch: examples in a step.
      steps: number of steps, a divisor of those of an epoch.

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
        return train_step(recipe, state, key_steps, (data.x[rows], data.y[rows]))

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
