"""Run what is missing of a table of jobs, with a bar, and keep every finished job on disk."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.core import step as train
from experiments.harness import runs as report

Job = tuple[str, str]  # (group, method), as in the runs


def run(
    console: Console,
    path: Path,
    settings: dict,
    jobs: list[Job],
    seeds: int,
    ticks: int,
    work: Callable[[Job, Callable[[int], None]], list[dict]],
) -> list[report.Run]:
    """The runs of all jobs, those done before taken from `path`.

    `work(job, tick)` gives a result with a "seed" for each seed, and calls `tick(n)` until it has
    counted `ticks`. Runs are written as soon as their job is finished, so that a stopped sweep goes
    on where it was. Runs of other settings in the file are left as they are, and left out.
    """
    runs, others = report.read_runs(path, settings)
    if others:
        console.print(f"{path} also holds {others} lines of other settings: kept, not used here.")
    wanted = {(*job, seed) for job in jobs for seed in range(seeds)}
    done = {(run["group"], run["method"], run["seed"]) for run in runs}
    todo = [job for job in jobs if any((*job, seed) not in done for seed in range(seeds))]
    facts = report.machine()
    columns = (
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %, left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=ticks * len(jobs))
        progress.advance(task, ticks * (len(jobs) - len(todo)))
        for job in todo:
            group, method = job
            progress.update(task, description=f"{group}: {method}")
            results = work(job, lambda n: progress.advance(task, n))
            label = {"settings": settings, "group": group, "method": method, "machine": facts}
            report.append_runs(path, [label | result for result in results])
    runs, _ = report.read_runs(path, settings)
    order = {job: place for place, job in enumerate(jobs)}
    chosen = [run for run in runs if (run["group"], run["method"], run["seed"]) in wanted]
    return sorted(chosen, key=lambda run: (order[run["group"], run["method"]], run["seed"]))


class Study(NamedTuple):
    """What trains all seeds of a method at once."""

    fit: Callable[..., tuple[train.State, dict[str, np.ndarray]]]
    logits: Callable[[Any, train.State, Any], Array]  # (numbers, state, x), all but numbers by seed


def seeds(recipe_of: Callable[[Any], train.Recipe], *, batch: int) -> Study:
    """Train all seeds by vmap, and all methods that differ only in numbers by one program.

    Args:
      recipe_of: (numbers) -> recipe, under jit; numbers are a tree of floats, which get traced.
      batch: examples a step.

    Returns:
      `.fit(numbers, data, epochs=, tick=)` and `.logits(numbers, state, x)`. All arrays of `data`
      lead with an axis of seeds; seed i is the run of key i: initial weights, order, draws. `fit`
      gives the last states, and each score as an array [seeds, epochs].
    """

    @jax.jit
    def start(numbers: Any, keys: PRNGKeyArray) -> train.State:
        # Not by vmap, which takes XLA twice as long to compile; the weights are the same.
        return jax.lax.map(partial(train.init, recipe_of(numbers)), keys)

    @partial(jax.jit, static_argnames="epochs", donate_argnums=1)
    def some_epochs(numbers: Any, state: Any, keys: Any, data: train.Data, epochs: int) -> Any:
        one = lambda state, key, data: train.train_epochs(
            recipe_of(numbers), state, key, data, batch=batch, epochs=epochs
        )
        return jax.vmap(one)(state, keys, data)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, 0))
    def logits(numbers: Any, state: train.State, x: Array) -> Array:
        return train.logits(recipe_of(numbers), state, x)

    def fit(
        numbers: Any, data: train.Data, *, epochs: int, tick: Callable[[int], None], calls: int = 8
    ) -> tuple[train.State, dict[str, np.ndarray]]:
        numbers = jax.tree.map(jnp.float32, numbers)
        keys = jax.vmap(jax.random.key)(jnp.arange(len(data.y)))
        # Not the first two, which the data's own split may have taken from the same key.
        _, _, key_init, key_run = jax.vmap(partial(jax.random.split, num=4), out_axes=1)(keys)
        state, curves = start(numbers, key_init), []
        chunk = max(1, epochs // calls)  # so that a bar can move
        for first in range(0, epochs, chunk):
            n = min(chunk, epochs - first)
            state, scores = some_epochs(numbers, state, key_run, data, epochs=n)
            curves.append(jax.tree.map(np.asarray, scores))
            tick(n)
        return state, jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *curves)

    return Study(fit, logits)
