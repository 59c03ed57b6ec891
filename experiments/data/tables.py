"""Tables for classification: three of scikit-learn's, three of UCI's from an archive, any CSV file.

A table is numbers, NaN where one is missing, and classes. What a column becomes does not depend on
the split; means and deviations do, so that `standardise` takes them from the training rows alone.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

MISSING = {"", "?", "na", "nan"}
TESTS = 1000  # test rows, at most


class Table(NamedTuple):
    """Columns as numbers, one row for each example."""

    name: str
    x: Float32[np.ndarray, "n d"]  # NaN where a value is missing
    y: Int32[np.ndarray, "n"]  # 0 to num_classes - 1, all of them present
    num_classes: int


def load(source: Path | None = None) -> list[Table]:
    """scikit-learn's tables, these with UCI's from an .npz file, or the one of a .csv file."""
    if source is None:
        return bundled()
    if not source.is_file():
        raise FileNotFoundError(
            f"load got source={str(source)!r}, which is no file: name a .csv file whose last "
            "column is the class, an .npz file of UCI's tables, or none for scikit-learn's own."
        )
    if source.suffix == ".npz":
        return bundled() + uci(source)
    return [read_csv(source)]


def bundled() -> list[Table]:
    """Iris, wine and breast cancer, as scikit-learn ships them."""
    loaders = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
    return [
        make(name, *map(np.asarray, loader(return_X_y=True))) for name, loader in loaders.items()
    ]


def uci(path: Path) -> list[Table]:
    """Abalone, arrhythmia and HTRU2. Abalone's classes are the rings, counted, as in the paper."""
    with np.load(path) as file:
        needed = {"abalone_sex", "abalone_numeric", "arrhythmia", "htru2"}
        if lacking := sorted(needed - set(file.files)):
            raise ValueError(
                f"uci got {str(path)!r} without {', '.join(lacking)}; it needs the arrays "
                f"{', '.join(sorted(needed))}: for another table write a CSV file."
            )
        sex, numeric = one_hot(file["abalone_sex"]), file["abalone_numeric"]
        rest = {"arrhythmia": file["arrhythmia"], "HTRU2": file["htru2"]}
    abalone = make("abalone", np.concatenate([sex, numeric[:, :-1]], axis=1), numeric[:, -1])
    return [abalone, *(make(name, array[:, :-1], array[:, -1]) for name, array in rest.items())]


def read_csv(path: Path) -> Table:
    """A file of rows whose last column is the class.

    A column is numeric if each of its values is, and is one-hot otherwise; "", "?", "NA" and "NaN"
    are missing. The first row names the columns if it is the only one that keeps some column from
    being numeric.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    widths = sorted({len(row) for row in rows})
    if len(rows) < 2 or len(widths) > 1 or widths[0] < 2:
        raise ValueError(
            f"read_csv got {path.name}, {len(rows)} rows of {widths} cells; it needs two rows or "
            "more, all with the same two cells or more, the last one the class."
        )
    body = list(zip(*rows[1:], strict=True))
    named = any(
        numbers([cell]) is None and cell.lower() not in MISSING and numbers(column) is not None
        for cell, column in zip(rows[0], body, strict=True)
    )
    *columns, labels = body if named else zip(*rows, strict=True)
    classes = classes_of(path.name, labels)
    x = np.concatenate([encode(path.name, i, column) for i, column in enumerate(columns)], axis=1)
    return make(path.stem, x, classes)


def classes_of(name: str, labels: Sequence[str]) -> np.ndarray:
    """Each row's class, a number or a text; two classes or more, each with two examples or more."""
    if missing := sum(label.lower() in MISSING for label in labels):
        raise ValueError(
            f"read_csv got {name} with {missing} rows without a class, which is the last column: "
            "leave them out."
        )
    values = numbers(labels)
    classes = np.array(labels) if values is None else values
    found, counts = np.unique(classes, return_counts=True)
    if len(found) < 2 or counts.min() < 2:
        raise ValueError(
            f"read_csv got {name} with {len(found)} classes in the last column, and {counts.min()} "
            f"examples of {found[counts.argmin()]}; it needs two classes and two examples of each, "
            "to learn and to test: join rare classes, or leave them out."
        )
    return classes


def encode(name: str, index: int, column: Sequence[str]) -> np.ndarray:
    """A column's numbers, or one column for each of its texts."""
    values = numbers(column)
    if values is not None:
        return values[:, None]
    texts = {text for text in column if text.lower() not in MISSING}
    if len(texts) > len(column) / 2:
        raise ValueError(
            f"read_csv got {name} with {len(texts)} texts in {len(column)} rows of column "
            f"{index + 1}; it needs numbers, or texts that repeat: correct what is no number, or "
            "leave the column out."
        )
    return one_hot(column)


def numbers(column: Sequence[str]) -> np.ndarray | None:
    """The values, NaN where missing; None if one is not a finite number or all are missing."""
    try:
        values = np.array([np.nan if cell.lower() in MISSING else float(cell) for cell in column])
    except ValueError:
        return None
    return None if np.isinf(values).any() or np.isnan(values).all() else values


def one_hot(column: Sequence[str] | np.ndarray) -> np.ndarray:
    """A column for each text, in order; NaN in all of them where the text is missing."""
    cells = np.asarray(column)
    missing = np.array([cell.lower() in MISSING for cell in cells])
    hot = cells[:, None] == np.unique(cells[~missing])
    return np.where(missing[:, None], np.nan, hot)


def make(name: str, x: np.ndarray, labels: np.ndarray) -> Table:
    """A table in which each column with missing values gets another one that says where."""
    missing = np.isnan(x)
    x = np.concatenate([x, missing[:, missing.any(axis=0)]], axis=1)
    classes, y = np.unique(labels, return_inverse=True)
    return Table(name, x.astype(np.float32), y.astype(np.int32), len(classes))


def sizes(count: int, rows: int = 1000) -> dict[str, int]:
    """How many of a table's rows train, half or `rows`, and how many are set aside for tests."""
    return {"train": min(count // 2, rows), "tests": min(count // 4, TESTS)}


def standardise(
    x: Float[Array, "n d"], x_test: Float[Array, "m d"]
) -> tuple[Float[Array, "n d"], Float[Array, "m d"]]:
    """Both standardised by the means and deviations of x, the training rows; NaN is the mean."""
    mean, deviation = (of(x, axis=0, keepdims=True) for of in (jnp.nanmean, jnp.nanstd))
    scale = jnp.where(deviation > 0, deviation, 1)
    x, x_test = (jnp.nan_to_num((rows - mean) / scale) for rows in (x, x_test))
    return x, x_test
