"""Checkpoints: written by Orbax, in the background, and only ever whole."""

import json
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from experiments.core.hosts import wait_for_all
from experiments.core.loop import Stop
from experiments.core.step import State


class Checkpoints:
    """The state and this process's place in the data, the last few of them, in OUT.

    Orbax writes each into a folder of another name, and renames it when it is complete: a run that
    is killed while it saves goes on from the previous checkpoint.

    Args:
      out: a folder that all processes see.
      settings: what defines the run, in JSON's types; a folder of another run is refused.
      keep: number of checkpoints to keep.
    """

    def __init__(self, out: Path, settings: dict[str, Any], *, keep: int = 3):
        if jax.process_index() == 0:
            _same_run(out, settings)
        wait_for_all("settings")
        self.folder = out.absolute() / "checkpoints"  # a folder for each step, named by its number
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
        """The newest checkpoint, with `data` set to go on from there; None if there is none.

        Without `data`, a Grain iterator, the state is all there is.

        Raises:
          Stop: If the checkpoint cannot be read.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        target = jax.tree.map(
            lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), shapes, shardings
        )
        items: dict[str, Any] = {"state": ocp.args.StandardRestore(target)}
        if data is not None:
            items["data"] = _grain().CheckpointRestore(data)
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**items))["state"]
        except Exception as error:  # its type depends on where the damage is
            text = f"{type(error).__name__}: {str(error)[:100]}".split("\n")[0]
            raise Stop(
                f"{self.folder / str(step)} cannot be read ({text}): remove it to go on from the "
                "checkpoint before it, or from the start."
            ) from error

    def close(self) -> None:
        """Wait until all is written."""
        self._manager.close()


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
