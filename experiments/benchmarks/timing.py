"""Time calls side by side: interleaved in random order, as ratios to the floor of the same round.

A ratio within a round cancels what slowed the machine in that round; the median over rounds cancels
what slowed it only once.
"""

import ctypes
import random
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Row(NamedTuple):
    """One full call, which may return before its arrays are ready."""

    call: Callable[[], Any]
    compile_seconds: float | None = None  # to trace, lower and compile it, with cold caches


def keep_memory() -> None:
    """Let glibc reuse freed memory, where there is a glibc.

    By default it gives a large result back to the system and faults its pages in again at each
    call: 20 ms for 38 MB, which hides all differences.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-8, 1)):  # MMAP_MAX, TRIM_THRESHOLD, ARENA_MAX
        mallopt(option, value)


def compiled(function: Callable, *arrays: Any) -> Row:
    """The function traced and compiled for these arrays, in a process that did so before."""
    jax.clear_caches()  # else functions of JAX that a row before has traced would cost nothing
    start = time.perf_counter()
    program = jax.jit(function).lower(*arrays).compile()
    return Row(lambda: program(*arrays), time.perf_counter() - start)


def measure(
    rows: dict[str, Row], *, rounds: int, seconds: float = 0.02, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Median ratio to the first row, its quartiles, milliseconds, and seconds of compiling.

    In each round each row is called for about `seconds`, in a new order.
    """
    order = random.Random(seed)
    for row in rows.values():
        jax.block_until_ready(row.call())
    calls = {name: max(1, int(seconds / _time(row, 1))) for name, row in rows.items()}
    rounds_taken = []
    for _ in range(rounds):
        names = order.sample(list(rows), len(rows))
        rounds_taken.append({name: _time(rows[name], calls[name]) for name in names})
    floor = next(iter(rows))
    result = {}
    for name, row in rows.items():
        ratios = [taken[name] / taken[floor] for taken in rounds_taken]
        low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else 3 * ratios
        milliseconds = 1e3 * statistics.median(taken[name] for taken in rounds_taken)
        result[name] = {"ratio": middle, "low": low, "high": high, "ms": milliseconds}
        result[name]["compile"] = row.compile_seconds
    return result


def _time(row: Row, calls: int) -> float:
    jax.block_until_ready(row.call())  # not counted: the caches hold data of the row before
    result, start = None, time.perf_counter()
    for _ in range(calls):
        result = row.call()
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / calls
