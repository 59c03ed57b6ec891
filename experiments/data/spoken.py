"""Recordings of spoken digits, padded to one length, and folds that leave speakers out."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int16, Int32

from experiments.core.loop import Stop

NUM_CLASSES = 10
RATE = 8000
NEEDED = (
    "an .npz file of the Free Spoken Digit Dataset (Jakobovski/free-spoken-digit-dataset on "
    "GitHub, CC BY-SA 4.0) with the arrays waveforms (int16, 8 kHz, one after the other), offsets "
    "(recording i is waveforms[offsets[i]:offsets[i + 1]]), labels and speakers"
)


class Recordings(NamedTuple):
    """Recordings, padded by zeros at the end."""

    x: Int16[np.ndarray, "*seeds n size"]
    length: Int32[np.ndarray, "*seeds n"]  # samples before the padding, 1 or more
    y: Int32[np.ndarray, "*seeds n"]
    speaker: Int32[np.ndarray, "*seeds n"]


def load(path: str | Path, size: int) -> Recordings:
    """All recordings of an archive, the longer ones cut after `size` samples."""
    try:
        with Path(path).open("rb") as opened, np.load(opened) as file:
            names = ("waveforms", "offsets", "labels", "speakers")
            waves, offsets, labels, speakers = (np.asarray(file[name]) for name in names)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise Stop(f"spoken.load cannot use {str(path)!r} ({error}); it needs {NEEDED}.") from error
    if waves.dtype != np.int16 or waves.ndim != 1:
        raise Stop(
            f"spoken.load got waveforms {waves.dtype}{list(waves.shape)}; it needs {NEEDED}."
        )
    n = len(labels)
    rising = len(offsets) == n + 1 and offsets[0] >= 0 and (np.diff(offsets) > 0).all()
    if not n or len(speakers) != n or not rising or offsets[-1] > len(waves):
        raise Stop(
            f"spoken.load got {len(offsets)} offsets, {n} labels, {len(speakers)} speakers and "
            f"{len(waves)} samples; it needs one label and speaker for each recording, and offsets "
            "that rise up to the samples, one more: no recording may be empty."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise Stop(f"spoken.load got labels {labels.dtype}; it needs whole numbers from 0 to 9.")
    length = np.minimum(np.diff(offsets), size).astype(np.int32)
    x = np.zeros((n, size), np.int16)
    for row, start, count in zip(x, offsets, length, strict=False):
        row[:count] = waves[start : start + count]
    _, speaker = np.unique(speakers, return_inverse=True)
    return Recordings(x, length, labels.astype(np.int32), speaker.astype(np.int32))


def generated(size: int, *, takes: int = 2, speakers: int = 6, seed: int = 0) -> Recordings:
    """A stand-in for tests: each digit two tones, each speaker a pitch and a loudness."""
    rng = np.random.default_rng(seed)
    y, speaker = (np.tile(a.ravel(), takes) for a in np.mgrid[:NUM_CLASSES, :speakers])
    length = rng.integers(size // 3, size, len(y))
    time = np.arange(size) / RATE
    pitch = 1 + 0.04 * speaker[:, None]
    tone = lambda hertz: np.sin(2 * np.pi * hertz[:, None] * pitch * time)
    wave = tone(300 + 60 * y) + tone(2500 - 150 * y) + rng.normal(0, 0.3, (len(y), size))
    wave *= 800 * (1 + speaker[:, None]) * (np.arange(size) < length[:, None])
    return Recordings(wave.astype(np.int16), *(a.astype(np.int32) for a in (length, y, speaker)))


def folds(recordings: Recordings, seeds: Iterable[int]) -> tuple[Recordings, Recordings]:
    """For each seed, training and test recordings, those of two speakers left out.

    Seed i leaves out the speakers i and i + 1 + i // k, modulo their number k: after k seeds each
    speaker was left out twice, and no pair is repeated before all others had their turn.
    """
    speaker = recordings.speaker
    k, counts = int(speaker.max()) + 1, np.bincount(speaker)
    if k < 3 or (counts != counts[0]).any():
        raise Stop(
            f"spoken.folds got speakers with {counts.tolist()} recordings; it needs three or more "
            "speakers with equally many, so that all folds have one shape: leave some out."
        )
    parts = []
    for i in seeds:
        test = np.isin(speaker, (i % k, (i + 1 + i // k % (k - 1)) % k))
        parts.append((np.flatnonzero(~test), np.flatnonzero(test)))
    train, test = (np.stack(rows) for rows in zip(*parts, strict=True))
    take = lambda rows: Recordings(*(array[rows] for array in recordings))
    return take(train), take(test)
