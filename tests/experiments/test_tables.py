"""Tables: what columns become, by hand, and what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.core import loop
from experiments.data import regression_tables, tables
from experiments.tabular import __main__ as tabular


def written(folder, text):
    path = folder / "pets.csv"
    path.write_text(text)
    return path


def test_columns_by_hand(tmp_path):
    text = "legs,colour,weight,kind\n4,red,2.5,cat\n4,blue,?,dog\n2,red,1,cat\n4,,3,dog\n"
    table = tables.read_csv(written(tmp_path, text))
    missing = np.nan
    expected = [  # legs, blue, red, weight, and where colour's two and the weight are missing
        [4, 0, 1, 2.5, 0, 0, 0],
        [4, 1, 0, missing, 0, 0, 1],
        [2, 0, 1, 1, 0, 0, 0],
        [4, missing, missing, 3, 1, 1, 0],
    ]
    np.testing.assert_array_equal(table.x, np.array(expected, np.float32))
    np.testing.assert_array_equal(table.y, [0, 1, 0, 1])
    assert (table.name, table.num_classes) == ("pets", 2)
    assert table.x.dtype == np.float32 and table.y.dtype == np.int32


def test_a_first_row_of_names_is_told_from_one_of_values(tmp_path):
    without = tables.read_csv(written(tmp_path, "1,a,7\n2,b,8\n3,a,7\n4,b,8\n"))
    named = tables.read_csv(written(tmp_path, "size,mark,kind\n1,a,7\n2,b,8\n3,a,7\n4,b,8\n"))
    np.testing.assert_array_equal(without.x, [[1, 1, 0], [2, 0, 1], [3, 1, 0], [4, 0, 1]])
    np.testing.assert_array_equal(without.x, named.x)
    np.testing.assert_array_equal(without.y, named.y)
    # If nothing is a number a header cannot be recognised: every row is an example.
    texts = tables.read_csv(written(tmp_path, "a,x\nb,x\na,y\nb,y\n"))
    assert texts.x.shape == (4, 2)


def test_numbers_are_ordered_as_classes(tmp_path):
    table = tables.read_csv(written(tmp_path, "1,10\n2,9\n3,10.0\n4,9\n"))
    np.testing.assert_array_equal(table.y, [1, 0, 1, 0])


def test_standardised_by_the_training_rows_alone():
    missing = jnp.nan
    x = jnp.array([[1.0, 5.0, 1.0], [3.0, 5.0, missing], [missing, 5.0, 5.0]])
    x_test = jnp.array([[5.0, 6.0, missing], [1.0, 5.0, 3.0]])
    found, found_test = tables.standardise(x, x_test)
    # Means 2, 5, 3; deviations 1, 0 (left as 1), 2; what is missing is at the mean.
    np.testing.assert_allclose(found, [[-1, 0, -1], [1, 0, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(found_test, [[3, 1, 0], [-1, 0, 0]], atol=1e-6)
    again, _ = tables.standardise(x, 100 + x_test)
    np.testing.assert_array_equal(found, again)


def test_bundled_tables():
    found = {table.name: (*table.x.shape, table.num_classes) for table in tables.load()}
    assert found == {"iris": (150, 4, 3), "wine": (178, 13, 3), "breast cancer": (569, 30, 2)}


def test_uci_archive(tmp_path):
    path = tmp_path / "uci.npz"
    arrays = {
        "abalone_sex": np.array(["F", "M", "I", "M"]),
        "abalone_numeric": np.array([[0.5, 9], [0.25, 3], [0.75, 9], [1, 29]], np.float32),
        "arrhythmia": np.array([[1, np.nan, 16], [2, 3, 1], [4, 5, 16]], np.float32),
        "htru2": np.array([[1, 0], [2, 1]], np.float32),
    }
    np.savez(path, **arrays)
    *_, abalone, arrhythmia, htru2 = tables.load(path)
    expected = [[1, 0, 0, 0.5], [0, 0, 1, 0.25], [0, 1, 0, 0.75], [0, 0, 1, 1]]
    np.testing.assert_array_equal(abalone.x, expected)
    np.testing.assert_array_equal(abalone.y, [1, 0, 1, 2])
    np.testing.assert_array_equal(arrhythmia.x, [[1, np.nan, 1], [2, 3, 0], [4, 5, 0]])
    np.testing.assert_array_equal(arrhythmia.y, [1, 0, 1])
    assert (htru2.name, htru2.num_classes) == ("HTRU2", 2)
    del arrays["htru2"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="without htru2; it needs the arrays"):
        tables.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 rows"),
        ("1,2\n", "1 rows"),
        ("1\n2\n", "two cells or more"),
        ("1,2,a\n1,a\n", "rows of \\[2, 3\\] cells"),
        ("1,a\n2,\n3,a\n", "1 rows without a class"),
        ("1,a\n2,a\n3,b\n", "1 examples of b"),
        ("1,a\n2,a\n", "with 1 classes"),
        ("1,5,a\n1,5,b\nx,6,a\ny,7,b\nz,8,b\n", "4 texts in 5 rows of column 1"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as raised:
        tables.read_csv(written(tmp_path, text))
    assert str(raised.value).startswith("read_csv got pets.csv")


@pytest.mark.parametrize("count", [4, 150, 6000])
def test_choices_see_no_test_row_of_results(count, monkeypatch):
    monkeypatch.setattr(tables, "standardise", lambda *rows: rows)
    x = jnp.arange(count)[:, None]  # a row is its own number
    classes = partial(tabular.draw_data, x=x, y=x[:, 0], rows=1000)
    numbers = partial(regression_tables.draw, x=x, y=x[:, 0])
    rows = lambda part: set(np.ravel(part).tolist())
    for draw in (classes, numbers):
        keys = jax.random.split(jax.random.key(0), 3)
        results = [draw(key, choosing=False) for key in keys]
        [tests] = {frozenset(rows(data.x_test)) for data in results}  # the same for all seeds
        assert len(tests) == min(count // 4, 1000)
        assert not any(rows(data.x) & tests for data in results)
        assert len({frozenset(rows(data.x)) for data in results}) > 1 or count == 4
        for data in (draw(key, choosing=True) for key in keys):
            assert len(data.x) == min(count // 2, 1000) and len(data.x_test) <= 1000
            assert not (rows(data.x) | rows(data.x_test)) & tests
            assert rows(data.x_test) and not rows(data.x) & rows(data.x_test)
            assert rows(data.x) == rows(data.y) and rows(data.x_test) == rows(data.y_test)


def test_the_script_stops_with_one_sentence(tmp_path):
    for data, word in ((tmp_path / "none.csv", "is no file"), (written(tmp_path, "1,2\n"), "rows")):
        with pytest.raises(loop.Stop, match=word):
            tabular.main(tabular.Config(out=tmp_path, data=data))
    with pytest.raises(loop.Stop, match="--epochs got 9; it needs 10 or more"):
        tabular.main(tabular.Config(out=tmp_path, epochs=9))
