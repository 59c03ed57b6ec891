"""Sentences as a frozen encoder sees them, with their classes; and that encoder.

The encoder is sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0): BERT with six layers, whose
outputs are averaged over a sentence's tokens and scaled to length 1.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float16, Float32, Int, Int32

from experiments.data.sentences import CORPORA

PARTS = {"movie": ("train", "val", "test"), "trec": ("train", "test")}
WIDTH = 384
LAYERS, HEADS, EPSILON = 6, 12, 1e-12
LONGEST = 128  # tokens of a sentence


class Corpus(NamedTuple):
    """Sentences to train on, to choose by, and to test on; classes are true."""

    x: Float32[np.ndarray, "n f"]
    y: Int32[np.ndarray, "n"]
    x_held: Float32[np.ndarray, "h f"]  # empty where the corpus has no such part
    y_held: Int32[np.ndarray, "h"]
    x_test: Float32[np.ndarray, "m f"]
    y_test: Int32[np.ndarray, "m"]


def read(path: Path, labels: Path | None = None) -> dict[str, Corpus]:
    """Movie sentences with two sentiments, and TREC's questions in six classes.

    Args:
      path: the archive of embeddings.
      labels: the archive of sentences and their classes; by default sentences.npz next to `path`.
    """
    labels = path.with_name("sentences.npz") if labels is None else labels
    names = [f"{corpus}_{part}" for corpus, parts in PARTS.items() for part in parts]
    x = _arrays(path, "sentence_embeddings", names)
    y = _arrays(labels, "sentences", [f"{name}_labels" for name in names])
    for name in names:
        if x[name].shape != (len(y[f"{name}_labels"]), WIDTH):
            raise ValueError(
                f"read got {name} {list(x[name].shape)} in {str(path)!r} and "
                f"{len(y[f'{name}_labels'])} labels in {str(labels)!r}; it needs {WIDTH} numbers "
                "for each label: fetch both again."
            )

    def part(name: str) -> tuple[np.ndarray, np.ndarray]:
        if name not in x:
            return np.zeros((0, WIDTH), np.float32), np.zeros(0, np.int32)
        return x[name].astype(np.float32), y[f"{name}_labels"].astype(np.int32)

    return {
        title: Corpus(*part(f"{name}_train"), *part(f"{name}_val"), *part(f"{name}_test"))
        for name, title in CORPORA.items()
    }


def toy(count: int = 300, width: int = 8) -> dict[str, Corpus]:
    """Made-up embeddings: two or three clouds of length 1."""
    rng = np.random.default_rng(0)

    def part(centres: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(len(centres), size=size).astype(np.int32)
        x = centres[y] + 0.7 * rng.normal(size=(size, width))
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y

    def corpus(classes: int, held: int) -> Corpus:
        centres = rng.normal(size=(classes, width))
        return Corpus(*part(centres, count), *part(centres, held), *part(centres, count // 3))

    titles = CORPORA.values()
    return {t: corpus(*sizes) for t, sizes in zip(titles, ((2, 60), (3, 0)), strict=True)}


class Encoder(NamedTuple):
    """The tokenizer, and the network's weights by their name in the file."""

    tokenizer: Any
    weights: Mapping[str, Float32[np.ndarray, "..."]]


def load_encoder(archive: bytes) -> Encoder:
    """The encoder of a zip file with tokenizer.json and model.safetensors."""
    import safetensors.numpy  # only fetch needs these two
    import tokenizers

    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        tokenizer = tokenizers.Tokenizer.from_str(files.read("tokenizer.json").decode())
        weights = safetensors.numpy.load(files.read("model.safetensors"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    return Encoder(tokenizer, {n: w for n, w in weights.items() if w.dtype == np.float32})


def embed(
    encoder: Encoder, sentences: Sequence[str], batch: int = 64
) -> Float16[np.ndarray, "n f"]:
    """The embedding of each sentence, in float16."""
    ids = [found.ids for found in encoder.tokenizer.encode_batch(list(sentences))]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))  # like lengths need little padding
    found = np.zeros((len(ids), WIDTH), np.float16)
    weights = jax.device_put(dict(encoder.weights))
    for first in range(0, len(ids), batch):
        rows = order[first : first + batch]
        length = -(-len(ids[rows[-1]]) // 16) * 16  # few lengths, as each compiles again
        padded, valid = np.zeros((batch, length), np.int32), np.zeros((batch, length), bool)
        for row, i in enumerate(rows):
            padded[row, : len(ids[i])], valid[row, : len(ids[i])] = ids[i], True
        found[rows] = np.asarray(forward(weights, padded, valid))[: len(rows)]
    return found


@jax.jit
def forward(
    weights: Mapping[str, Array], ids: Int[Array, "b t"], valid: Bool[Array, "b t"]
) -> Float[Array, "b f"]:
    """BERT's outputs, averaged over tokens, of length 1."""
    with jax.default_matmul_precision("highest"):
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + weights["embeddings.token_type_embeddings.weight"][0]
        x = _norm(weights, "embeddings.LayerNorm", x)
        for i in range(LAYERS):
            x = _layer(weights, f"encoder.layer.{i}", x, valid)
    mean = jnp.where(valid[..., None], x, 0).sum(1)  # its length does not matter
    return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)


def _layer(weights: Mapping[str, Array], name: str, x: Array, valid: Array) -> Array:
    """Attention, then two dense layers; each is added to its input and normalised."""
    heads = lambda part: _dense(weights, f"{name}.attention.self.{part}", x).reshape(
        *x.shape[:2], HEADS, -1
    )
    query, key, value = map(heads, ("query", "key", "value"))
    seen = jax.nn.dot_product_attention(query, key, value, mask=valid[:, None, None, :])
    seen = _dense(weights, f"{name}.attention.output.dense", seen.reshape(x.shape))
    x = _norm(weights, f"{name}.attention.output.LayerNorm", x + seen)
    hidden = jax.nn.gelu(_dense(weights, f"{name}.intermediate.dense", x), approximate=False)
    return _norm(
        weights, f"{name}.output.LayerNorm", x + _dense(weights, f"{name}.output.dense", hidden)
    )


def _dense(weights: Mapping[str, Array], name: str, x: Array) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(weights: Mapping[str, Array], name: str, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _arrays(path: Path, name: str, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of an archive that `fetch` writes."""
    if not path.is_file():
        raise FileNotFoundError(
            f"read got {str(path)!r}, which is no file: name the .npz file that `python -m "
            f"experiments.data.fetch {name}` writes."
        )
    with np.load(path) as file:
        if lacking := sorted(set(needed) - set(file.files)):
            raise ValueError(
                f"read got {str(path)!r} without {', '.join(lacking)}: fetch {name} again."
            )
        return {array: file[array] for array in needed}
