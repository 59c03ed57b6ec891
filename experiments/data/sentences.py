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
PARTS = ("train", "train_labels", "test", "test_labels")  # what each corpus must have
HELD_OUT = 0.1  # of the training sentences, where a corpus has none for choices


class Corpus(NamedTuple):
    """Sentences for training, for testing, and, if there are any, for choices."""

    train: list[str]
    train_labels: Int32[np.ndarray, "n"]
    test: list[str]
    test_labels: Int32[np.ndarray, "m"]
    val: Sequence[str] = ()
    val_labels: Int32[np.ndarray, "k"] = np.zeros(0, np.int32)


class Encoded(NamedTuple):
    """Both parts as numbers; what lies beyond a sentence's end is PADDING."""

    tokens: Int32[Any, "n t"]
    labels: Int32[Any, "n"]
    tokens_test: Int32[Any, "m t"]
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
        arrays = {name: file[name] for name in file.files}
    found = {}
    for name, title in CORPORA.items():
        part = lambda split, name=name: (
            [str(text) for text in arrays.get(f"{name}_{split}", ())],
            arrays.get(f"{name}_{split}_labels", np.zeros(0)).astype(np.int32),
        )
        found[title] = Corpus(*part("train"), *part("test"), *part("val"))
    return found


def toy(count: int = 160, classes: int = 3) -> dict[str, Corpus]:
    """Made-up sentences of 1 to 12 words; one word in three indicates the class.

    As with the real ones, there are sentences for choices of one corpus only.
    """
    rng = np.random.default_rng(0)

    def corpus() -> Corpus:
        labels = rng.integers(classes, size=count).astype(np.int32)
        word = lambda y: f"sign{y}{rng.integers(4)}" if rng.random() < 1 / 3 else f"w{rng.zipf(2)}"
        texts = [" ".join(word(y) for _ in range(rng.integers(1, 13))) for y in labels]
        half = count // 2
        return Corpus(texts[:half], labels[:half], texts[half:], labels[half:])

    movie, trec = CORPORA.values()
    part = corpus()
    more = {"val": part.test, "val_labels": part.test_labels}
    return {movie: corpus()._replace(**more), trec: corpus()}


def words(sentence: str) -> list[str]:
    """Lower case; a punctuation mark is a word of its own."""
    return re.findall(r"[\w']+|[^\w\s]", sentence.lower())


def vocabulary(sentences: Sequence[str]) -> dict[str, int]:
    """Numbers for the words that come twice or more, from 2 on, the most frequent first."""
    counts = Counter(word for sentence in sentences for word in words(sentence))
    ranked = sorted((word for word in counts if counts[word] > 1), key=lambda w: (-counts[w], w))
    return {word: number for number, word in enumerate(ranked, start=UNKNOWN + 1)}


def encode(
    numbers: Mapping[str, int], sentences: Sequence[str], length: int
) -> Int32[np.ndarray, "n t"]:
    """Words' numbers, cut after `length` and padded to it.

    A word that the vocabulary lacks is UNKNOWN; an empty sentence is all PADDING.
    """
    tokens = np.full((len(sentences), length), PADDING, np.int32)
    for row, sentence in enumerate(sentences):
        ids = [numbers.get(word, UNKNOWN) for word in words(sentence)[:length]]
        tokens[row, : len(ids)] = ids
    return tokens


def for_choices(corpus: Corpus, seed: int) -> Corpus:
    """The sentences for choices in the place of the test sentences, which are not looked at.

    Where there are none, they are a tenth of the training sentences, another one for each seed.
    """
    if corpus.val:
        return corpus._replace(test=list(corpus.val), test_labels=corpus.val_labels)
    rows = np.random.default_rng(seed).permutation(len(corpus.train))
    count = round(HELD_OUT * len(rows))
    part = lambda rows: ([corpus.train[row] for row in rows], corpus.train_labels[rows])
    return Corpus(*part(rows[count:]), *part(rows[:count]))


def encoded(corpus: Corpus, length: int) -> Encoded:
    """Both parts in the vocabulary that the training sentences give, cut after `length` words."""
    numbers = vocabulary(corpus.train)
    train, test = (encode(numbers, part, length) for part in (corpus.train, corpus.test))
    return Encoded(train, corpus.train_labels, test, corpus.test_labels)
