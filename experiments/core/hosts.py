"""Processes on many hosts: joining, waiting for each other, stopping together.

JAX's coordination service watches the processes: when one is gone, it ends the others, and reports
which one it was. The same command then goes on from the newest checkpoint.
"""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils

from experiments.core.loop import Stop

RESUME = "Run the same command again: it goes on from the newest checkpoint."


def join(coordinator: str | None, processes: int | None, process: int | None, patience: float):
    """Connect to the other processes; without arguments, the pod's own environment names them.

    A process without a sign of life for `patience` seconds counts as gone.
    """
    jax.distributed.initialize(
        coordinator, processes, process, heartbeat_timeout_seconds=max(1, round(patience))
    )


def wait_for_all(name: str) -> None:
    """Return when all processes have come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextlib.contextmanager
def errors_end_all() -> Iterator[None]:
    """If there are other processes, end this one at once on an error, so that they notice.

    At a normal exit JAX would first wait for the others, which wait for this one's part of a
    collective.
    """
    try:
        yield
        wait_for_all("end")
    except BaseException as error:
        if jax.process_count() == 1:
            raise
        if isinstance(error, Stop):
            print(error, file=sys.stderr)
        elif isinstance(error, jax.errors.JaxRuntimeError):  # most likely a failed collective
            text = str(error).split("\n")[0]
            print(f"Another process is gone, it seems ({text}). {RESUME}", file=sys.stderr)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


@contextlib.contextmanager
def stop_asked() -> Iterator[Callable[[int], bool]]:
    """Catch Ctrl-C and SIGTERM; the function, asked after each step, says when to stop.

    Whichever process gets the signal, all stop after the same step. A second Ctrl-C has its usual
    effect.
    """
    asked, together = threading.Event(), jax.process_count() > 1

    def ask(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()
        if together:
            os.kill(os.getpid(), signal.SIGTERM)  # which JAX catches, and tells the others

    numbers = [signal.SIGINT] if together else [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.signal(number, ask) for number in numbers}
    alone = lambda step: asked.is_set()
    try:
        yield multihost_utils.reached_preemption_sync_point if together else alone
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
