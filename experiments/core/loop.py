"""The training loop: dispatch steps, read their metrics late, evaluate, save, stop."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from experiments.core.step import Metrics, State

Scores = dict[str, float]


class Stop(Exception):
    """Ends a run; its text is all that the user has to read."""


class Hooks(NamedTuple):
    """What `fit` calls, each with the number of steps that are done."""

    log: Callable[[int, Scores], None]
    save: Callable[[int, State], None]
    stopped: Callable[[int], bool]  # whether to save and return now; the same on all processes


def fit(
    dispatch: Callable[[State], tuple[State, Metrics]],
    state: State,
    hooks: Hooks,
    *,
    steps: int,
    evaluate: Callable[[State], Scores],
    evaluate_every: int,
    save_every: int,
) -> State:
    """Train until `steps` are done, from wherever `state` is; evaluate and save at the end, too.

    Metrics are read one dispatch late, while the devices work. A dispatch of many steps evaluates
    and saves where it reaches or passes a multiple of `evaluate_every` and `save_every`.

    Args:
      dispatch: does one step, or n; metrics are f32[] or f32[n]. The state it gets may be donated.
      evaluate: gives the scores of the state that are logged.

    Raises:
      Stop: If the loss or the gradient is not finite; nothing after that is ever saved.
    """
    done, late = int(state.step), (0, {})
    while done < steps:
        state, metrics = dispatch(state)
        _read(late, hooks)
        first, late = done, (done, metrics)
        done += np.size(next(iter(metrics.values())))
        stop, end = hooks.stopped(done), done >= steps
        evaluates = end or done // evaluate_every > first // evaluate_every
        saves = end or stop or done // save_every > first // save_every
        if evaluates or saves:
            _read(late, hooks)
            late = (0, {})
        if evaluates:
            hooks.log(done, evaluate(state))
        if saves:
            hooks.save(done, state)
        if stop:
            break
    return state


def score(batches: Iterable[Metrics]) -> Scores:
    """The loss and accuracy over all real examples, and their number, from sums over batches."""
    totals: Scores = {}
    for sums in batches:
        totals = {name: totals.get(name, 0) + float(value) for name, value in sums.items()}
    count = totals["count"]
    return {
        "validation_loss": totals["loss"] / count,
        "validation_accuracy": totals["correct"] / count,
        "validation_count": count,
    }


def _read(late: tuple[int, Metrics], hooks: Hooks) -> None:
    """Log each step of a dispatch that began after late[0] steps, up to one that is not finite."""
    first, metrics = late[0], {name: np.atleast_1d(value) for name, value in late[1].items()}
    for i, values in enumerate(zip(*metrics.values(), strict=True)):
        scores = {name: float(value) for name, value in zip(metrics, values, strict=True)}
        wrong = [f"{name} is {value}" for name, value in scores.items() if not np.isfinite(value)]
        if wrong:
            raise Stop(
                f"At step {first + i + 1} {wrong[0]}: train with a lower rate, more warm-up or "
                "clipped gradients, into another --out."
            )
        hooks.log(first + i + 1, scores)
