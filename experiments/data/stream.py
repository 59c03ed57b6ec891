"""Data sets of TFDS in ArrayRecord files, read by Grain, without TensorFlow.

`experiments.data.prepare` writes the files.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grain
import numpy as np
import tensorflow_datasets as tfds
from absl import flags
from jaxtyping import UInt8
from PIL import Image

from experiments.data.files import Raw, opened

Box = tuple[float, float, float, float]  # left, top, right, bottom

NAMES = {  # TFDS's names, and one of ours for digits: what tables call them
    "digits": "Digits",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "svhn_cropped": "SVHN",
    "fashion_mnist": "Fashion-MNIST",
    "imagenette/160px-v2": "Imagenette, 160 pixels",
    "imagenette/320px-v2": "Imagenette, 320 pixels",
    "oxford_iiit_pet": "Oxford-IIIT Pet",
    "imagenet2012": "ImageNet",
}


def builder(folder: str | Path, name: str) -> tfds.core.DatasetBuilder:
    """The newest version of a data set in TFDS's folder, ours or another with image and label.

    `.info.splits[split].num_examples` and `.info.features["label"].num_classes` are its sizes.
    """
    infos = sorted(Path(folder).glob(f"{name}/[0-9]*/dataset_info.json"))
    if not infos and name not in NAMES:
        raise ValueError(
            f"builder got name={name!r}, which is no .npz file, no folder, and no data set in "
            f"{folder}: give a path, or one of {', '.join(NAMES)}."
        )
    if not infos:
        raise FileNotFoundError(
            f"builder got folder={str(folder)!r}, which has no {name}: prepare it by `python -m "
            f"experiments.data.prepare {name} --folder {folder}`."
        )
    found: Any = tfds.builder_from_directory(infos[-1].parent)
    if tfds.core.FileFormat.ARRAY_RECORD not in found.info.available_file_formats():
        raise ValueError(
            f"builder got folder={str(folder)!r}, where {name} is in no ArrayRecord files: prepare "
            f"it by `python -m experiments.data.prepare {name} --folder` and another folder."
        )
    if lacking := {"image", "label"} - found.info.features.keys():
        raise ValueError(
            f"builder got name={name!r}, whose examples have no {' and no '.join(lacking)}: give a "
            f"data set of pictures in classes, such as {', '.join(NAMES)}."
        )
    return found


def records(found: Any, split: str) -> Any:
    """A split's records by their number, with pictures as files."""
    features = found.info.features.items()
    pictures = [name for name, feature in features if isinstance(feature, tfds.features.Image)]
    skip = {name: tfds.decode.SkipDecoding() for name in pictures}
    return found.as_data_source(split, decoders=skip)


def test_split(name: str, splits: Any) -> str:
    """The split for evaluation; ImageNet's test split has no labels."""
    return "test" if "test" in splits and name != "imagenet2012" else "validation"


def batches(
    folder: str | Path,
    split: str,
    *,
    name: str,
    batch: int,
    train: bool,
    image: int = 224,
    seed: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 0,
) -> grain.IterDataset[dict[str, np.ndarray]]:
    """One process's batches, {"image": u8[batch, image, image, 3], "label": i32[batch]}.

    For training, epochs without end: shuffled, cropped and flipped at random, a last partial batch
    dropped. Otherwise one epoch in order, with centre crops; examples of label -1 fill it up, so
    that all processes get the same number of batches of the same shape. A step has the same records
    under the same crops for any `process_count` that splits it, and for any `workers`.

    `iter()` of it has `get_state` and `set_state`, to go on exactly where a checkpoint was made.

    Args:
      folder: TFDS's data folder.
      split: "train" or "test", or a part, as "train[:1%]".
      name: TFDS's name, as in `NAMES`.
      batch: examples in a step of one process.
      train: whether to shuffle, draw crops and repeat.
      image: the pictures' height and width.
      seed: the seed of order, crops and flips.
      process_index: as jax.process_index().
      process_count: as jax.process_count().
      workers: processes that decode; 0 for two threads of this one. A script that starts them
        needs `if __name__ == "__main__":`.
    """
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"batches got process_index={process_index} and process_count={process_count}; it "
            "needs 0 <= process_index < process_count."
        )
    found = builder(folder, name)
    size, step = found.info.splits[split].num_examples, batch * process_count
    steps = size // step if train else -(-size // step)
    if not steps:
        raise ValueError(
            f"batches got split={split!r} of {size} records; it needs {step if train else 1} for "
            f"{process_count} x {batch} rows: take a larger split or a smaller batch."
        )
    source = records(found, split)
    if train:
        # All draws come before the cut between processes, so they do not depend on it.
        rows = grain.MapDataset.source(source).seed(seed).shuffle()
        rows = rows.random_map(partial(train_row, image))[: steps * step]
    else:
        rows = grain.MapDataset.range(steps * step).map(partial(test_row, image, source))
    steps_here = rows[process_index::process_count].batch(batch)
    steps_here = steps_here.repeat() if train else steps_here
    # An element is a whole batch by now: Grain's own default would hold 500 of them.
    data = steps_here.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=2))
    if not workers:
        return data
    if not flags.FLAGS.is_parsed():  # Grain reads some, and absl parses them in its own main only
        flags.FLAGS.mark_as_parsed()
    return data.mp_prefetch(grain.MultiprocessingOptions(workers))


def train_row(image: int, record: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A random crop, resized and flipped with probability 1/2, and its label."""
    pixels = decode(record["image"], partial(random_box, rng), image)
    flipped = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    return {"image": flipped, "label": np.int32(record["label"])}


def test_row(image: int, source: Sequence[dict[str, Any]], index: int) -> dict[str, Any]:
    """The centre crop and its label, or zeros and -1 past the source's end."""
    if index >= len(source):
        return {"image": np.zeros((image, image, 3), np.uint8), "label": np.int32(-1)}
    record = source[index]
    # The usual crop to 224 from a short side of 256, in one step.
    pixels = decode(record["image"], partial(centre_box, share=224 / 256), image)
    return {"image": pixels, "label": np.int32(record["label"])}


def decode(
    data: Raw, box: Callable[[int, int], Box], image: int
) -> UInt8[np.ndarray, "image image 3"]:
    """The part of a picture in `box(width, height)`, resized, as RGB."""
    picture = opened(data).convert("RGB")
    size = (image, image)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box(*picture.size)))


def random_box(rng: np.random.Generator, width: int, height: int) -> Box:
    """8 to 100 % of the area at a ratio of 3:4 to 4:3; the centre if ten draws do not fit."""
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    return centre_box(width, height, share=1)


def centre_box(width: int, height: int, *, share: float) -> Box:
    """The centred square whose side is this fraction of the short side."""
    side = share * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
