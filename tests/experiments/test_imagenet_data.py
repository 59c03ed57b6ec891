"""Reading ImageNet, on generated pictures, each of a class of its own to tell them apart."""

import colorsys
import json
import subprocess
import sys
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from experiments.data import imagenet, stream

pytestmark = pytest.mark.slow  # networks train here

ROOT = Path(__file__).parents[2]
TRAIN, TEST = 50, 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    imagenet.generate(folder, num_classes=TRAIN, train=TRAIN, validation=TEST)
    return folder


@pytest.fixture
def train(folder):
    return partial(imagenet.batches, folder, "train", batch=8, image=16, train=True, seed=3)


@pytest.fixture
def test(folder):
    return partial(imagenet.batches, folder, "validation", batch=4, image=16, train=False)


def take(data, n=20):
    return list(islice(data, n))


def labels(batches):
    return np.concatenate([batch["label"] for batch in batches])


def assert_same(some, others):
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_the_stand_in_has_imagenets_layout(folder):
    info = imagenet.builder(folder).info
    assert info.full_name == "imagenet2012/5.1.0"
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": TRAIN,
        "validation": TEST,
    }
    assert info.splits["train"].num_shards == 2  # so that reading crosses files
    assert info.features["label"].num_classes == TRAIN
    assert info.features["image"].encoding_format == "jpeg"
    records = list(imagenet.builder(folder).as_data_source("train"))
    assert [record["file_name"] for record in records[:2]] == [b"train_0.JPEG", b"train_1.JPEG"]
    assert len({record["image"].shape for record in records}) > TRAIN // 2
    for record in records:
        height, width, _ = record["image"].shape
        red, green, blue = record["image"][height // 2, width // 2] / 255  # within every shape
        hue = colorsys.rgb_to_hsv(red, green, blue)[0]
        error = (hue - record["label"] / TRAIN + 0.5) % 1 - 0.5
        assert abs(error) < 0.03


def test_training_batches(train):
    batches = take(train(), 12)
    for batch in batches:
        assert batch["image"].shape == (8, 16, 16, 3) and batch["image"].dtype == np.uint8
        assert batch["label"].shape == (8,) and batch["label"].dtype == np.int32
    # Six steps an epoch: each record once at most, in a new order and under new crops each time.
    first, second = labels(batches[:6]), labels(batches[6:])
    assert len(set(first)) == len(set(second)) == 48
    assert (first != second).any()
    pictures = lambda part: {
        int(label): picture.tobytes()
        for batch in part
        for label, picture in zip(batch["label"], batch["image"], strict=True)
    }
    one, other = pictures(batches[:6]), pictures(batches[6:])
    assert all(one[label] != other[label] for label in one.keys() & other.keys())
    assert_same(take(train()), take(train()))
    assert (labels(take(train(), 6)) != labels(take(train(seed=4), 6))).any()


def test_processes_share_a_step(train, test):
    """Rows of two processes interleave to those of one with twice the batch."""
    whole = take(train(), 14)
    parts = [take(train(batch=4, process_index=i, process_count=2), 14) for i in range(2)]
    together = [
        {
            name: np.stack([a[name], b[name]], 1).reshape(a[name].shape[0] * 2, *a[name].shape[1:])
            for name in a
        }
        for a, b in zip(*parts, strict=True)
    ]
    assert_same(together, whole)


def test_evaluation_is_in_order_and_padded(test):
    assert labels(test()).tolist() == [*range(TEST), -1, -1]
    for count in (2, 3):
        parts = [labels(test(process_index=i, process_count=count)) for i in range(count)]
        rows = np.stack(parts, 1).reshape(-1)  # of one length, or this raises
        assert rows.shape[0] == {2: 16, 3: 24}[count]
        assert rows.tolist() == [*range(TEST)] + [-1] * (rows.shape[0] - TEST)
    last = list(test())[-1]
    assert last["image"].shape == (4, 16, 16, 3)
    assert not last["image"][2:].any() and last["image"][:2].any()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_state_goes_on_exactly(train, workers):
    expected = take(train(), 13)
    first = iter(train(workers=workers))
    assert_same(take(first, 8), expected[:8])
    state = json.loads(json.dumps(first.get_state()))
    take(first, 3)
    second = first if workers else iter(train())  # workers take seconds to start
    second.set_state(state)
    assert_same(take(second, 5), expected[8:])
    first.close()


def test_boxes():
    assert stream.centre_box(100, 50, share=0.5) == (37.5, 12.5, 62.5, 37.5)
    rng = np.random.default_rng(0)
    boxes = np.array([stream.random_box(rng, 400, 300) for _ in range(2000)])
    left, top, right, bottom = boxes.T
    assert left.min() == 0 and top.min() == 0 and right.max() == 400 and bottom.max() == 300
    width, height = right - left, bottom - top
    share, ratio = width * height / 120_000, width / height
    assert 0.078 < share.min() < 0.1 and 0.9 < share.max() <= 1.01
    assert 0.74 < ratio.min() < 0.76 and 1.31 < ratio.max() < 1.35
    # Nothing of these ratios has 8 % of a line's area.
    assert stream.random_box(rng, 900, 3) == (448.5, 0, 451.5, 3)


def test_errors_say_what_to_do(folder, tmp_path, train, test):
    with pytest.raises(FileNotFoundError, match=r"experiments\.data\.prepare imagenet2012"):
        imagenet.builder(tmp_path)
    with pytest.raises(FileExistsError, match="pass an empty folder"):
        imagenet.generate(folder)
    with pytest.raises(ValueError, match="of 50 records; it needs 52 for 2 x 26 rows"):
        train(batch=26, process_count=2)
    with pytest.raises(ValueError, match="of 0 records; it needs 1"):
        imagenet.batches(folder, "train[:0]", batch=8, train=False)
    with pytest.raises(ValueError, match="process_index < process_count"):
        test(process_index=1)
    info = folder / "imagenet2012" / "5.1.0" / "dataset_info.json"
    other = tmp_path / "imagenet2012" / "5.1.0" / "dataset_info.json"
    other.parent.mkdir(parents=True)
    other.write_text(info.read_text().replace("array_record", "tfrecord"))
    (other.parent / "features.json").write_text((info.parent / "features.json").read_text())
    with pytest.raises(ValueError, match="in no ArrayRecord files"):
        imagenet.builder(tmp_path)


NO_TENSORFLOW = """
import sys
from experiments.data import imagenet
imagenet.generate(sys.argv[1])
for split, train in (("train", True), ("validation", False)):
    data = iter(imagenet.batches(sys.argv[1], split, batch=8, train=train, image=16))
    next(data)
    data.close()
assert "tensorflow" not in sys.modules
"""


def test_tensorflow_is_never_imported(tmp_path):
    subprocess.run([sys.executable, "-c", NO_TENSORFLOW, tmp_path], cwd=ROOT, check=True)
