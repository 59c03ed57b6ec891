"""Pictures in classes as arrays in memory: from TFDS, a NumPy archive, or a folder.

Only what a source needs is imported: no archive needs TFDS and Grain, one of pixels no Pillow.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from experiments.data import files
from experiments.data.files import Part, Row, Source

CHUNK = 500  # pictures that a thread decodes at a time


class Images(NamedTuple):
    """Training and test pictures, all of one size, and what to call them in a table."""

    x: UInt8[np.ndarray, "n h w c"]
    y: Int32[np.ndarray, "n"]
    x_test: UInt8[np.ndarray, "m h w c"]
    y_test: Int32[np.ndarray, "m"]
    class_names: tuple[str, ...]
    title: str


def load(
    source: str | Path,
    *,
    folder: str | Path = "data",
    train: int | None = None,
    test: int | None = None,
    resize: int | None = None,
) -> Images:
    """Read and decode a whole data set, or the first part of it.

    Args:
      source: a file NAME.npz, a folder, or one of `experiments.data.stream.NAMES`. An archive has
        u8 pictures as train_images, train_labels, test_images and test_labels, or as x_train,
        y_train, x_test and y_test; or JPEGs end to end as train_jpeg, train_offsets (picture i is
        jpeg[offsets[i]:offsets[i + 1]]), train_labels, and the same of test. Each may have
        class_names. A folder has train/CLASS/*.png or *.jpg, and the same in test/ or val/.
      folder: TFDS's folder, if the source is a name.
      train: take only this many, the first ones, and decode no others. They are a fair sample of a
        folder, and of what TFDS shuffled; of an archive only if the archive is shuffled.
      test: the same for the test pictures.
      resize: cut pictures to their centred square, and scale it to this height and width.
    """
    path = Path(source)
    if path.suffix == ".npz":
        found = files.archive(path)
    elif path.is_dir():
        found = files.folder(path)
    else:
        found = read_tfds(folder, str(source))
    n, m = first(found.train, train), first(found.test, test)
    # Training and test pictures together, so that they get the same size and channels.
    x, y = decode([*chunks(found.train, n), *chunks(found.test, m)], resize)
    if y.min() < 0 or y.max() >= len(found.class_names):
        raise ValueError(
            f"load got labels from {y.min()} to {y.max()} in {str(source)!r}; it needs them from 0 "
            f"to {len(found.class_names) - 1}, for {len(found.class_names)} class names."
        )
    return Images(x[:n], y[:n], x[n:], y[n:], tuple(found.class_names), found.title)


def first(part: Part, size: int | None) -> int:
    """How many pictures to take."""
    size = part.size if size is None else size
    if not 0 < size <= part.size:
        raise ValueError(
            f"load got {size} pictures to take, of {part.size}; it needs 1 or more, and as many as "
            "there are: pass another number, or None for all."
        )
    return size


def chunks(part: Part, size: int) -> Iterator[Callable[[], Iterable[Row]]]:
    for start in range(0, size, CHUNK):
        yield partial(part.read, range(start, min(start + CHUNK, size)))


def decode(
    reads: Iterable[Callable[[], Iterable[Row]]], resize: int | None
) -> tuple[UInt8[np.ndarray, "n h w c"], Int32[np.ndarray, "n"]]:
    """All pictures as one array, grey ones with one channel if all are grey, and their labels."""
    with ThreadPoolExecutor() as pool:
        work = lambda read: [(row.place, pixels(row, resize), row.label) for row in read()]
        done = [row for part in pool.map(work, reads) for row in part]
    places = {x.shape[:2]: place for place, x, _ in done}
    if len(places) > 1:
        (one, where), (other, elsewhere) = list(places.items())[:2]
        raise ValueError(
            f"load got pictures of {len(places)} sizes, as {one} in {where} and {other} in "
            f"{elsewhere}: pass resize=, or read a large set by experiments.data.stream.batches."
        )
    x = np.empty((len(done), *next(iter(places)), max(x.shape[2] for _, x, _ in done)), np.uint8)
    for i, (_, picture, _) in enumerate(done):
        x[i] = picture
    return x, np.array([label for *_, label in done], np.int32)


def pixels(row: Row, resize: int | None) -> UInt8[np.ndarray, "h w c"]:
    """The decoded picture."""
    if isinstance(row.picture, np.ndarray) and resize is None:
        return row.picture
    from PIL import Image, ImageOps

    try:
        picture = files.opened(row.picture)
        picture = picture if picture.mode == "L" else picture.convert("RGB")
        if resize is not None:
            picture = ImageOps.fit(picture, (resize, resize), Image.Resampling.BILINEAR)
        return np.atleast_3d(np.asarray(picture))
    except (OSError, SyntaxError) as error:  # Pillow raises either, by where the damage is
        raise ValueError(
            f"load cannot decode {row.place} ({error}): copy or download it again, or leave it out."
        ) from error


def read_tfds(folder: str | Path, name: str) -> Source:
    """A data set that TFDS prepared."""
    from experiments.data import stream

    found = stream.builder(folder, name)

    def part(split: str) -> Part:
        source = stream.records(found, split)

        def read(rows: range) -> Iterator[Row]:
            # In chunks, which take a quarter of the time of single pictures.
            for i, record in zip(rows, source.__getitems__(list(rows)), strict=True):
                yield Row(f"record {i} of {split} in {name}", record["image"], record["label"])

        return Part(len(source), read)

    names: Any = found.info.features
    test = stream.test_split(name, found.info.splits)
    return Source(part("train"), part(test), names["label"].names, stream.NAMES.get(name, name))
