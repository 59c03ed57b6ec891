"""Pass rules as data: gains that are claimed before a run, and the sentence that judges them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from experiments.harness.intervals import STUDENT, Interval
from experiments.harness.runs import Run, mean, paired


class Gain(NamedTuple):
    """A mean over seeds and the half-width of its interval; `f"{gain:+.1f}"` is +1.2 ± 0.3."""

    mean: float
    half: float

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec or '+.1f'}} ± {self.half:{spec.lstrip('+') or '.1f'}}"


Test = Callable[[Gain], bool]


def above(points: float | None = None) -> Test:
    """The interval lies above 0, and the mean is at least this many points."""
    return lambda gain: gain.mean > gain.half and (points is None or gain.mean >= points)


def below(points: float | None = None) -> Test:
    """The interval lies below 0, and the mean is at least this many points below it."""
    return lambda gain: above(points)(Gain(-gain.mean, gain.half))


def not_below() -> Test:
    """The interval reaches 0 or more."""
    return lambda gain: gain.mean + gain.half >= 0


def loses_less_than(points: float) -> Test:
    return lambda gain: gain.mean > -points


def gains_less_than(points: float) -> Test:
    return lambda gain: gain.mean < points


def within(points: float, or_interval: bool = False) -> Test:
    """The mean differs from 0 by no more than this, or, if asked, the interval holds 0."""
    return lambda gain: abs(gain.mean) <= points or (or_interval and abs(gain.mean) < gain.half)


class Claim(NamedTuple):
    """That a method's `key` is lower than another's in a group, paired by seed.

    Args:
      group, method: whose runs.
      over: the method to compare with; None takes the mean of `key` itself.
      key: the number of the runs; lower is better.
      holds: what the gain must be.
      part: to which part of the rule's text the claim belongs, from 0.
    """

    group: str
    method: str
    over: str | None = "plain"
    key: str = "last_error"
    holds: Test = above()
    part: int = 0

    def gain(self, runs: list[Run], interval: Interval = STUDENT) -> Gain:
        if self.over is None:
            return Gain(*mean(runs, self.group, self.method, self.key, interval))
        return Gain(*paired(runs, self.group, self.over, self.method, self.key, interval))


class Gate(NamedTuple):
    """What plain training must reach before a claim can be tested at all.

    Args:
      text: what is asked, for the verdict.
      claims: means of keys, with `over=None`; what they must be is on their means alone.
    """

    text: str
    claims: tuple[Claim, ...]

    def __call__(self, runs: list[Run]) -> tuple[bool, str]:
        """Whether it is passed, and the sentence that says so."""
        gains = [claim.gain(runs) for claim in self.claims]
        met = [claim.holds(gain) for claim, gain in zip(self.claims, gains, strict=True)]
        found = ", ".join(
            f"{gain.mean:.1f} ({claim.group})"
            for claim, gain in zip(self.claims, gains, strict=True)
        )
        word = "passed" if all(met) else "missed, so that there is no verdict"
        return all(met), f"Gate ({self.text}): {found}, {word}."


def mean_below(bound: float) -> Test:
    """The mean is below a bound, whatever the interval."""
    return lambda gain: gain.mean < bound


class Rule(NamedTuple):
    """Claims that must all hold, and how the verdict reads.

    Args:
      text: a template; {0}, {1}, ... are the claims' gains, {verdict} is PASS or FAIL, and
        {held[0]}, {held[1]}, ... say for each part whether it "holds" or "does not hold".
      claims: what must hold.
      exceptions: part -> how many of its claims may fail.
      interval: which one the gains have.
      gate: what comes first; if it is missed, there is no verdict.
    """

    text: str
    claims: tuple[Claim, ...]
    exceptions: Mapping[int, int] = {}
    interval: Interval = STUDENT
    gate: Gate | None = None

    def __call__(self, runs: list[Run]) -> str:
        """The verdict on these runs."""
        passes, said = (True, "") if self.gate is None else self.gate(runs)
        if not passes:
            return said
        gains = [claim.gain(runs, self.interval) for claim in self.claims]
        failed: dict[int, int] = {}
        for claim, gain in zip(self.claims, gains, strict=True):
            failed[claim.part] = failed.get(claim.part, 0) + (not claim.holds(gain))
        parts = [failed[part] <= self.exceptions.get(part, 0) for part in sorted(failed)]
        held = ["holds" if part else "does not hold" for part in parts]
        return f"{said} {self.text.format(*gains, verdict=passed(all(parts)), held=held)}".lstrip()


def passed(holds: bool) -> str:
    return "PASS" if holds else "FAIL"
