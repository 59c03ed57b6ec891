"""Intervals by hand, and by how often they hold what they should."""

import numpy as np
import pytest
from scipy import stats

from experiments.harness.intervals import (
    SHARED,
    STUDENT,
    halves,
    mean_interval,
    packed,
    unpacked,
    variance,
)
from experiments.harness.runs import mean, paired, seed_results


def test_student_s():
    values = np.array([1.0, 4.0, 2.0, 8.0])
    found, half = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose([found - half, found + half], [low, high])
    np.testing.assert_equal(mean_interval([3.0]), (3.0, np.nan))
    np.testing.assert_equal(mean_interval([]), (np.nan, np.nan))


def test_random_halves_are_corrected():
    """Nadeau and Bengio's variance: (1 / n + tests / train) s²."""
    values = np.array([1.0, 4.0, 2.0, 8.0])
    _, half = mean_interval(values, halves(0.5))
    wanted = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 0.5) * values.var(ddof=1))
    np.testing.assert_allclose(half, wanted)
    _, plain = mean_interval(np.arange(10.0))
    np.testing.assert_allclose(mean_interval(np.arange(10.0), halves())[1] / plain, 11**0.5)


def test_random_halves_of_few_examples_hold_the_truth():
    """Means over random halves of one sample, which Student's interval alone would miss."""
    rng, plain, corrected = np.random.default_rng(0), 0, 0
    for _ in range(300):
        sample = rng.normal(size=60)  # "errors" whose true mean is 0
        seeds = [rng.permutation(sample)[:30].mean() for _ in range(10)]
        (centre, half), (_, wide) = mean_interval(seeds), mean_interval(seeds, halves())
        plain += abs(centre) < half
        corrected += abs(centre) < wide
    assert plain < 200 and corrected > 270


def runs_of(hits):
    """Runs of [methods, seeds, examples]."""
    return [
        {"group": "g", "method": method} | result
        for method, of_seeds in zip("ab", hits, strict=True)
        for result in seed_results(
            {"error": 1 - of_seeds.mean(1, keepdims=True)},
            {},
            seeds=range(len(of_seeds)),
            hits=of_seeds,
        )
    ]


def test_test_examples_that_all_seeds_share():
    hits = np.random.default_rng(1).random((2, 3, 500)) < 0.7
    runs = runs_of(hits)
    gain, half = paired(runs, "g", "a", "b", interval=SHARED)
    differences = 100 * (hits[1].astype(float) - hits[0])
    np.testing.assert_allclose(gain, differences.mean(), atol=1e-3)
    of_seeds = stats.t.ppf(0.975, 2) * stats.sem(differences.mean(1))
    of_examples = stats.norm.ppf(0.975) * stats.sem(differences.mean(0))
    np.testing.assert_allclose(half, np.hypot(of_seeds, of_examples), rtol=1e-3)
    assert half > paired(runs, "g", "a", "b", interval=STUDENT)[1]
    _, single = mean(runs, "g", "a", "last_error", SHARED)
    assert single > mean(runs, "g", "a", "last_error")[1]
    # Other numbers than errors, and runs that do not say what they got right: over seeds alone.
    assert paired(runs, "g", "a", "b", "best_error", SHARED) == paired(
        runs, "g", "a", "b", "best_error"
    )
    for run in runs:
        del run["hits"]
    assert paired(runs, "g", "a", "b", interval=SHARED) == paired(runs, "g", "a", "b")


def test_shared_examples_are_those_of_a_bootstrap_over_both():
    """With many seeds, whose interval needs no correction, resampling both gives the same."""
    rng = np.random.default_rng(2)
    easy, luck = rng.random(400), rng.normal(0, 0.05, (2, 40, 1))
    hits = rng.random((2, 40, 400)) < np.clip(easy + luck + [[[0]], [[0.03]]], 0, 1)
    _, half = paired(runs_of(hits), "g", "a", "b", interval=SHARED)
    differences = 100 * (hits[1].astype(float) - hits[0])
    means = []
    for _ in range(2000):
        seeds, examples = rng.integers(40, size=40), rng.integers(400, size=400)
        means.append(differences[seeds][:, examples].mean())
    low, high = np.quantile(means, [0.025, 0.975])
    np.testing.assert_allclose(half, (high - low) / 2, rtol=0.1)  # 2,000 draws, and t for normal


def test_few_seeds_and_few_examples_hold_the_truth():
    """The effect over all examples and seeds, from five seeds on 200 shared examples."""
    rng, held, trials = np.random.default_rng(3), 0, 400
    for _ in range(trials):
        effect = rng.normal(0, 0.3, 200)  # of each example, with mean 0 over all
        luck = rng.normal(0, 0.02, (5, 1))
        chance = np.clip(0.5 + np.stack([np.zeros((5, 200)), effect / 2 + luck]), 0, 1)
        hits = rng.random((2, 5, 200)) < chance
        gain, half = paired(runs_of(hits), "g", "a", "b", interval=SHARED)
        held += abs(gain) < half
    assert held / trials > 0.93  # 0.95, less two standard errors


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_bits_survive(size):
    hits = np.random.default_rng(size).random(size) < 0.5
    np.testing.assert_array_equal(unpacked(packed(hits)), hits)
    assert unpacked(None) is None and variance([None], [None]) == 0
