"""Archives and folders of pictures; crops, flips and shifts."""

import io
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.data import augment, files, images

ROOT = Path(__file__).parents[2]
KEY = jax.random.key(0)


@pytest.fixture
def rng():
    """Each test's own: what it draws depends on no other test."""
    return np.random.default_rng(0)


def noise(rng, *shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


def encoded(x, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(x).save(file, form)
    return file.getvalue()


def jpeg_arrays(rng, sizes=(5, 3), classes=3, shape=(6, 8, 3)):
    """An archive's arrays, and the pictures as Pillow decodes them."""
    arrays, pictures = {"class_names": np.array(["ape", "bee", "cat"])}, []
    for split, n in zip(("train", "test"), sizes, strict=True):
        data = [encoded(noise(rng, *shape), "JPEG") for _ in range(n)]
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(data), np.uint8)
        arrays[f"{split}_offsets"] = np.cumsum([0, *map(len, data)])
        arrays[f"{split}_labels"] = (np.arange(n) % classes).astype(np.uint8)
        pictures.append(np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in data]))
    return arrays, pictures


def fill(rng, home, counts, shape=(6, 8, 3), suffix=".png"):
    """Write counts[class] pictures into home/class, and return them by path."""
    written = {}
    for name, n in counts.items():
        (home / name).mkdir(parents=True)
        for i in range(n):
            path = home / name / f"{i}{suffix}"
            written[path] = noise(rng, *shape)
            path.write_bytes(encoded(written[path]))
    return written


# Archives


@pytest.mark.parametrize("names", files.PIXELS)
def test_an_archive_of_pixels(tmp_path, names, rng):
    x, x_test, y, y_test = (
        noise(rng, 5, 6, 8, 3),
        noise(rng, 3, 6, 8, 3),
        np.arange(5) % 3,
        np.arange(3),
    )
    arrays = dict(zip(names, (x, y[:, None], x_test, y_test[:, None]), strict=True))
    np.savez(tmp_path / "set.npz", **arrays)
    found = images.load(tmp_path / "set.npz")
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.y, y)
    np.testing.assert_array_equal(found.x_test, x_test)
    np.testing.assert_array_equal(found.y_test, y_test)
    assert found.y.dtype == np.int32 and found.x.dtype == np.uint8
    assert found.class_names == ("0", "1", "2") and found.title == "set"
    # Grey pictures without a channel, compressed, and names.
    grey = {names[0]: x[..., 0], names[2]: x_test[..., 0], "class_names": list("abc")}
    np.savez_compressed(tmp_path / "grey.npz", **arrays | grey)
    found = images.load(tmp_path / "grey.npz", train=2, test=1)
    np.testing.assert_array_equal(found.x, x[:2, ..., :1])
    assert len(found.y) == 2 and len(found.y_test) == 1 and found.class_names == ("a", "b", "c")
    small = images.load(tmp_path / "grey.npz", resize=2)
    assert small.x.shape == (5, 2, 2, 1) and small.x.dtype == np.uint8


def test_an_archive_of_jpegs(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(images, "CHUNK", 2)  # so that threads share the work
    arrays, (x, x_test) = jpeg_arrays(rng)
    np.savez(tmp_path / "photos.npz", **arrays)
    found = images.load(str(tmp_path / "photos.npz"))
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.x_test, x_test)
    assert found.y.tolist() == [0, 1, 2, 0, 1] and found.y_test.tolist() == [0, 1, 2]
    assert found.class_names == ("ape", "bee", "cat") and found.title == "photos, JPEG"
    some = images.load(tmp_path / "photos.npz", train=3, test=2)
    np.testing.assert_array_equal(some.x, x[:3])
    np.testing.assert_array_equal(some.x_test, x_test[:2])
    assert images.load(tmp_path / "photos.npz", resize=4).x.shape == (5, 4, 4, 3)


def test_the_copy_of_cifar10_is_called_a_copy():
    train, test = (np.zeros(size, np.uint8) for size in files.CIFAR10_BYTES)
    arrays = {"train_jpeg": train, "test_jpeg": test, "class_names": np.array(files.CIFAR10)}
    assert files.jpeg_title("some", arrays) == "CIFAR-10, JPEG q75 copy"
    # Another copy may have another quality.
    assert files.jpeg_title("some", arrays | {"test_jpeg": test[1:]}) == "some, JPEG"
    assert files.jpeg_title("some", arrays | {"class_names": np.array(["a"])}) == "some, JPEG"


LAZY = """
import sys
from experiments.data import images
images.load(sys.argv[1], train=2)
print(*({"tensorflow_datasets", "grain", "PIL", "jax"} & sys.modules.keys()))
"""


def test_archives_import_little(tmp_path, rng):
    arrays, (x, x_test) = jpeg_arrays(rng)
    pixels = {"x_train": x, "x_test": x_test, "y_train": np.arange(5), "y_test": np.arange(3)}
    for content, expected in ((pixels, ""), (arrays, "PIL")):
        np.savez(tmp_path / "set.npz", **content)
        command = [sys.executable, "-c", LAZY, tmp_path / "set.npz"]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == expected


def test_broken_archives_say_what_to_do(tmp_path, rng):
    path = tmp_path / "set.npz"
    with pytest.raises(FileNotFoundError, match="no file: correct the path"):
        images.load(path)
    arrays, _ = jpeg_arrays(rng)
    np.savez(path, **arrays)
    whole = path.read_bytes()
    for part in (whole[: len(whole) // 2], b"", b"no archive"):
        path.write_bytes(part)
        with pytest.raises(ValueError, match="only a part of one; copy or download it again"):
            images.load(path)
    damaged = bytearray(whole)
    damaged[whole.index(arrays["train_jpeg"].tobytes()) + 50] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"CRC.*copy or download it again"):
        images.load(path)


def test_archives_whose_arrays_do_not_fit_say_what_is_needed(tmp_path, rng):
    path = tmp_path / "set.npz"
    arrays, _ = jpeg_arrays(rng)

    def error(message, **changes):
        np.savez(path, **{name: a for name, a in (arrays | changes).items() if a is not None})
        with pytest.raises(ValueError, match=message):
            images.load(path)

    error("with the arrays .*; it needs train_images, .*; or x_train.*np.savez", test_labels=None)
    error("6 train_offsets .*, 4 train_labels", train_labels=arrays["train_labels"][:4])
    error("bytes of train_jpeg; it needs offsets", train_jpeg=arrays["train_jpeg"][:-9])
    error("it needs offsets that rise", test_offsets=arrays["test_offsets"][::-1])
    error("labels from 0 to 9 .* from 0 to 2, for 3", test_labels=np.array([0, 9, 1]))
    # The second of the JPEGs is cut, the others are whole.
    offsets = arrays["train_offsets"]
    gap = slice((offsets[1] + offsets[2]) // 2, offsets[2])
    error(
        r"decode picture 1 of train_jpeg .*(?i:truncated).*: copy or download it again",
        train_jpeg=np.delete(arrays["train_jpeg"], gap),
        train_offsets=np.where(np.arange(6) < 2, offsets, offsets - (gap.stop - gap.start)),
    )


def test_arrays_of_pixels_that_are_none_are_refused(tmp_path, rng):
    path = tmp_path / "set.npz"
    good = {
        "x_train": noise(rng, 2, 4, 4),
        "y_train": [0, 1],
        "x_test": noise(rng, 2, 4, 4),
        "y_test": [0, 1],
    }
    bad = (
        {"x_train": noise(rng, 2, 4, 4) / 255},
        {"x_train": noise(rng, 2, 4)},
        {"y_train": [0, 1, 0]},
        {"y_train": [0.0, 1.0]},
    )
    for change in bad:
        np.savez(path, **good | change)
        with pytest.raises(ValueError, match=r"it needs uint8\[n, h, w\]"):
            images.load(path)
    np.savez(path, **good)
    for n in (0, 3):
        with pytest.raises(ValueError, match=f"got {n} pictures to take, of 2"):
            images.load(path, train=n)
    np.savez(path, **good | {"x_test": noise(rng, 2, 4, 5)})
    with pytest.raises(ValueError, match=r"2 sizes, as \(4, 4\) in x_train.*pass resize="):
        images.load(path)
    assert images.load(path, resize=3).x_test.shape == (2, 3, 3, 1)


# Folders


@pytest.mark.parametrize("test", ["test", "val"])
def test_a_folder(tmp_path, test, rng):
    root = tmp_path / "pets"
    written = fill(rng, root / "train", {"dog": 40, "ape": 20}, suffix=".JPG")  # PNGs all the same
    tests = fill(rng, root / test, {"dog": 2})
    (root / "train" / "dog" / "notes.txt").write_text("no picture")
    found = images.load(root)
    assert found.class_names == ("ape", "dog") and found.title == "pets"
    assert found.y_test.tolist() == [1, 1]
    assert {x.tobytes() for x in found.x_test} == {x.tobytes() for x in tests.values()}
    label = {x.tobytes(): int(path.parent.name == "dog") for path, x in written.items()}
    assert len({x.tobytes() for x in found.x}) == 60
    assert [label[x.tobytes()] for x in found.x] == found.y.tolist()
    # The first few are a fair sample, and the same each time.
    some = images.load(root, train=30)
    np.testing.assert_array_equal(some.x, found.x[:30])
    assert 5 <= (some.y == 0).sum() <= 15


def test_grey_pictures_become_coloured_among_coloured_ones(tmp_path, rng):
    grey = next(iter(fill(rng, tmp_path / "train", {"a": 1}, shape=(4, 4)).values()))
    fill(rng, tmp_path / "test", {"a": 1}, shape=(4, 4))
    assert images.load(tmp_path).x.shape == (1, 4, 4, 1)
    shutil.rmtree(tmp_path / "test")
    fill(rng, tmp_path / "test", {"a": 1}, shape=(4, 4, 4))  # with transparency
    found = images.load(tmp_path)
    np.testing.assert_array_equal(found.x[0], np.repeat(grey[..., None], 3, 2))
    assert found.x_test.shape == (1, 4, 4, 3)


def test_resizing_cuts_the_centre(tmp_path):
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, 2:6] = 200
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        (tmp_path / split / "a" / "0.png").write_bytes(encoded(picture))
    assert (images.load(tmp_path, resize=4).x == 200).all()


def test_broken_folders_say_what_to_do(tmp_path, rng):
    def error(message):
        with pytest.raises(ValueError, match=message):
            images.load(tmp_path)

    error("without train and val; it needs train/CLASS")
    fill(rng, tmp_path / "train", {"ape": 1, "bee": 1})
    error("without val; it needs")
    fill(rng, tmp_path / "test", {"ape": 1, "dog": 1})
    error("test/ has dog, which train/ has not: add that class")
    shutil.rmtree(tmp_path / "test" / "dog")
    assert len(images.load(tmp_path).x_test) == 1
    (tmp_path / "train" / "cat").mkdir()
    error("cat' without a picture; .*add them, or remove the folder")
    fill(rng, tmp_path / "train", {"cow": 1}, shape=(5, 5, 3))
    (tmp_path / "train" / "cat").rmdir()
    error(r"of 2 sizes, .*\(5, 5\) in .*cow/0\.png.*pass resize=")
    path = tmp_path / "train" / "cow" / "0.png"
    for content in (path.read_bytes()[:-40], b"no picture"):
        path.write_bytes(content)
        error(r"decode .*cow/0\.png \(.*\): copy or download it again, or leave it out")
    shutil.rmtree(tmp_path / "train")
    (tmp_path / "train").mkdir()
    error("without classes")


# Augmentation


def placed(picture, pixels, flips):
    """By NumPy: the picture at each place, by its bytes."""
    h, w, _ = picture.shape
    padded = np.pad(picture, ((pixels, pixels), (pixels, pixels), (0, 0)))
    cuts = {
        (i, j, flip): padded[i : i + h, j : j + w][:, :: -1 if flip else 1].tobytes()
        for i in range(2 * pixels + 1)
        for j in range(2 * pixels + 1)
        for flip in flips
    }
    assert len(set(cuts.values())) == len(cuts)  # each picture shows its place
    return {content: place for place, content in cuts.items()}


@pytest.mark.parametrize(
    "function, pixels, flips, dtype",
    [
        (augment.crop_flip, 4, (False, True), np.uint8),
        (partial(augment.crop_flip, pad=1), 1, (False, True), np.float32),
        (augment.shift, 1, (False,), np.float32),
        (partial(augment.shift, pixels=2), 2, (False,), np.uint8),
    ],
)
def test_crops_are_numpys_and_uniform(function, pixels, flips, dtype):
    picture = np.random.default_rng(0).permutation(5 * 7 * 2).reshape(5, 7, 2).astype(dtype)
    places = placed(picture, pixels, flips)
    n = 100 * len(places)
    out = jax.jit(function)(KEY, jnp.broadcast_to(jnp.asarray(picture), (n, 5, 7, 2)))
    assert out.shape == (n, 5, 7, 2) and out.dtype == dtype
    # Height, width and flip together: 100 of each, and 5 standard deviations around.
    counts = Counter(places[x.tobytes()] for x in np.asarray(out))
    assert len(counts) == len(places)
    assert min(counts.values()) >= 50 and max(counts.values()) <= 150


def test_standardise(rng):
    x = noise(rng, 50, 6, 5, 3) // np.array([1, 2, 5], np.uint8)
    x[..., 2] = 7  # a channel that never changes
    out = np.asarray(augment.standardise(x)(jnp.asarray(x, jnp.float32)))
    assert out.dtype == np.float32
    mean, deviation = x.mean((0, 1, 2)), x.std((0, 1, 2))
    np.testing.assert_allclose(out[..., :2], ((x - mean) / deviation.clip(1))[..., :2], atol=1e-5)
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(out.std((0, 1, 2)), [1, 1, 0], atol=1e-5)
