"""Download a data set and write it as TFDS does, in ArrayRecord files.

Only this module needs TensorFlow, to encode pictures; the digits, which are arrays, do not need it.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tyro

from experiments.data.digits import NUM_CLASSES, digits
from experiments.data.stream import NAMES

ARCHIVES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


class Digits(tfds.core.GeneratorBasedBuilder):
    """scikit-learn's digits as u8 in 0..255, half to train and half to test, drawn once."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=NUM_CLASSES),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterable]:
        order = np.random.default_rng(0).permutation(len(digits()[1]))
        half = len(order) // 2
        return {
            "train": self._generate_examples(order[:half]),
            "test": self._generate_examples(order[half:]),
        }

    def _generate_examples(self, rows: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        x, y = digits()
        x = np.round(255 * x).astype(np.uint8)
        for i in rows:
            yield int(i), {"image": x[i], "label": int(y[i])}


def prepare(
    name: tyro.conf.Positional[str],
    folder: Path = Path("data"),
    archives: Path | None = None,
) -> None:
    """Download a data set and write it as TFDS does, in ArrayRecord files.

    Args:
      name: one of `experiments.data.stream.NAMES`.
      folder: the folder for everything that TFDS prepares.
      archives: only for imagenet2012, the folder with its two archives from image-net.org.
    """
    if name not in NAMES:
        raise ValueError(f"prepare got name={name!r}: give one of {', '.join(NAMES)}.")
    options: dict[str, Any] = {"data_dir": folder, "file_format": "array_record"}
    if name == "digits":
        return write(Digits(**options))
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            f"prepare got name={name!r}, for which TFDS needs TensorFlow, which is not installed: "
            'run `pip install -e ".[prepare]"` and the same again, or prepare it elsewhere and '
            f"copy {folder}/{name}; reading and training need no TensorFlow."
        )
    if name == "imagenet2012" and not all(Path(archives or "", tar).is_file() for tar in ARCHIVES):
        raise FileNotFoundError(
            f"prepare got archives={str(archives)!r}; imagenet2012 needs a folder with "
            f"{' and '.join(ARCHIVES)}: get both from image-net.org, and pass where they are."
        )
    write(tfds.builder(name, **options), archives)


def write(builder: tfds.core.DatasetBuilder, archives: Path | None = None) -> None:
    """What `builder` downloads, into its folder."""
    config = tfds.download.DownloadConfig(manual_dir=archives)
    try:
        builder.download_and_prepare(download_config=config)
    except (OSError, tfds.download.DownloadError) as error:
        raise OSError(
            f"prepare could not get {builder.name} ({error}): check the network and the free space "
            f"and run it again, or prepare it elsewhere and copy {builder.data_dir}."
        ) from error


def main() -> None:
    try:
        tyro.cli(prepare, prog="python -m experiments.data.prepare")
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
