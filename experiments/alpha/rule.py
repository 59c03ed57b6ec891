"""What follows from errors: the labels that a method saves, and a rule for an option's value."""

import numpy as np
from jaxtyping import Float, Int


def labels_needed(
    sizes: Float[np.ndarray, "n"], errors: Float[np.ndarray, "n"], wanted: Float[np.ndarray, "m"]
) -> Float[np.ndarray, "m"]:
    """The number of labels with which a curve of errors reaches each of the given errors.

    The curve is linear between the sizes, along their logarithm; an error that is higher than at a
    smaller size counts as the lower one. Errors beyond the curve give its first or last size.
    """
    # Among equal errors the smaller size must be found, so a tiny slope breaks the ties.
    falling = np.minimum.accumulate(errors) - 1e-9 * np.arange(len(errors))
    return np.exp(np.interp(-wanted, -falling, np.log(sizes)))


def labels_saved(
    sizes: Float[np.ndarray, "n"],
    plain: Float[np.ndarray, "seeds n *examples"],
    other: Float[np.ndarray, "seeds n *examples"],
    *,
    draws: int = 2000,
) -> Float[np.ndarray, "3 n"]:
    """Labels that plain training needs for the other method's error, divided by those it has.

    The first value is that of the mean errors; the 2.5 and 97.5 % quantiles over bootstraps of the
    paired seeds follow. Errors may be those on each of the test examples that all seeds share,
    which are then drawn again, too: seeds alone say nothing about other test examples.
    """
    rng = np.random.default_rng(0)
    rows = rng.integers(len(plain), size=(draws, len(plain)))
    ratio = lambda a, b: labels_needed(sizes, a, b) / sizes
    curve = lambda errors: errors.mean(axis=(0, *range(2, errors.ndim)))
    booted = []
    for row in rows:
        both = [errors[row].mean(axis=0) for errors in (plain, other)]
        if plain.ndim == 3:
            examples = rng.integers(plain.shape[2], size=plain.shape[2])
            both = [errors[:, examples].mean(axis=1) for errors in both]
        booted.append(ratio(*both))
    quantiles = np.quantile(booted, (0.025, 0.975), axis=0)
    return np.stack([ratio(curve(plain), curve(other)), *quantiles])


def fit_rule(
    features: Float[np.ndarray, "n k"], offered: Float[np.ndarray, "m"], errors: np.ndarray
) -> Float[np.ndarray, "k"]:
    """Least squares from features to the best of the values offered, by `errors[n, m]`."""
    return np.linalg.lstsq(features, offered[errors.argmin(axis=1)])[0]


def follow_rule(
    rule: Float[np.ndarray, "k"], features: Float[np.ndarray, "n k"], offered: np.ndarray
) -> Int[np.ndarray, "n"]:
    """The index of the offered value that is nearest to the rule's value."""
    return np.abs((features @ rule)[:, None] - offered).argmin(axis=1)


def regrets(
    features: Float[np.ndarray, "n k"], offered: Float[np.ndarray, "m"], errors: np.ndarray
) -> Float[np.ndarray, "n"]:
    """How far each row's error is above its best, where the rule is fitted to all other rows."""
    chosen = []
    for i in range(len(errors)):
        rule = fit_rule(np.delete(features, i, axis=0), offered, np.delete(errors, i, axis=0))
        chosen.append(follow_rule(rule, features[[i]], offered)[0])
    return errors[np.arange(len(errors)), chosen] - errors.min(axis=1)
