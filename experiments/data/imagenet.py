"""ImageNet as TFDS prepares it in ArrayRecord files, read by Grain, without TensorFlow.

`generate` writes a small stand-in of coloured shapes, which the same code reads.
"""

import colorsys
import io
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grain
import numpy as np
import tensorflow_datasets as tfds
from absl import flags
from jaxtyping import UInt8
from PIL import Image, ImageDraw

Box = tuple[float, float, float, float]  # left, top, right, bottom


def builder(folder: str | Path) -> tfds.core.DatasetBuilder:
    """The newest version of imagenet2012 in TFDS's data folder.

    `.info.splits[split].num_examples` and `.info.features["label"].num_classes` are its sizes.
    """
    infos = sorted(Path(folder).glob("imagenet2012/[0-9]*/dataset_info.json"))
    if not infos:
        raise FileNotFoundError(
            f"builder got folder={str(folder)!r}, which has no imagenet2012: prepare it where "
            "tensorflow is installed and ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from "
            "image-net.org lie in ARCHIVES, with `tfds build imagenet2012 --file_format="
            f"array_record --manual_dir=ARCHIVES --data_dir={folder}`, or generate() a small "
            "stand-in."
        )
    found = tfds.builder_from_directory(infos[-1].parent)
    if tfds.core.FileFormat.ARRAY_RECORD not in found.info.available_file_formats():
        raise ValueError(
            f"builder got folder={str(folder)!r}, where imagenet2012 is in no ArrayRecord files: "
            "run `tfds build` with --file_format=array_record and another --data_dir."
        )
    return found


def batches(
    folder: str | Path,
    split: str,
    *,
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
    dropped. Else one epoch in order, its centre crops; rows of label -1 fill it up, so that all
    processes get the same number of batches of the same shape. A step is the same records under
    the same crops for any `process_count` that splits it, and for any `workers`.

    `iter()` of it has `get_state` and `set_state`, to go on exactly where a checkpoint was made.

    Args:
      folder: TFDS's data folder, or `generate`'s.
      split: "train" or "validation", or a part, as "train[:1%]".
      batch: rows a process and step.
      train: whether to shuffle, draw crops and repeat.
      image: the pictures' height and width.
      seed: of order, crops and flips.
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
    found: Any = builder(folder)  # type checkers lose as_data_source's arguments in its wrapper
    size, step = found.info.splits[split].num_examples, batch * process_count
    steps = size // step if train else -(-size // step)
    if not steps:
        raise ValueError(
            f"batches got split={split!r} of {size} records; it needs {step if train else 1} for "
            f"{process_count} x {batch} rows: take a larger split or a smaller batch."
        )
    source = found.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    if train:
        # All that draws comes before the cut between processes, so it does not depend on it.
        rows = grain.MapDataset.source(source).seed(seed).shuffle()
        rows = rows.random_map(partial(train_row, image))[: steps * step]
    else:
        rows = grain.MapDataset.range(steps * step).map(partial(test_row, image, source))
    steps_here = rows[process_index::process_count].batch(batch)
    if train:
        steps_here = steps_here.repeat()
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
    # Cropped to 224 from a short side of 256, as usual, in one go.
    pixels = decode(record["image"], partial(centre_box, share=224 / 256), image)
    return {"image": pixels, "label": np.int32(record["label"])}


def decode(
    data: bytes, box: Callable[[int, int], Box], image: int
) -> UInt8[np.ndarray, "image image 3"]:
    """The part of a JPEG in `box(width, height)`, resized, as RGB."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    size = (image, image)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box(*picture.size)))


def random_box(rng: np.random.Generator, width: int, height: int) -> Box:
    """8 to 100 % of the area at a ratio of 3:4 to 4:3; the centre if ten of them do not fit."""
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    return centre_box(width, height, share=1)


def centre_box(width: int, height: int, *, share: float) -> Box:
    """The centred square with this share of the short side."""
    side = share * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


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
