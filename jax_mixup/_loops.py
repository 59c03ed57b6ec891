"""Loops of many small steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, PyTree

Step = Callable[[PyTree, Any], PyTree]


def iterate(
    step: Step, state: PyTree, xs: PyTree[Array] = None, *, length: int | None = None, together: int
) -> PyTree:
    """Return the state after `state = step(state, x)` for each x of `xs`, or `length` times.

    A GPU starts each round of a loop from the host, and each of its kernels apart: off CPU several
    steps make one round, so that XLA fuses them. A CPU would only compile longer.
    """

    def run(state: PyTree, xs: PyTree, *, unroll: int) -> PyTree:
        return jax.lax.scan(lambda s, x: (step(s, x), None), state, xs, length, unroll=unroll)[0]

    unrolled = partial(run, unroll=together)
    return jax.lax.platform_dependent(state, xs, cpu=partial(run, unroll=1), default=unrolled)
