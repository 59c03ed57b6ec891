"""Sentences with classes, from an archive, and their words as numbers."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

PADDING, UNKNOWN = 0, 1  # the first words' numbers; a vocabulary's own begin at 2
CORPORA = {"movie": "movie sentences", "trec": "TREC questions"}  # in the archive: in tables
PARTS = ("train", "train_labels", "test", "test_labels")


class Corpus(NamedTuple):
    """Sentences for training and for testing."""

    train: list[str]
    train_labels: Int32[np.ndarray, "n"]
    test: list[str]
    test_labels: Int32[np.ndarray, "m"]


class Encoded(NamedTuple):
    """Both parts as numbers; what lies beyond a sentence's length is padding."""

    tokens: Int32[Any, "n t"]
    lengths: Int32[Any, "n"]
    labels: Int32[Any, "n"]
    tokens_test: Int32[Any, "m t"]
    lengths_test: Int32[Any, "m"]
    labels_test: Int32[Any, "m"]


def read(path: Path) -> dict[str, Corpus]:
    """Movie sentences with two sentiments, and TREC's questions in six classes."""
    if not path.is_file():
        raise FileNotFoundError(
            f"read got {str(path)!r}, which is no file: name the .npz file that `python -m "
            "experiments.data.fetch sentences` writes."
        )
    with np.load(path) as file:
        needed = [f"{name}_{part}" for name in CORPORA for part in PARTS]
        if lacking := sorted(set(needed) - set(file.files)):
            raise ValueError(
                f"read got {str(path)!r} without {', '.join(lacking)}; it needs {', '.join(needed)}"
                ": save sentences and class numbers under these names."
            )
        arrays = {name: file[name] for name in needed}
    found = {}
    for name, title in CORPORA.items():
        train, train_labels, test, test_labels = (arrays[f"{name}_{part}"] for part in PARTS)
        labels = train_labels.astype(np.int32), test_labels.astype(np.int32)
        found[title] = Corpus(list(map(str, train)), labels[0], list(map(str, test)), labels[1])
    return found


def toy(count: int = 160, classes: int = 3) -> dict[str, Corpus]:
    """Made-up sentences of 1 to 12 words; one word in three indicates the class."""
    rng = np.random.default_rng(0)

    def corpus() -> Corpus:
        labels = rng.integers(classes, size=count).astype(np.int32)
        word = lambda y: f"sign{y}{rng.integers(4)}" if rng.random() < 1 / 3 else f"w{rng.zipf(2)}"
        texts = [" ".join(word(y) for _ in range(rng.integers(1, 13))) for y in labels]
        half = count // 2
        return Corpus(texts[:half], labels[:half], texts[half:], labels[half:])

    return {title: corpus() for title in CORPORA.values()}


def words(sentence: str) -> list[str]:
    """Lower case; a punctuation mark is a word of its own."""
    return re.findall(r"[\w']+|[^\w\s]", sentence.lower())


def vocabulary(sentences: Sequence[str], size: int) -> dict[str, int]:
    """Numbers below `size` for the words that come twice or more, the most frequent first."""
    counts = Counter(word for sentence in sentences for word in words(sentence))
    ranked = sorted((word for word in counts if counts[word] > 1), key=lambda w: (-counts[w], w))
    return {word: number for number, word in enumerate(ranked[: max(size - 2, 0)], start=2)}


def encode(
    numbers: Mapping[str, int], sentences: Sequence[str], length: int
) -> tuple[Int32[np.ndarray, "n t"], Int32[np.ndarray, "n"]]:
    """Words' numbers, cut after `length` and padded to it, and how many there are.

    A word that the vocabulary lacks is UNKNOWN; an empty sentence has length 0.
    """
    tokens = np.full((len(sentences), length), PADDING, np.int32)
    lengths = np.zeros(len(sentences), np.int32)
    for row, sentence in enumerate(sentences):
        ids = [numbers.get(word, UNKNOWN) for word in words(sentence)[:length]]
        tokens[row, : len(ids)], lengths[row] = ids, len(ids)
    return tokens, lengths


def draw(corpus: Corpus, seed: int, *, train: int, size: int, length: int) -> Encoded:
    """This many random training sentences, in the vocabulary that they give, and all test ones."""
    if train > len(corpus.train):
        raise ValueError(
            f"draw got train={train} of {len(corpus.train)} sentences: ask for that many or fewer."
        )
    rows = np.random.default_rng(seed).permutation(len(corpus.train))[:train]
    mine = [corpus.train[row] for row in rows]
    numbers = vocabulary(mine, size)
    tokens, lengths = encode(numbers, mine, length)
    tested = encode(numbers, corpus.test, length)
    return Encoded(tokens, lengths, corpus.train_labels[rows], *tested, corpus.test_labels)
