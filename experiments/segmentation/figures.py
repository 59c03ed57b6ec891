"""Pictures of segmentation: frames with their classes laid over them."""

import base64
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import jax_mixup as jm
from experiments.data.camvid import CLASSES, VOID, Frames
from experiments.harness.runs import Run

# Of the classes; void is black.
COLOURS = np.array(
    [
        *((86, 180, 233), (170, 60, 50), (240, 228, 66), (130, 90, 150), (220, 120, 200)),
        *((0, 140, 90), (255, 150, 60), (140, 110, 60), (0, 60, 190), (250, 250, 250)),
        *((0, 230, 200), (0, 0, 0)),
    ],
    np.uint8,
)
FRAMES = 4  # number of test frames that are shown


def shown_of(count: int) -> np.ndarray:
    """Which of `count` test frames are shown: spread evenly."""
    return (2 * np.arange(FRAMES) + 1) * count // (2 * FRAMES)


def packed(ids: np.ndarray) -> str:
    """Ids as text, for a line of runs."""
    return base64.b64encode(zlib.compress(ids.astype(np.uint8).tobytes(), 9)).decode()


def unpacked(text: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(shape)


def overlay(image: UInt8[np.ndarray, "h w 3"], ids: Int[np.ndarray, "h w"]) -> np.ndarray:
    """The frame in the classes' colours; void is black."""
    mixed = 0.35 * image + 0.65 * COLOURS[ids]
    return np.where(ids[..., None] == VOID, 0, mixed).astype(np.uint8)


def predictions(path: Path, test: Frames, runs: Sequence[Run], methods: Iterable[str]) -> None:
    """Rows: test frames. Columns: the frame, its truth, and each method's prediction by seed 0."""
    said = {run["method"]: run["shown"] for run in runs if run["seed"] == 0}
    columns = {method: said[method] for method in methods}
    rows = shown_of(len(test.images))
    images, truth = test.images[rows], test.masks[rows]
    figure = Figure(figsize=(2.1 * (2 + len(columns)), 1.75 * FRAMES + 1), layout="constrained")
    panes = figure.subplots(FRAMES, 2 + len(columns), squeeze=False)
    _fill(panes[:, 0], "frame", list(images))
    _fill(panes[:, 1], "truth (black: void)", list(map(overlay, images, truth)))
    for pane, (title, text) in zip(panes.T[2:], columns.items(), strict=True):
        found = unpacked(text, truth.shape)
        _fill(pane, title, list(map(overlay, images, found)))
        for axes, own, true in zip(pane, found, truth, strict=True):
            right = (own == true)[true != VOID].mean()
            axes.set_xlabel(f"{100 * right:.0f} % of pixels right", fontsize=8)
    _save(figure, path)


def mixes(
    path: Path, train: Frames, samplers: Mapping[str, Callable[..., jm.Mix]], *, seed: int = 3
) -> None:
    """Rows: two frames, each with its mask. Columns: as they are, and mixed by each method."""
    pair = [0, len(train.images) // 2]
    images, ids = jnp.asarray(train.images[pair]), jnp.asarray(train.masks[pair])
    figure = Figure(figsize=(2.1 * len(samplers), 1.7 * 4 + 1.2), layout="constrained")
    panes = figure.subplots(4, len(samplers), squeeze=False)
    for pane, (name, sampler) in zip(panes.T, samplers.items(), strict=True):
        mix = sampler(jax.random.key(seed), ids)
        mixed = np.asarray(jm.blend(mix, images, dtype=jnp.uint8))
        _fill(pane[:2], "as they are" if name == "plain" else name, list(mixed))
        _fill(pane[2:], "", _masks(mix, np.asarray(ids)))
        for axes, lam in zip(pane[2:], np.asarray(mix.lam), strict=True):
            said = "of its positions" if mix.mask.dtype == jnp.bool_ else "of the loss to its mask"
            axes.set_xlabel("" if name == "plain" else f"{100 * lam:.0f} % {said}", fontsize=8)
    _save(figure, path)


def _masks(mix: jm.Mix, ids: np.ndarray) -> list[np.ndarray]:
    """Masks under the mix, as colours: a soft mix weights the colours of two masks."""
    if mix.mask.dtype == jnp.bool_:
        return list(COLOURS[np.asarray(jm.select(mix, jnp.asarray(ids)))])
    return list(np.asarray(jm.blend(mix, jnp.asarray(COLOURS[ids]), dtype=jnp.uint8)))


def _fill(pane: Any, title: str, pictures: list[Float[np.ndarray, "h w 3"]]) -> None:
    pane[0].set_title(title, fontsize=9)
    for axes, picture in zip(pane, pictures, strict=True):
        axes: Axes
        axes.imshow(picture)
        axes.set(xticks=[], yticks=[])


def _save(figure: Figure, path: Path) -> None:
    names = [*CLASSES, "void"]
    patches = [
        Patch(fc=colour / 255, ec="#999999", label=name)
        for colour, name in zip(COLOURS, names, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, pil_kwargs={"optimize": True})
