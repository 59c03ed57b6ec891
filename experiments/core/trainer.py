"""A long run on data that live on the device: checkpointed, and resumed bit by bit.

The order of the examples and all that is drawn follow from the seed and the step's number, so that
a checkpoint is the state alone.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped
from rich.console import Console

from experiments.core import classify, hosts, log, loop, metrics
from experiments.core.checkpoint import Checkpoints
from experiments.core.epochs import Data, train_steps
from experiments.core.step import Metrics, Recipe, State, init

CHUNK = 1000  # examples that are evaluated at a time


class Arrays(NamedTuple):
    """Training and test examples."""

    x: Shaped[Array, "n ..."]
    y: Int[Array, "n"]
    x_test: Shaped[Array, "m ..."]
    y_test: Int[Array, "m"]


class Trainer:
    """Trains all methods that differ only in numbers, and all seeds, by one compiled program.

    Args:
      recipe_of: (numbers) -> recipe, under jit; numbers are a tree of floats, which get traced.
      batch: examples in a step.
      epochs: how long each run is.
      dispatches: number of dispatches in an epoch, or the next number that divides its steps.
      save_every: dispatches from one checkpoint to the next.
      score_every: epochs from one score on the test examples to the next; a divisor of `epochs`.
      console: where progress shows; None is nowhere.
    """

    def __init__(
        self,
        recipe_of: Callable[[Any], Recipe],
        *,
        batch: int,
        epochs: int,
        dispatches: int = 1,
        save_every: int = 1,
        score_every: int = 1,
        console: Console | None = None,
    ):
        self._recipe_of, self._batch, self._epochs = recipe_of, batch, epochs
        self._dispatches, self._save_every, self._console = dispatches, save_every, console
        if epochs % score_every:
            raise loop.Stop(
                f"--epochs got {epochs} and --score-every {score_every}; it needs a multiple."
            )
        self._score_every = score_every
        self._start = jax.jit(lambda numbers, key: init(recipe_of(numbers), key))
        self._train = jax.jit(self._steps, static_argnames="steps", donate_argnums=1)
        self._score = jax.jit(metrics.classification)
        self.logits = jax.jit(self._logits)  # (numbers, state, x) -> f32[n, k]

    def fit(
        self,
        numbers: Any,
        data: Data,
        *,
        seed: int,
        folder: Path,
        settings: dict[str, Any],
        tick: Callable[[int], None] = lambda n: None,
    ) -> tuple[State, dict[str, np.ndarray]]:
        """Train from the newest checkpoint in `folder`, or from the start, to the end.

        Args:
          numbers: the method's numbers.
          data: a run goes on bit by bit only with the same data.
          seed: the seed of initial weights, order and draws.
          folder: for checkpoints and metrics.jsonl.
          settings: what defines the run apart from the seed; a folder of another run is refused.
          tick: called with how many epochs are done since the last call.

        Returns:
          The state, and each score on the test examples, f64[epochs // score_every].

        Raises:
          KeyboardInterrupt: After Ctrl-C or SIGTERM, when the state is saved.
        """
        arrays = jax.device_put(Arrays(data.x, data.y, data.x_test, data.y_test))
        numbers = jax.tree.map(jnp.float32, numbers)
        epoch, steps = self._lengths(arrays.y.shape[0])
        scored = epoch * self._score_every
        # Not the first two, which the data's own split may have taken from the same key.
        _, _, key_init, key = jax.random.split(jax.random.key(seed), 4)

        def tell(step: int, scores: loop.Scores) -> None:
            logged(step, scores)
            if "error" in scores:
                tick(self._score_every)

        settings = settings | {"seed": seed, "steps_a_dispatch": steps}
        shown = {"total": self._epochs * epoch, "every": epoch, "console": self._console}
        with contextlib.closing(Checkpoints(folder, settings, keep=2)) as checkpoints:
            state = self._restored(checkpoints, numbers, key_init)
            tick(int(state.step) // scored * self._score_every)
            with log.Log(folder, **shown) as logged, hosts.stop_asked() as stopped:
                state = loop.fit(
                    lambda state: self._train(numbers, state, key, arrays, steps=steps),
                    state,
                    loop.Hooks(tell, checkpoints.save, stopped),
                    steps=self._epochs * epoch,
                    evaluate=partial(self._test, numbers, arrays),
                    evaluate_every=scored,
                    save_every=self._save_every * steps,
                )
        if int(state.step) < self._epochs * epoch:
            raise KeyboardInterrupt
        return state, _curves(folder, [*range(scored, self._epochs * epoch + 1, scored)])

    def _lengths(self, examples: int) -> tuple[int, int]:
        """Steps of an epoch and of a dispatch."""
        epoch = examples // self._batch
        if not epoch:
            raise loop.Stop(
                f"{examples} training examples are less than a batch of {self._batch}: give more "
                "of them, or a smaller batch."
            )
        most = max(1, epoch // self._dispatches)
        return epoch, max(n for n in range(1, most + 1) if epoch % n == 0)

    def _restored(self, checkpoints: Checkpoints, numbers: Any, key: PRNGKeyArray) -> State:
        shapes, device = jax.eval_shape(self._start, numbers, key), jax.devices()[0]
        placed = jax.tree.map(lambda _: SingleDeviceSharding(device), shapes)
        state = checkpoints.restore(shapes, placed)
        return self._start(numbers, key) if state is None else state

    def _steps(
        self, numbers: Any, state: State, key: PRNGKeyArray, data: Arrays, *, steps: int
    ) -> tuple[State, Metrics]:
        recipe = self._recipe_of(numbers)
        return train_steps(recipe, state, key, data, batch=self._batch, steps=steps)

    def _logits(self, numbers: Any, state: State, x: Array) -> Float[Array, "n k"]:
        """The logits in chunks, so that a large set needs little memory; the last is filled up."""
        n = x.shape[0]
        chunks = -(-n // CHUNK)
        rows = -(-n // chunks)
        padded = jnp.pad(x, [(0, chunks * rows - n)] + [(0, 0)] * (x.ndim - 1))
        one = partial(classify.logits, self._recipe_of(numbers), state)
        out = jax.lax.map(one, padded.reshape(chunks, rows, *x.shape[1:]))
        return out.reshape(chunks * rows, -1)[:n]

    def _test(self, numbers: Any, data: Arrays, state: State) -> loop.Scores:
        scores = self._score(self.logits(numbers, state, data.x_test), data.y_test)
        return {name: float(value) for name, value in scores.items()}


def _curves(folder: Path, steps: list[int]) -> dict[str, np.ndarray]:
    lines = log.read(folder / "metrics.jsonl")
    missing = [step for step in steps if "error" not in lines.get(step, {})]
    if missing:
        raise loop.Stop(
            f"{folder}/metrics.jsonl has no scores of step {missing[0]}, though a checkpoint is "
            "past it: remove the folder to train again."
        )
    names = lines[steps[-1]].keys() - {"time", "loss", "accuracy", "grad_norm"}
    return {name: np.array([lines[step][name] for step in steps]) for name in sorted(names)}
