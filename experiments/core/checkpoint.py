"""Checkpoints: written by Orbax, in the background and only ever whole, and read with care."""

import contextlib
import gc
import io
import json
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from experiments.core.hosts import steps_folder, wait_for_all
from experiments.core.loop import Stop
from experiments.core.step import State


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

    def save(self, step: int, state: State, data: Any = None) -> None:
        """Start to write; the arrays are copied before this returns."""
        items: dict[str, Any] = {"state": ocp.args.StandardSave(state)}
        if data is not None:
            items["data"] = _grain().CheckpointSave(data)
        self._manager.save(step, args=ocp.args.Composite(**items))

    def restore(self, shapes: State, shardings: State, data: Any = None) -> State | None:
        """The newest sound checkpoint, with `data` set to go on from there; None if there is none.

        Without `data`, a Grain iterator, the state is all there is. A damaged checkpoint is moved
        aside, with a warning, so that it is neither used nor lost.
        """
        step = self._newest_sound(shapes)
        if step < 0:
            return None
        target = jax.tree.map(
            lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), shapes, shardings
        )
        items: dict[str, Any] = {"state": ocp.args.StandardRestore(target)}
        if data is not None:
            items["data"] = _grain().CheckpointRestore(data)
        return self._manager.restore(step, args=ocp.args.Composite(**items))["state"]

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


def _grain() -> Any:
    import grain.checkpoint  # only runs that stream their data need it

    return grain.checkpoint


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
