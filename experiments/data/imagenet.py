"""ImageNet's reader, and `generate`, which writes a small stand-in of coloured shapes for it."""

import colorsys
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw

from experiments.data import stream

builder = partial(stream.builder, name="imagenet2012")
batches = partial(stream.batches, name="imagenet2012")


def generate(
    folder: str | Path,
    *,
    num_classes: int = 4,
    train: int = 64,
    validation: int = 16,
    seed: int = 0,
) -> None:
    """Write an imagenet2012 of coloured shapes, their hue the label's, JPEGs of varied sizes."""
    home = Path(folder) / "imagenet2012" / "5.1.0"
    if home.parent.exists():
        raise FileExistsError(
            f"generate got folder={str(folder)!r}, which has an imagenet2012: pass an empty folder."
        )
    home.mkdir(parents=True)
    version = tfds.core.Version(home.name)
    features = tfds.features.FeaturesDict(
        {
            "file_name": tfds.features.Text(),
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=num_classes),
        }
    )
    identity = tfds.core.DatasetIdentity(
        name="imagenet2012", version=version, data_dir=str(home), module_name=""
    )
    info = tfds.core.DatasetInfo(builder=identity, features=features)
    # Small shards, so that there are several; pictures as bytes, since arrays need TensorFlow.
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=48, file_format="array_record")
    rng = np.random.default_rng(seed)
    sizes = {"train": train, "validation": validation}
    writer.initialize_splits(list(sizes))
    for split, size in sizes.items():
        writer.add_examples({split: list(shapes(rng, split, size, num_classes))})
    writer.close_all()


def shapes(
    rng: np.random.Generator, split: str, size: int, num_classes: int
) -> Iterator[dict[str, Any]]:
    """Records, with the classes in turn: a disc or a square on grey noise."""
    for i in range(size):
        label = i % num_classes
        width, height = (int(n) for n in rng.integers(48, 97, 2))
        noise = rng.integers(96, 160, (height, width, 1), np.uint8)
        picture = Image.fromarray(np.repeat(noise, 3, 2))
        side = int(rng.integers(24, 33))
        left, top = ((n - side) // 2 + int(rng.integers(-6, 7)) for n in picture.size)
        colour = tuple(round(255 * c) for c in colorsys.hsv_to_rgb(label / num_classes, 1, 1))
        draw = ImageDraw.Draw(picture)
        paint = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        paint((left, top, left + side, top + side), fill=colour)
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG")
        yield {"file_name": f"{split}_{i}.JPEG", "image": jpeg.getvalue(), "label": label}
