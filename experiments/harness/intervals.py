"""95 % intervals of means over seeds, and which population each is about."""

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from scipy import stats

LEVEL = 0.95
Bits = Sequence[Bool[np.ndarray, "examples"] | None]  # what each run got right


class Interval(NamedTuple):
    """How the half-width is computed, and the sentence that says what ± is.

    Args:
      text: the sentence, for captions.
      factor: by what to multiply the variance of the mean over seeds.
      examples: whether the test examples, which all seeds share, are a sample, too.
      groups: the intervals of groups that have another one.
    """

    text: str
    factor: Callable[[int], float] = lambda n: 1.0
    examples: bool = False
    groups: Mapping[str, "Interval"] = {}

    def of(self, group: str) -> "Interval":
        """That of a group of runs."""
        return self.groups.get(group, self)


STUDENT = Interval(
    "± is half the 95 % interval over seeds (Student's t), each with data of its own."
)
SHARED = Interval(
    "± is half the 95 % interval over seeds and, for errors at the end, test examples: Student's t "
    "over seeds, and the variance over the test examples that they share.",
    examples=True,
)
FIXED_TEST = Interval(
    "± is half the 95 % interval over seeds (Student's t), which share their test examples: it is "
    "about training again, not about other test examples."
)


def halves(ratio: float = 1.0, groups: Mapping[str, float] | None = None) -> Interval:
    """For random splits of one data set, `ratio` test examples for each one that trains.

    Their training sets overlap, and one's test examples train others, so that the variance over n
    seeds, s² / n, is too small: it becomes s² (1 / n + ratio), as Nadeau and Bengio (2003,
    "Inference for the generalization error") correct it. `groups` have ratios of their own.
    """
    others = "".join(f"; {group}: {own:.2g}" for group, own in (groups or {}).items())
    return Interval(
        "± is half the 95 % interval over random splits of one data set (Student's t, the variance "
        f"as Nadeau and Bengio correct it; test to training examples: {ratio:.2g}{others}).",
        factor=lambda n: 1 + n * ratio,
        groups={group: halves(own) for group, own in (groups or {}).items()},
    )


def mean_interval(
    values: Sequence[float | None] | np.ndarray,
    interval: Interval = STUDENT,
    over_examples: float = 0.0,
) -> tuple[float, float]:
    """The mean and the half-width of its interval; NaN where there is none.

    Args:
      values: one for each seed.
      interval: which one.
      over_examples: the variance of the mean over the shared test examples, as `variance` gives it.
    """
    array = np.asarray(values, np.float64)
    n = array.size
    if n < 2:
        return float(array.sum() if n else np.nan), np.nan
    over_seeds = interval.factor(n) * array.var(ddof=1) / n
    half = np.hypot(quantile(n - 1) * over_seeds**0.5, quantile(10**6) * over_examples**0.5)
    return float(array.mean()), float(half)


def variance(hits: Bits, others: Bits | None = None) -> float:
    """The variance of a mean error, or of a difference of two, that comes from the test examples.

    Args:
      hits: what the runs got right, for each seed bool[examples].
      others: those of the method that it is compared with, seed by seed.

    Returns:
      In squared percent; 0 if runs do not say which examples they got right.
    """
    if any(own is None for own in (*hits, *(others or ()))):
        return 0.0
    right = np.mean([np.asarray(own, np.float64) for own in hits], axis=0)
    if others is not None:
        right = right - np.mean([np.asarray(own, np.float64) for own in others], axis=0)
    return float(100**2 * right.var(ddof=1) / right.size)


@cache  # which takes scipy longer than everything else
def quantile(freedom: int) -> float:
    """How many standard errors Student's two-sided interval reaches from the mean."""
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def packed(hits: Bool[np.ndarray, "examples"]) -> str:
    """Bits as text, for a line of JSON."""
    return f"{hits.size}:{base64.b64encode(np.packbits(hits).tobytes()).decode()}"


def unpacked(text: str | None) -> Bool[np.ndarray, "examples"] | None:
    if text is None:
        return None
    size, bits = text.split(":")
    return np.unpackbits(np.frombuffer(base64.b64decode(bits), np.uint8))[: int(size)].astype(bool)
