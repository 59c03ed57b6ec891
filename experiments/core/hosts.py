"""Processes on many hosts: joining, a watch on the others, stopping together.

JAX by itself ends a run whose process died by a stack trace, or not at all; the watch adds who is
gone, and how to go on.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import jax
from jax._src import distributed  # its key-value store has no public name
from jax.experimental import multihost_utils

from experiments.core.loop import Stop

RESUME = "Run the same command again: it resumes from step {step}."  # the herald knows the step


def steps_folder(out: Path) -> Path:
    """Where a run's checkpoints are: a folder for each step, named by its number."""
    return out.absolute() / "checkpoints"


def join(coordinator: str | None, processes: int | None, process: int | None, patience: float):
    """Connect to the other processes; without arguments, as a pod's own environment says."""
    # JAX itself gives up later than the watch, which can say why.
    jax.distributed.initialize(
        coordinator, processes, process, heartbeat_timeout_seconds=max(30, round(3 * patience))
    )


def wait_for_all(name: str) -> None:
    """Return when all processes have come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextlib.contextmanager
def stop_asked() -> Iterator[Callable[[int], bool]]:
    """Catch Ctrl-C and SIGTERM; the function, asked after each step, says when to stop.

    Whichever process it was that got the signal, all stop after the same step. A second Ctrl-C is
    the usual one.
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


@contextlib.contextmanager
def watched(out: Path, patience: float) -> Iterator[None]:
    """End this process with a sentence and exit code 1 when another one is gone, or stopped.

    Each process leaves a sign of life in JAX's key-value store a few times in `patience` seconds,
    and the first looks whether they all do. Of an error that ends this process the others learn at
    once. Where JAX aborts the process, as it does when the first one dies, a herald is left: a
    small process that waits for this one's end, and says what is known. In a run of one process all
    this is off.
    """
    if jax.process_count() == 1:
        yield
        return
    watch = _Watch(out, patience)
    try:
        yield
        wait_for_all("end")
    except BaseException as error:
        watch.stop_with(error)
    watch.close()


class _Watch:
    def __init__(self, out: Path, patience: float):
        self._period = patience / 5
        self._client: Any = distributed.global_state.client
        self._me, self._count = jax.process_index(), jax.process_count()
        address = str(distributed.global_state.coordinator_address)
        command = [sys.executable, "-c", _HERALD, str(self._me), address, str(steps_folder(out))]
        self._herald = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        self._done, self._ending = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._herald.communicate("bye")

    def stop_with(self, error: BaseException) -> NoReturn:
        """Tell the others, and end. Not by an exception: at exit JAX would wait for the others."""
        if isinstance(error, jax.errors.JaxRuntimeError):
            # Most likely a collective that misses a process. The watch will say which one, and
            # ends this process while it sleeps.
            time.sleep(3 * 5 * self._period)
        if not isinstance(error, Stop):
            traceback.print_exc()
        text = str(error) if isinstance(error, Stop) else f"{type(error).__name__}: {error}"
        text = text.strip().split("\n")[0]
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._tell(f"Process {self._me} stopped: {text}")
        self._end(text)

    def _watch(self) -> None:
        missed, last = [0] * self._count, [""] * self._count
        beat = 0
        while not self._done.wait(self._period):
            beat += 1
            try:
                self._client.key_value_set(f"alive/{self._me}", str(beat), allow_overwrite=True)
                words = self._client.key_value_dir_get("word/")
                signs = self._client.key_value_dir_get("alive/") if self._me == 0 else []
            except jax.errors.JaxRuntimeError:
                self._end(f"Process 0 is gone: its key-value store does not answer. {RESUME}")
            if words:
                self._end(words[0][1])
            if self._me:
                continue
            found = {int(key.rsplit("/", 1)[1]): value for key, value in signs}
            # Counted in looks, not in seconds: a pause of this very process must not count.
            for i in range(self._count):
                sign = found.get(i, "")
                missed[i] = missed[i] + 1 if sign == last[i] else 0
                last[i] = sign
            gone = [str(i) for i in range(self._count) if missed[i] > 5]
            if gone:
                names = f"Process {gone[0]} is" if len(gone) == 1 else f"Processes {gone} are"
                seconds = f"{5 * self._period:g} s"
                word = f"{names} gone (no sign of life for {seconds}). {RESUME}"
                self._tell(word)
                self._end(word)

    def _tell(self, word: str) -> None:
        self._client.key_value_set(f"word/{self._me}", word, allow_overwrite=True)
        if self._me == 0:
            time.sleep(2 * self._period)  # the store ends with this process: let the others read

    def _end(self, word: str) -> NoReturn:
        self._ending.acquire()  # for good: one of the two threads says it
        try:
            self._herald.communicate(word)  # it prints, and ends
        finally:
            os._exit(1)


# Run by `python -c`, so that it costs no import of JAX. Standard input ends when this process does.
_HERALD = """
import pathlib, signal, socket, sys
for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
    signal.signal(number, signal.SIG_IGN)
me, address, folder = sys.argv[1:]
word = sys.stdin.read()
if not word:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), 5).close()
        word = f"Process {me} was killed or crashed."
    except OSError:
        word = f"Process 0 is gone: the coordinator at {address} does not answer."
    word += " RESUME"
if word != "bye":
    steps = [int(path.name) for path in pathlib.Path(folder).glob("*") if path.name.isdigit()]
    print(word.replace("{step}", str(max(steps, default=0))), file=sys.stderr, flush=True)
""".replace("RESUME", RESUME)
