"""CamVid's street scenes with a class id for each pixel, from one NumPy archive."""

import io
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign", "fence", "car", "pedestrian", "bicyclist"),
)
VOID = len(CLASSES)  # the id of pixels that nobody labelled: never learned, never scored
PARTS = ("train", "val", "test")
NEEDED = tuple(f"{part}_{name}" for part in PARTS for name in ("jpeg", "offsets", "masks"))
ORIGIN = (
    f"it needs a NumPy archive with the arrays {', '.join(NEEDED)}: JPEGs end to end, their "
    "offsets and uint8 masks[n, h, w] of 11 classes and 11 for void, of CamVid (Brostow et al. "
    "2008): get it by `python -m experiments.data.fetch camvid_240x180`"
)


class Frames(NamedTuple):
    """Pictures, and the class of each of their pixels."""

    images: UInt8[np.ndarray, "n h w 3"]
    masks: Int32[np.ndarray, "n h w"]


class Scenes(NamedTuple):
    """The official parts: what is trained on, what choices are made on, what is reported."""

    train: Frames
    val: Frames
    test: Frames


def read(path: Path, *, factor: int = 1) -> Scenes:
    """All frames, 1 / `factor` of the size.

    Pictures are averaged over squares; of masks, whose ids have no average, each square's middle
    pixel is taken.
    """
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"camvid cannot read {path.name!r} ({error}); {ORIGIN}.") from error
    if lacking := [name for name in NEEDED if name not in arrays]:
        raise ValueError(f"camvid got {path.name!r} without {', '.join(lacking)}; {ORIGIN}.")
    return Scenes(*(_frames(arrays, part, factor) for part in PARTS))


def smaller(
    images: UInt8[np.ndarray, "n h w 3"], masks: UInt8[np.ndarray, "n h w"], factor: int
) -> Frames:
    """Frames that fit together and hold no unknown id, 1 / `factor` of the size."""
    if masks.shape != images.shape[:-1]:
        raise ValueError(
            f"camvid got masks of shape {masks.shape} for images of shape {images.shape}; it needs "
            "one id for each pixel: resize the masks by nearest neighbour."
        )
    if masks.max(initial=0) > VOID:
        raise ValueError(
            f"camvid got the id {masks.max()} in a mask; it needs 0 to {VOID - 1}, or {VOID} for "
            "void: map other ids to these."
        )
    count, height, width = masks.shape
    if height % factor or width % factor:
        raise ValueError(
            f"camvid got factor={factor} for frames of {height} x {width}; it needs a divisor of "
            "both, such as 1, 3 or 4."
        )
    cells = images.reshape(count, height // factor, factor, width // factor, factor, 3)
    middle = slice(factor // 2, None, factor)
    pictures = np.round(cells.mean((2, 4), dtype=np.float32)).astype(np.uint8)
    return Frames(pictures, masks[:, middle, middle].astype(np.int32))


def generated(*, sizes: tuple[int, int, int] = (16, 4, 6), height: int = 16, width: int = 24):
    """Small scenes that need no file: sky, road, void at the bottom, and two things to find."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (VOID + 1, 3))

    def frames(count: int) -> Frames:
        masks = np.full((count, height, width), CLASSES.index("sky"), np.int32)
        masks[:, height // 2 :] = CLASSES.index("road")
        masks[:, -1] = VOID
        for mask in masks:
            for name in ("car", "tree"):
                top, left = rng.integers(0, (height * 2 // 3, width * 2 // 3))
                mask[top : top + height // 4, left : left + width // 4] = CLASSES.index(name)
        noisy = colours[masks] + rng.normal(0, 20, (*masks.shape, 3))
        return Frames(noisy.clip(0, 255).astype(np.uint8), masks)

    return Scenes(*map(frames, sizes))


def _frames(arrays: dict[str, np.ndarray], part: str, factor: int) -> Frames:
    jpeg, at, masks = (arrays[f"{part}_{name}"] for name in ("jpeg", "offsets", "masks"))
    if len(at) != len(masks) + 1:
        raise ValueError(
            f"camvid got {len(at)} {part}_offsets for {len(masks)} masks; it needs one more than "
            "masks: write the archive again."
        )
    pictures = [
        np.asarray(Image.open(io.BytesIO(jpeg[a:b].tobytes())).convert("RGB"))
        for a, b in pairwise(at)
    ]
    return smaller(np.stack(pictures), masks, factor)
