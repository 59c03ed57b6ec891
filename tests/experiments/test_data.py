"""Data sets in TFDS's form: prepared, read and streamed, and errors that say what to do."""

import json
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from PIL import Image

from experiments.data import images, prepare, stream
from experiments.data.digits import digits

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    prepare.prepare("digits", folder)
    return folder


# TFDS, ArrayRecord and Grain


def test_digits_go_through_tfds_and_back(prepared):
    found = images.load("digits", folder=prepared)
    assert found.title == "Digits" and found.class_names == tuple("0123456789")
    assert found.x.shape == (898, 8, 8, 1) and found.x_test.shape == (899, 8, 8, 1)
    assert found.x.dtype == found.x_test.dtype == np.uint8 and found.y.dtype == np.int32
    x, y = digits()
    together = zip(
        np.concatenate([found.x, found.x_test]),
        np.concatenate([found.y, found.y_test]),
        strict=True,
    )
    pairs = lambda rows: sorted((np.asarray(x, np.uint8).tobytes(), int(y)) for x, y in rows)
    assert pairs(together) == pairs(zip(np.round(255 * x), y, strict=True))
    some = images.load("digits", folder=prepared, train=100, test=7)
    np.testing.assert_array_equal(some.x, found.x[:100])
    np.testing.assert_array_equal(some.y_test, found.y_test[:7])
    assert len(set(some.y)) == 10  # a fair sample


def test_digits_stream(prepared):
    found = images.load("digits", folder=prepared)
    batches = list(stream.batches(prepared, "test", name="digits", batch=200, train=False, image=8))
    labels = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(labels, np.pad(found.y_test, (0, 101), constant_values=-1))
    for i in (0, 5):
        grey = Image.fromarray(found.x_test[i, :, :, 0])
        centre = grey.resize((8, 8), Image.Resampling.BILINEAR, box=(0.5, 0.5, 7.5, 7.5))
        expected = np.repeat(np.asarray(centre)[..., None], 3, 2)
        np.testing.assert_array_equal(batches[0]["image"][i], expected)


@pytest.mark.parametrize("index, workers", [(0, 0), (1, 1)])
def test_a_stream_goes_on_from_its_state_in_every_process(prepared, index, workers):
    def data(**options):
        options = {"batch": 100, "train": True, "image": 8, "seed": 1} | options
        return iter(stream.batches(prepared, "train", name="digits", **options))

    expected = list(islice(data(), 12))  # eight steps are an epoch
    epochs = [np.concatenate([b["label"] for b in expected[i : i + 4]]) for i in (0, 8)]
    assert (epochs[0] != epochs[1]).any()
    mine = data(batch=50, process_index=index, process_count=2, workers=workers)
    for step in expected[:7]:
        np.testing.assert_array_equal(next(mine)["image"], step["image"][index::2])
    state = json.loads(json.dumps(mine.get_state()))
    next(mine)
    mine.set_state(state)
    for step in expected[7:]:
        batch = next(mine)
        np.testing.assert_array_equal(batch["image"], step["image"][index::2])
        np.testing.assert_array_equal(batch["label"], step["label"][index::2])
    mine.close()


def test_the_names_are_tfdss(tmp_path):
    for name in stream.NAMES.keys() - {"digits"}:
        features = tfds.builder(name, data_dir=tmp_path).info.features
        assert isinstance(features["image"], tfds.features.Image), name
        assert isinstance(features["label"], tfds.features.ClassLabel), name
    assert stream.test_split("cifar10", {"train", "test"}) == "test"
    assert stream.test_split("imagenette/160px-v2", {"train", "validation"}) == "validation"
    assert stream.test_split("imagenet2012", {"train", "validation", "test"}) == "validation"


READ = """
import sys
from pathlib import Path
from experiments.data import images, stream
images.load("digits", folder=sys.argv[1])
data = iter(stream.batches(sys.argv[1], "train", name="digits", batch=8, train=True, image=8))
next(data)
data.close()
from experiments.data import prepare
prepare.prepare("digits", Path(sys.argv[2]))
"""


def test_tensorflow_is_never_imported(prepared, tmp_path):
    """Not even where there is one: this one ends who imports it."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("import os; os._exit(3)")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    arguments = [prepared, tmp_path / "again"]
    subprocess.run([sys.executable, "-c", code + READ, *arguments], cwd=ROOT, check=True)
    assert (tmp_path / "again" / "digits" / "1.0.0" / "dataset_info.json").exists()


def test_tfds_errors_say_what_to_do(prepared, tmp_path):
    with pytest.raises(ValueError, match=r"give a path, or one of digits, cifar10, .*imagenet2012"):
        images.load("cifra10", folder=prepared)
    with pytest.raises(FileNotFoundError, match=r"data.prepare cifar10 --folder .*tfds"):
        images.load("cifar10", folder=prepared)
    # Another data set, of no classes.
    home = tmp_path / "other" / "1.0.0"
    shutil.copytree(prepared / "digits" / "1.0.0", home)
    for file in ("features.json", "dataset_info.json"):
        text = (home / file).read_text()
        (home / file).write_text(text.replace('"label"', '"word"').replace("digits", "other"))
    with pytest.raises(ValueError, match="whose examples have no label"):
        images.load("other", folder=tmp_path)


class Remote(tfds.core.GeneratorBasedBuilder):
    """A data set that has to be downloaded."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"label": tfds.features.ClassLabel(num_classes=2)})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(dl_manager.download("http://127.0.0.1/data"))}

    def _generate_examples(self, path):
        yield 0, {"label": 0}


def test_preparing_says_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="give one of digits, cifar10"):
        prepare.prepare("cifra10", tmp_path)
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # where it is installed, too
    with pytest.raises(ImportError, match=r'pip install -e "\.\[prepare\]"'):
        prepare.prepare("cifar10", tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    (tmp_path / prepare.ARCHIVES[0]).touch()  # only one of two
    for archives in (None, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"_train\.tar and ILSVRC2012_img_val\.tar"):
            prepare.prepare("imagenet2012", tmp_path, archives)

    def unreachable(*arguments, **options):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests.Session, "get", unreachable)
    with pytest.raises(OSError, match=r"get remote \(no route to host\): check the network"):
        prepare.write(Remote(data_dir=tmp_path, file_format="array_record"))


def test_the_command_ends_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prepare", "cifra10", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^prepare got name='cifra10'"):
        prepare.main()
    monkeypatch.setattr(sys, "argv", ["prepare", "digits", "--folder", str(tmp_path)])
    prepare.main()
    assert images.load("digits", folder=tmp_path, train=1, test=1).title == "Digits"
