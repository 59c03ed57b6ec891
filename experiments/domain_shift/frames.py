"""CamVid's frames by day and at dusk, which its videos' names say."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from experiments.data import camvid
from experiments.data.camvid import Frames, Scenes

DUSK = "0001TP"  # the one video that was taken at dusk; its first half trains, its second tests


class Domains(NamedTuple):
    """Frames by day and at dusk.

    Args:
      train: those by day come first.
      by_day: how many these are.
      held_out: by day, for choosing.
      dusk, day: what results are tested on.
    """

    train: Frames
    by_day: int
    held_out: Frames
    dusk: Frames
    day: Frames


def read(path: Path, *, factor: int) -> Domains:
    """The archive's frames, 1 / `factor` of the size."""
    scenes = camvid.read(path, factor=factor)
    with np.load(path) as file:
        parts = [f"{part}_names" for part in ("train", "test")]
        if lacking := [name for name in parts if name not in file]:
            raise ValueError(
                f"domain_shift got {path.name!r} without {', '.join(lacking)}, which say what is "
                "at dusk: get it by `python -m experiments.data.fetch camvid_240x180`."
            )
        trained, tested = (np.char.startswith(file[name], DUSK) for name in parts)
    return divided(scenes, trained, tested)


def divided(
    scenes: Scenes, trained: Bool[np.ndarray, "n"], tested: Bool[np.ndarray, "m"]
) -> Domains:
    """The parts, by which frames of training and test are at dusk."""
    order = np.argsort(trained, kind="stable")
    return Domains(
        _taken(scenes.train, order),
        int((~trained).sum()),
        scenes.val,
        _taken(scenes.test, tested),
        _taken(scenes.test, ~tested),
    )


def generated() -> Domains:
    """Small scenes that need no file; every third is darker."""
    scenes = camvid.generated()
    dark = [np.arange(len(part.images)) % 3 == 1 for part in (scenes.train, scenes.test)]

    def dimmed(frames: Frames, at_dusk: np.ndarray) -> Frames:
        shown = np.where(at_dusk[:, None, None, None], frames.images // 3, frames.images)
        return frames._replace(images=shown)

    train, test = map(dimmed, (scenes.train, scenes.test), dark)
    return divided(Scenes(train, scenes.val, test), *dark)


def _taken(frames: Frames, which: np.ndarray) -> Frames:
    return Frames(frames.images[which], frames.masks[which])
