"""Scenes of several handwritten digits with their boxes, and how well detections fit them."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

INK = 0.3  # boxes are tight around pixels above this


class Scenes(NamedTuple):
    """NumPy's arrays or JAX's. Where a weight is 0 there is no object. Places are in pixels."""

    images: Float32[Any, "n s s 1"]
    boxes: Float32[Any, "n m 4"]  # (y0, x0, y1, x1)
    weights: Float32[Any, "n m"]
    labels: Int32[Any, "n m"]
    points: Float32[Any, "n m 2"]  # the centre of each digit's ink: a keypoint
    visible: Float32[Any, "n m"]  # whether that centre is


class Found(NamedTuple):
    """Detections of each scene, in any order."""

    scores: Float32[Any, "n k"]
    labels: Int32[Any, "n k"]
    boxes: Float32[Any, "n k 4"]


def compose(
    rng: np.random.Generator,
    x: Float32[np.ndarray, "d 8 8 1"],
    y: Int32[np.ndarray, "d"],
    count: int,
    *,
    size: int = 32,
    most: int = 4,
) -> tuple[Scenes, Int32[np.ndarray, "count size size"]]:
    """Put 1 to `most` of the digits, 9 to 16 pixels large, on noise, where they overlap little.

    The ids say whose ink is at each position: 1 to `most`, in the order of the lists; 0 for none.
    """
    images = rng.uniform(0, 0.25, (count, size, size, 1)).astype(np.float32)
    scenes = Scenes(
        images,
        np.zeros((count, most, 4), np.float32),
        np.zeros((count, most), np.float32),
        np.zeros((count, most), np.int32),
        np.zeros((count, most, 2), np.float32),
        np.zeros((count, most), np.float32),
    )
    ids = np.zeros((count, size, size), np.int32)
    for scene in range(count):
        for place in range(rng.integers(1, most + 1)):
            which = rng.integers(len(y))
            ink, centre = enlarged(x[which, ..., 0], int(rng.integers(9, 17)))
            for _ in range(20):
                corner = rng.integers(0, size - np.array(ink.shape) + 1)
                box = np.concatenate([corner, corner + ink.shape]).astype(np.float32)
                if (iou(box, scenes.boxes[scene]) < 0.05).all():
                    _put(scenes, ids, (scene, place), box, ink, corner + centre, y[which])
                    break
            else:
                break  # no room: the scene has fewer objects
    return scenes, ids


def enlarged(digit: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The digit at another size, linearly interpolated and cut to its ink, and the ink's centre."""
    at = np.clip((np.arange(size) + 0.5) * len(digit) / size - 0.5, 0, len(digit) - 1)
    weights = np.maximum(1 - np.abs(at[:, None] - np.arange(len(digit))), 0)
    tile = weights @ digit @ weights.T
    (y0, y1), (x0, x1) = (_ends(tile.max(axis=axis) > INK) for axis in (1, 0))
    ink = tile[y0:y1, x0:x1]
    centre = [(ink * (place + 0.5)).sum() / ink.sum() for place in np.indices(ink.shape)]
    return ink, np.array(centre)


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box with each of others; 0 without an area."""
    start, stop = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.maximum(stop - start, 0).prod(axis=1)
    area = lambda boxes: np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1)
    union = area(box) + area(boxes) - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0)


def average_precision(found: Found, scenes: Scenes, *, overlap: float = 0.5) -> float:
    """The area below the curve of precision over recall, averaged over the classes that occur.

    From the highest score on, a detection is right if it overlaps by `overlap` (IoU) with an object
    of its class that has none yet, and takes the one with which it overlaps most. Precision at a
    recall is the highest at that recall or beyond.
    """
    if not (scenes.weights > 0).any():
        raise ValueError(
            "average_precision got scenes without an object; it needs one: leave empty scenes "
            "among others, where what is found in them counts as wrong."
        )
    return _mean_area(_ranked(found, scenes, overlap), np.ones(len(scenes.images), bool))


def without_each(found: Found, scenes: Scenes, parts: int, *, overlap: float = 0.5) -> list[float]:
    """The average precision without each part of the scenes: for the jackknife.

    A detection is right or wrong by its own scene alone, so that no other scene has to be judged
    again. Part i has scenes i, i + `parts`, ...
    """
    ranked, part = _ranked(found, scenes, overlap), np.arange(len(scenes.images)) % parts
    return [_mean_area(ranked, part != i) for i in range(parts)]


class _Ranked(NamedTuple):
    """A class's detections by falling score."""

    rows: np.ndarray  # the scene of each
    hits: np.ndarray  # whether it is right
    objects: np.ndarray  # how many each scene has


def _mean_area(ranked: list[_Ranked], kept: np.ndarray) -> float:
    """Averaged over the classes that occur in the scenes that are kept."""
    return float(
        np.mean([_area(r.hits[kept[r.rows]], n) for r in ranked if (n := r.objects[kept].sum())])
    )


def _ranked(found: Found, scenes: Scenes, overlap: float) -> list[_Ranked]:
    alive = scenes.weights > 0
    return [
        _of_class(found, scenes, alive & (scenes.labels == label), label, overlap)
        for label in np.unique(scenes.labels[alive])
    ]


def _of_class(
    found: Found, scenes: Scenes, objects: np.ndarray, label: int, overlap: float
) -> _Ranked:
    rows, places = np.nonzero(found.labels == label)
    order = np.argsort(-found.scores[rows, places], kind="stable")
    free, hits = objects.copy(), np.zeros(len(order), bool)
    for i, at in enumerate(order):
        row = rows[at]
        shared = np.where(free[row], iou(found.boxes[row, places[at]], scenes.boxes[row]), 0)
        best = shared.argmax()
        if shared[best] >= overlap:
            free[row, best], hits[i] = False, True
    return _Ranked(rows[order], hits, objects.sum(axis=1))


def _area(hits: np.ndarray, total: int) -> float:
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[hits].sum() / total)  # each hit is a step of recall


def _put(
    scenes: Scenes,
    ids: np.ndarray,
    at: tuple[int, int],
    box: np.ndarray,
    ink: np.ndarray,
    centre: np.ndarray,
    label: int,
) -> None:
    y0, x0, y1, x1 = box.astype(int)
    canvas = scenes.images[at[0], y0:y1, x0:x1, 0]
    np.maximum(canvas, ink, out=canvas)
    ids[at[0], y0:y1, x0:x1][ink > INK] = at[1] + 1
    values = (box, 1, label, centre, 1)
    for array, value in zip(scenes[1:], values, strict=True):
        array[at] = value


def _ends(there: np.ndarray) -> tuple[int, int]:
    (places,) = np.nonzero(there)
    return int(places[0]), int(places[-1]) + 1
