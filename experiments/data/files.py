"""Pictures in classes in files: NumPy archives and folders."""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Raw = bytes | np.ndarray  # a picture, as a file or as pixels
Arrays = Mapping[str, np.ndarray]

PIXELS = (  # MedMNIST's names, and Keras'
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
JPEGS = ("train_jpeg", "train_offsets", "train_labels", "test_jpeg", "test_offsets", "test_labels")
SUFFIXES = {".png", ".jpg", ".jpeg"}

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
CIFAR10_BYTES = (46_041_251, 9_209_662)  # of all JPEGs: they identify that copy


class Row(NamedTuple):
    """A picture before it is decoded."""

    place: str  # for errors
    picture: Raw
    label: int


class Part(NamedTuple):
    """The training or the test pictures, each read when it is needed."""

    size: int
    read: Callable[[range], Iterable[Row]]


class Source(NamedTuple):
    train: Part
    test: Part
    class_names: Sequence[str]
    title: str


def opened(raw: Raw) -> "Image":
    """The picture of a file's bytes or of pixels, as Pillow's."""
    from PIL import Image

    if isinstance(raw, bytes):
        return Image.open(io.BytesIO(raw))
    return Image.fromarray(raw[..., 0] if raw.shape[2] == 1 else raw)


def archive(path: Path) -> Source:
    """An .npz file of pixels or of JPEGs."""
    try:
        with path.open("rb") as stored, np.load(stored) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"load got {str(path)!r}, which is no file: correct the path, or give a folder or one "
            "of the names in experiments.data.stream."
        ) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"load cannot read {str(path)!r} ({error}): it is no NumPy archive, or only a part of "
            "one; copy or download it again."
        ) from error
    for names in PIXELS:
        if arrays.keys() >= set(names):
            x, y, x_test, y_test = names
            train = pixel_part(path, arrays, x, y)
            test = pixel_part(path, arrays, x_test, y_test)
            return Source(train, test, class_names(arrays, y), path.stem)
    if arrays.keys() >= set(JPEGS):
        train, test = jpeg_part(path, arrays, "train"), jpeg_part(path, arrays, "test")
        names = class_names(arrays, "train_labels")
        return Source(train, test, names, jpeg_title(path.stem, arrays))
    needed = "; or ".join(", ".join(names) for names in (*PIXELS, JPEGS))
    raise ValueError(
        f"load got {str(path)!r} with the arrays {', '.join(arrays)}; it needs {needed}: save them "
        "by np.savez under such names."
    )


def class_names(arrays: Arrays, labels: str) -> list[str]:
    """The archive's own class names, or numbers."""
    if "class_names" in arrays:
        return [str(name) for name in arrays["class_names"]]
    return [str(i) for i in range(int(arrays[labels].max(initial=0)) + 1)]


def pixel_part(path: Path, arrays: Arrays, images: str, labels: str) -> Part:
    x, y = arrays[images], arrays[labels].reshape(-1)
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or y.dtype.kind not in "iu" or len(x) != len(y):
        raise ValueError(
            f"load got {str(path)!r} with {images} {x.dtype}{list(x.shape)} and {labels} "
            f"{y.dtype}{list(y.shape)}; it needs uint8[n, h, w] or uint8[n, h, w, c], and n whole "
            "numbers: convert and save them again."
        )
    x = x[..., None] if x.ndim == 3 else x
    row = lambda i: Row(f"{images}[{i}] of {path}", x[i], int(y[i]))
    return Part(len(y), lambda rows: map(row, rows))


def jpeg_part(path: Path, arrays: Arrays, split: str) -> Part:
    jpeg, at, y = (arrays[f"{split}_{name}"] for name in ("jpeg", "offsets", "labels"))
    if len(at) != len(y) + 1 or at[0] < 0 or (at[1:] <= at[:-1]).any() or at[-1] > len(jpeg):
        raise ValueError(
            f"load got {str(path)!r} with {len(at)} {split}_offsets up to {at.max(initial=0)}, "
            f"{len(y)} {split}_labels and {len(jpeg)} bytes of {split}_jpeg; it needs offsets that "
            "rise, one more than labels, up to those bytes: write it again."
        )
    place = lambda i: f"picture {i} of {split}_jpeg in {path}"
    row = lambda i: Row(place(i), jpeg[at[i] : at[i + 1]].tobytes(), int(y[i]))
    return Part(len(y), lambda rows: map(row, rows))


def jpeg_title(stem: str, arrays: Arrays) -> str:
    """A name for JPEGs, whose pixels are not those of the data set that they were made from."""
    sizes = (arrays["train_jpeg"].size, arrays["test_jpeg"].size)
    if class_names(arrays, "train_labels") == CIFAR10 and sizes == CIFAR10_BYTES:
        return "CIFAR-10, JPEG q75 copy"
    return f"{stem}, JPEG"


def folder(path: Path) -> Source:
    """Pictures in train/CLASS and test/CLASS, or val/CLASS."""
    homes = [path / "train", path / "test" if (path / "test").is_dir() else path / "val"]
    lacking = [home.name for home in homes if not home.is_dir()]
    names = [] if lacking else class_folders(homes[0])
    if not names:
        raise ValueError(
            f"load got {str(path)!r} without {' and '.join(lacking) or 'classes'}; it needs "
            "train/CLASS/*.png or *.jpg, and the same in test/ or val/: move the pictures so."
        )
    if unknown := sorted(set(class_folders(homes[1])) - set(names)):
        raise ValueError(
            f"load got {str(path)!r}, where {homes[1].name}/ has {', '.join(unknown)}, which "
            "train/ has not: add that class to train/, or remove it."
        )
    train, test = (folder_part(home, names) for home in homes)
    return Source(train, test, names, path.resolve().name)


def class_folders(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir() if path.is_dir())


def folder_part(home: Path, names: Sequence[str]) -> Part:
    """The pictures in a fixed random order, so that the first ones are a fair sample."""
    files = []
    for label, name in enumerate(names):
        if not (home / name).is_dir():  # no test pictures of that class
            continue
        inside = sorted((home / name).iterdir())
        mine = [(file, label) for file in inside if file.suffix.lower() in SUFFIXES]
        if not mine:
            raise ValueError(
                f"load got {str(home / name)!r} without a picture; each class needs some that end "
                f"in {', '.join(sorted(SUFFIXES))}: add them, or remove the folder."
            )
        files += mine
    order = np.random.default_rng(0).permutation(len(files))
    row = lambda file, label: Row(str(file), file.read_bytes(), label)
    return Part(len(files), lambda rows: (row(*files[i]) for i in order[rows]))
