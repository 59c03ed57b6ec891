"""What a long run on many hosts needs to lose nothing: joining, a watch on the others, checkpoints.

Orbax writes the checkpoints, in the background and only ever whole. JAX by itself ends a run whose
process died by a stack trace, or not at all; the watch adds who is gone, and how to go on.
"""

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
from jax._src import distributed  # its key-value store has no public name
from jax.experimental import multihost_utils

from experiments.scale import State, Stop

RESUME = "Run the same command again: it resumes from step {step}."  # the herald knows the step


class Checkpoints:
    """The state and this process's place in the data, the last few of them, in OUT.

    Args:
      out: a folder that all processes see.
      settings: what defines the run, as JSON has it; a folder of another run is refused.
      keep: how many checkpoints stay.
    """

    def __init__(self, out: Path, settings: dict[str, Any], *, keep: int = 3):
        if jax.process_index() == 0:
            _same_run(out, settings)
        wait_for_all("settings")
        self.folder = steps_folder(out)
        self._manager = ocp.CheckpointManager(
            self.folder, options=ocp.CheckpointManagerOptions(max_to_keep=keep)
        )

    def save(self, step: int, state: State, data: grain.DatasetIterator) -> None:
        """Start to write; the arrays are copied before this returns."""
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(state), data=grain.checkpoint.CheckpointSave(data)
        )
        self._manager.save(step, args=args)

    def restore(self, shapes: State, shardings: State, data: grain.DatasetIterator) -> State | None:
        """The newest sound checkpoint, with `data` set to go on from there; None if there is none.

        A damaged one is moved aside, with a warning, so that it is neither used nor lost.
        """
        step = self._newest_sound(shapes)
        if step < 0:
            return None
        target = jax.tree.map(
            lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), shapes, shardings
        )
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(target), data=grain.checkpoint.CheckpointRestore(data)
        )
        return self._manager.restore(step, args=args)["state"]

    def close(self) -> None:
        """Wait until all is written."""
        self._manager.close()

    def _newest_sound(self, shapes: State) -> int:
        # One process reads and decides for all: had each found out by itself, those that see no
        # damage would wait for the others in Orbax's barriers.
        sound = -1
        if jax.process_index() == 0:
            for step in sorted(self._manager.all_steps(), reverse=True):
                damage = _damage(self.folder / str(step), shapes)
                if damage is None:
                    sound = step
                    break
                aside = self.folder / f"damaged-{step}-{time.time_ns()}"
                (self.folder / str(step)).rename(aside)
                warnings.warn(
                    f"The checkpoint of step {step} is damaged ({damage}); it is moved to {aside}, "
                    "and an older one is used if there is one.",
                    stacklevel=3,
                )
        if jax.process_count() > 1:
            sound = int(multihost_utils.broadcast_one_to_all(np.int32(sound)))
        self._manager.reload()
        return sound


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


def stop_asked() -> Callable[[int], bool]:
    """Catch Ctrl-C and SIGTERM; the function, asked after each step, says when to stop.

    Whichever process it was that got the signal, all stop after the same step. A second Ctrl-C is
    the usual one.
    """
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)  # which JAX catches, and tells the others

    signal.signal(signal.SIGINT, ask)
    if jax.process_count() > 1:
        return multihost_utils.reached_preemption_sync_point
    signal.signal(signal.SIGTERM, ask)
    return lambda step: asked.is_set()


class Log:
    """Metrics as JSON lines, and on the screen; by process 0 alone.

    After a stop some steps are done, and logged, again: of such, the last line counts.
    """

    def __init__(self, path: Path, *, total: int, every: int):
        self._path, self._total, self._every = path, total, every
        self._writes = jax.process_index() == 0
        if self._writes and path.exists() and not path.read_text().endswith("\n"):
            self._write("\n")  # a killed process may have left half a line

    def __call__(self, step: int, scores: dict[str, float]) -> None:
        """A line for every few steps of training, for the last, and for each evaluation."""
        some = "loss" not in scores or step % self._every == 0 or step == self._total
        if self._writes and some:
            self._write(json.dumps({"step": step, "time": time.time(), **scores}) + "\n")
            shown = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
            print(f"step {step}/{self._total}  {shown}", flush=True)

    def _write(self, text: str) -> None:
        with self._path.open("a") as file:
            file.write(text)


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


def _same_run(out: Path, settings: dict[str, Any]) -> None:
    path = out / "settings.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".tmp").write_text(json.dumps(settings, indent=1))
        path.with_suffix(".tmp").rename(path)
    found = json.loads(path.read_text())
    names = [n for n in found | settings if found.get(n) != settings.get(n)]
    if names:
        there = ", ".join(f"{name}={found.get(name)!r}" for name in names)
        here = ", ".join(f"{name}={settings.get(name)!r}" for name in names)
        raise Stop(
            f"{out} holds a run with {there}, and this one has {here}: give another --out, or the "
            "same options to go on with it."
        )


def _damage(folder: Path, shapes: State) -> str | None:
    """What keeps a checkpoint from being read, or None. Reads it all, in this process alone."""
    alone: Any = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
    target = jax.tree.map(lambda a: np.empty(a.shape, a.dtype), shapes)
    # What Orbax leaves running after an error complains on stderr, a hundred lines of it.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            for path in (folder / "data").glob("process_*.json"):
                json.loads(path.read_text())
            handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
            reader = ocp.Checkpointer(handler, multiprocessing_options=alone)
            reader.restore(folder / "state", args=ocp.args.StandardRestore(target))
        except Exception as error:  # whatever it is, an older checkpoint is the answer
            damage = f"{type(error).__name__}: {str(error)[:100]}".split("\n")[0]
        else:
            return None
        gc.collect()
    return damage
