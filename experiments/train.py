"""The training core: config -> pure step -> scanned epochs, to be jitted and vmapped over seeds.

Everything is a function of arrays and keys, so that one compiled program serves all methods whose
options are traced, and `jax.vmap` runs all seeds at once.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments import metrics


@dataclasses.dataclass(frozen=True)
class Config:
    """AdamW on shuffled batches; the last partial batch of an epoch is dropped."""

    batch: int = 50
    """Examples a step."""
    learning_rate: float = 2e-3
    """Of AdamW."""


class State(NamedTuple):
    params: Any
    opt_state: Any


def init(make_model: Callable[[nnx.Rngs], nnx.Module], key: PRNGKeyArray) -> State:
    """Fresh parameters and optimizer state."""
    params = nnx.state(make_model(nnx.Rngs(key)))
    return State(params, optax.adamw(0.0).init(params))


def apply(
    make_model: Callable[[nnx.Rngs], nnx.Module], params: Any, x: Float[Array, "b ..."]
) -> Float[Array, "b k"]:
    """The model's logits."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: make_model(nnx.Rngs(0))))
    return nnx.merge(graph, params)(x)


def train_step(
    config: Config,
    make_model: Callable[[nnx.Rngs], nnx.Module],
    sampler: Callable[[PRNGKeyArray, tuple[int, ...]], jm.Mix],
    state: State,
    key: PRNGKeyArray,
    x: Float[Array, "b ..."],
    y: Int[Array, "b"],
    *,
    num_classes: int,
    smoothing: ArrayLike = 0.0,
    weight_decay: float | Array = 0.0,
) -> tuple[State, Float[Array, ""]]:
    """One step of AdamW on the cross-entropy to the mixed labels. No mixing is a mix, too."""
    mix = sampler(key, x.shape[:-1])
    mixed = jm.blend(mix, x)
    target = jm.blend_labels(mix, y, num_classes=num_classes, smoothing=smoothing)

    def loss_fn(params: Any) -> Float[Array, ""]:
        return optax.softmax_cross_entropy(apply(make_model, params, mixed), target).mean()

    loss, grads = jax.value_and_grad(loss_fn)(state.params)
    optimizer = optax.adamw(config.learning_rate, weight_decay=weight_decay)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    return State(optax.apply_updates(state.params, updates), opt_state), loss


def train_epochs(
    config: Config,
    make_model: Callable[[nnx.Rngs], nnx.Module],
    sampler: Callable[[PRNGKeyArray, tuple[int, ...]], jm.Mix],
    state: State,
    keys: PRNGKeyArray,
    data: tuple[Array, Array],
    test: tuple[Array, Array],
    **options: Any,
) -> tuple[State, dict[str, Float[Array, "epochs"]]]:
    """An epoch for each key, and the test metrics after each; options as in `train_step`."""
    x, y = data
    steps = x.shape[0] // config.batch

    def epoch(state: State, key: PRNGKeyArray) -> tuple[State, dict[str, Array]]:
        key_order, key_steps = jax.random.split(key)
        order = jax.random.permutation(key_order, x.shape[0])[: steps * config.batch]

        def step(state: State, inputs: tuple[PRNGKeyArray, Array]) -> tuple[State, Array]:
            key, rows = inputs
            return train_step(config, make_model, sampler, state, key, x[rows], y[rows], **options)

        batches = jax.random.split(key_steps, steps), order.reshape(steps, config.batch)
        state, losses = jax.lax.scan(step, state, batches)
        scores = metrics.classification(apply(make_model, state.params, test[0]), test[1])
        return state, {"train_loss": losses.mean(), **scores}

    return jax.lax.scan(epoch, state, keys)


def fit(
    some_epochs: Callable[[Any, PRNGKeyArray], tuple[Any, dict[str, Array]]],
    state: Any,
    keys: PRNGKeyArray,
    tick: Callable[[int], None],
    *,
    calls: int = 8,
) -> tuple[Any, dict[str, np.ndarray]]:
    """All epochs of all seeds, `keys[seed, epoch]`, in a few calls, so that a bar can move.

    Gives the last state and each metric as an array [seeds, epochs].
    """
    epochs, curves = keys.shape[1], []
    chunk = max(1, epochs // calls)
    for first in range(0, epochs, chunk):
        state, scores = some_epochs(state, keys[:, first : first + chunk])
        curves.append(jax.tree.map(np.asarray, scores))
        tick(min(chunk, epochs - first))
    return state, jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *curves)
