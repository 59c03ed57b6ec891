"""Tables for regression: scikit-learn's diabetes, two made ones, and two of UCI's from an archive.

A text column becomes one column for each of its values, so that a blend of rows blends fractions of
texts and not their ids; `column` says which of them belong together, for methods that swap columns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float32, Int32, PRNGKeyArray
from sklearn.datasets import load_diabetes

from experiments.data import split, tables


class Table(NamedTuple):
    """Columns as numbers, one row for each example."""

    name: str
    x: Float32[np.ndarray, "n d"]
    y: Float32[np.ndarray, "n"]
    column: Int32[np.ndarray, "d"]  # which of the table's columns each of x is from


class Data(NamedTuple):
    """Training and test rows, standardised."""

    x: Float[Array, "n d"]
    y: Float[Array, "n"]
    x_test: Float[Array, "m d"]
    y_test: Float[Array, "m"]


def load(archive: Path | None = None) -> list[Table]:
    """The tables at hand, and UCI's airfoil and abalone where their archive is given."""
    diabetes: Any = load_diabetes()
    found = [make("diabetes", diabetes["data"], diabetes["target"]), spiral(), wave()]
    return found if archive is None else found + uci(archive)


def spiral(rows: int = 600, turns: float = 3.0) -> Table:
    """The angle along a spiral in the plane: the line between far points crosses other arms."""
    draw = np.random.default_rng(0)
    angle = draw.uniform(0, turns, rows)
    radius = 0.2 + angle / turns
    points = radius[:, None] * np.stack([np.cos(angle * 2 * np.pi), np.sin(angle * 2 * np.pi)], 1)
    return make("spiral", points + draw.normal(0, 0.01, points.shape), angle)


def wave(rows: int = 600) -> Table:
    """Three periods of a cosine: points with one target lie on many sides of others."""
    draw = np.random.default_rng(0)
    x = draw.uniform(-1, 1, rows)
    return make("wave", x[:, None], np.cos(3 * np.pi * x) + draw.normal(0, 0.1, rows))


def uci(path: Path) -> list[Table]:
    """Airfoil self-noise, and abalone's rings, a count, by sex and seven measures."""
    if not path.is_file():
        raise FileNotFoundError(
            f"uci got {str(path)!r}, which is no file: name an .npz file with the arrays airfoil, "
            "abalone_sex and abalone_numeric, of the UCI repository, targets last."
        )
    with np.load(path) as file:
        needed = {"airfoil", "abalone_sex", "abalone_numeric"}
        if lacking := sorted(needed - set(file.files)):
            raise ValueError(
                f"uci got {str(path)!r} without {', '.join(lacking)}; it needs the arrays "
                f"{', '.join(sorted(needed))}, targets last."
            )
        airfoil, sex, numeric = (
            file[name] for name in ("airfoil", "abalone_sex", "abalone_numeric")
        )
    return [
        make("airfoil", airfoil[:, :-1], airfoil[:, -1]),
        make("abalone", numeric[:, :-1], numeric[:, -1], texts=[sex]),
    ]


def make(
    name: str, numbers: np.ndarray, y: np.ndarray, *, texts: Sequence[np.ndarray] = ()
) -> Table:
    """A table of columns of numbers, then of texts. Nothing may be missing."""
    parts = [numbers[:, i : i + 1] for i in range(numbers.shape[1])]
    parts += [tables.one_hot(text) for text in texts]
    x = np.concatenate(parts, axis=1).astype(np.float32)
    if missing := int((~np.isfinite(x)).sum() + (~np.isfinite(y)).sum()):
        raise ValueError(
            f"make got {name} with {missing} values that are missing or infinite; it needs all, as "
            "an average with one spreads it to the partner: fill them in, or leave the rows out."
        )
    column = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    return Table(name, x, y.astype(np.float32), column.astype(np.int32))


def draw(
    key: PRNGKeyArray, x: Float[Array, "n d"], y: Float[Array, "n"], *, choosing: bool
) -> Data:
    """A random half, at most 1,000 rows, and test rows; both standardised by the first.

    A quarter of the table, at most 1,000 rows, is set aside for tests, the same for all keys;
    `choosing` tests on others.
    """
    mine, test = split.places(key, len(y), **tables.sizes(len(y)), choosing=choosing)
    test = test[: tables.TESTS]
    x, x_test = tables.standardise(x[mine], x[test])
    y, y_test = (part[:, 0] for part in tables.standardise(y[mine][:, None], y[test][:, None]))
    return Data(x, y, x_test, y_test)
