"""Metrics of a run as they come: JSON lines, the screen, and TensorBoard where it is installed."""

import contextlib
import datetime
import importlib
import json
import time
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from experiments.core.loop import Scores


class Log(contextlib.AbstractContextManager):
    """Metrics in FOLDER/metrics.jsonl, for TensorBoard in FOLDER, and on the screen; by process 0.

    TensorBoard gets them if tensorboardX is installed. After a stop some steps are done and
    logged twice: for those, the last line counts.

    Args:
      folder: the run's folder.
      total: number of steps of the whole run.
      every: steps from one line to the next.
      console: where progress shows: as a bar if it is a terminal, else as lines. None: nowhere.
    """

    def __init__(self, folder: Path, *, total: int, every: int, console: Console | None = None):
        self._path, self._total, self._every = folder / "metrics.jsonl", total, every
        self._writes = jax.process_index() == 0
        self._start, self._first, self._board = time.time(), -1, None
        self._console = console if self._writes else None
        columns = BarColumn(), TextColumn("{task.description}")
        self._bar = Progress(*columns, console=console, disable=not self._terminal)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()
        if self._writes and self._path.exists() and not self._path.read_text().endswith("\n"):
            self._write("\n")  # a killed process may have left half a line

    def __call__(self, step: int, scores: Scores) -> None:
        """A line for every few steps of training, for the last, and for each evaluation."""
        if self._first < 0:
            self._first = step - 1
            self._board = _tensorboard(self._path.parent, step) if self._writes else None
        trained = "loss" in scores
        if not self._writes or (trained and step % self._every and step != self._total):
            return
        self._write(json.dumps({"step": step, "time": time.time(), **scores}) + "\n")
        if self._board is not None:
            for name, value in scores.items():
                self._board.add_scalar(name, value, step)
        line = self._line(step, scores)
        self._bar.update(self._task, completed=step, description=line)
        if self._console is not None and not (trained and self._terminal):
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._board is not None:
            self._board.close()

    @property
    def _terminal(self) -> bool:
        return self._console is not None and self._console.is_terminal

    def _line(self, step: int, scores: Scores) -> str:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
        pace = (time.time() - self._start) / (step - self._first)
        left = datetime.timedelta(seconds=round(pace * (self._total - step)))
        return f"step {step}/{self._total}  {shown}  {left} left"

    def _write(self, text: str) -> None:
        with self._path.open("a") as file:
            file.write(text)


def read(path: Path) -> dict[int, Scores]:
    """What was logged of each step; if a step was logged twice, the last."""
    steps: dict[int, Scores] = {}
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:  # half a line
            continue
        steps.setdefault(line.pop("step"), {}).update(line)
    return steps


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer that drops what a stopped run wrote from this step on; None if not installed."""
    try:
        package: Any = importlib.import_module("tensorboardX")
    except ImportError:
        return None
    return package.SummaryWriter(str(folder), purge_step=step)
