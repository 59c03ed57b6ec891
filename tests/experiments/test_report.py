"""Runs, and the tables, pictures and README made of them."""

import dataclasses
import io
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from experiments.harness import pages as readme
from experiments.harness import plots, tables
from experiments.harness.intervals import mean_interval
from experiments.harness.runs import (
    PLAIN,
    append_runs,
    by_seed,
    defining,
    groups_of,
    paired,
    read_runs,
    seed_results,
)
from experiments.harness.tables import Column, Table

ROOT = Path(__file__).parents[2]
MACHINE = {"device": "a CPU, 2 cores", "python": "Python 3", "jax": "JAX 1"}
TABLE = Table(
    columns=(
        Column("last", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("NLL", "nll", digits=2),
    ),
    caption="last: what it is.",
    options="--full",
)
SETTINGS = {"experiment": "fake", "code": "the code"}
TITLE = "A title as long as titles are, 10 paired seeds, 80 epochs"
GROUPS = {"clean": 0.0, "some noise": 20.0, "much noise": 40.0}


def make_runs(errors, group="g"):
    """Runs of each method's errors, by seed."""
    return [
        {"settings": SETTINGS, "group": group, "method": method, "machine": MACHINE}
        | {"seed": seed, "last_error": error, "nll": error / 10}
        for method, row in errors.items()
        for seed, error in enumerate(row)
    ]


def many_runs(methods=15, seeds=4, epochs=12):
    """Runs of methods that differ by more than chance, with names as long as real ones."""
    rng, runs = np.random.default_rng(0), []
    for group, level in GROUPS.items():
        names = {f"method {i}, weight decay 0.{i}": [level + 5 + i] * seeds for i in range(methods)}
        runs += make_runs(names, group)
    for run in runs:
        curve = run["last_error"] + np.linspace(60, 0, epochs) + rng.normal(size=epochs)
        run |= {"last_error": curve[-1], "curve": list(curve)}
    return runs, list(dict.fromkeys(run["method"] for run in runs))


@pytest.fixture
def figures(monkeypatch):
    """The figures that would be saved, laid out."""
    saved = []

    def savefig(figure, path, **options):
        figure.draw_without_rendering()
        saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def assert_nothing_overlaps(figure):
    """No text lies on another, or outside."""
    own = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    texts = [text for legend in (*figure.legends, *own) for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            (low, high), places = sorted(axis.get_view_interval()), axis.get_ticklocs()
            labels = zip(places, axis.get_ticklabels(), strict=True)
            texts += [label for place, label in labels if low <= place <= high]  # others are hidden
    texts = [text for text in (*texts, figure._suptitle) if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    for i, (text, box) in enumerate(zip(texts, boxes, strict=True)):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text
        clashes = [texts[j] for j in range(i) if box.overlaps(boxes[j])]
        assert not clashes, (text, clashes)


def test_gains_are_paired_by_seed():
    runs = make_runs({"a": [10.0, 20.0, 33.0], "b": [8.0, 17.0, 32.0, 500.0]})
    found = paired(runs[::-1], "g", "a", "b")
    np.testing.assert_allclose(found, mean_interval([2.0, 3.0, 1.0]))
    found = paired(runs, "g", "b", "a", key="nll")
    np.testing.assert_allclose(found, mean_interval([-0.2, -0.3, -0.1]))


def test_runs_are_kept_and_the_last_one_counts(tmp_path):
    path = tmp_path / "deep" / "runs.jsonl"
    runs = make_runs({"a": [1.0, 2.0]})
    append_runs(path, runs)
    with path.open("a") as file:
        file.write(json.dumps(runs[0])[:30])  # a process was killed
    newer = runs[1] | {"last_error": 3.0}
    append_runs(path, [newer, runs[0] | {"settings": {"experiment": "another"}}])
    assert read_runs(path, runs[0]["settings"]) == ([runs[0], newer], 2)


def test_each_seed_gets_its_last_scores_and_its_curve():
    scores = {
        "error": np.array([[0.5, 0.1, 0.2], [0.4, 0.3, np.nan]]),
        "ece": np.array([[0.3, 0.2, 0.1], [0.1, 0.2, 0.3]]),
        "nll": np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]),
    }
    final = {"train_wrong": np.array([0.25, np.nan]), "norm": np.array([7.0, 8.0])}
    first, second = seed_results(scores, final, seeds=(1000, 1001), plain=(*PLAIN, "norm"))
    assert first == {
        "seed": 1000,
        "last_error": 20.0,
        "best_error": 10.0,
        "ece": 10.0,
        "nll": 1.0,
        "train_wrong": 25.0,
        "norm": 7.0,
        "curve": [50.0, 10.0, 20.0],
    }
    assert (
        second["seed"] == 1001
        and second["curve"] == [40.0, 30.0, None]
        and second["train_wrong"] is None
    )


def test_rows_by_hand():
    runs = make_runs({"a": [10.0, 14.0], "b": [9.0, 11.0], "c": [7.0], "d": [1.0, 2.0]})
    runs[-1]["nll"] = None
    runs += make_runs({"a": [1.0, 2.0]}, "another")
    # t for one degree of freedom is 12.71; b's gains are 1 and 3.
    assert tables.rows(runs, "g", ["a", "b", "c", "d", "e"], TABLE) == [
        ["a", "12.0 ± 25.4", "", "1.20 ± 2.54"],
        ["b", "10.0 ± 12.7", "+2.0 ± 12.7", "1.00 ± 1.27"],
        ["c", "7.0", "+3.0", "0.70"],
        ["d", "1.5 ± 6.4", "+10.5 ± 19.1", "-"],
    ]
    assert [row[0] for row in tables.rows(runs, "another", ["b", "a"], TABLE)] == ["a"]
    assert tables.rows(runs, "another", ["b", "a"], TABLE)[0][2] == "-"  # nothing to compare with


def test_write(tmp_path):
    runs = make_runs({"a": [10.0, 14.0], "b": [9.0, 11.0]})
    console, drawn = Console(width=80, file=io.StringIO(), record=True), []
    out = partial(tables.write, tmp_path, console, "A title", runs, ["a", "b"], table=TABLE)
    out(plot=lambda *arguments: drawn.append(arguments), verdict="PASS.")
    assert drawn == [(tmp_path / "plot.png", "A title", runs, ["a", "b"])]
    text = (tmp_path / "table.md").read_text()
    assert text.startswith("A title.\n\n**g**\n\n| method | last | gain | NLL |\n| --- |")
    assert "\n| b | 10.0 ± 12.7 | +2.0 ± 12.7 | 1.00 ± 1.27 |\n\nlast: what it is. ±" in text
    assert text.endswith("Machine: a CPU, 2 cores, Python 3, JAX 1.\n\nPASS.\n")
    printed = console.export_text()
    assert "10.0±12.7" in printed and "plot.png" in printed and "PASS." in printed
    out()
    assert "plot.png" not in console.export_text() and len(drawn) == 1
    assert (tmp_path / "table.md").read_text().endswith("JAX 1.\n")


def test_reports_need_no_pictures():
    code = "import sys, experiments.harness.runs; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_curves(tmp_path, figures):
    runs, methods = many_runs()
    plots.curves(tmp_path / "plot.png", TITLE, runs, methods, main_group="much noise")
    assert_nothing_overlaps(figures[0])
    left, right = figures[0].axes
    means = [
        np.mean([r["curve"] for r in runs if (r["group"], r["method"]) == ("much noise", m)], 0)
        for m in methods
    ]
    for line, mean in zip(left.get_lines(), means, strict=True):
        np.testing.assert_allclose(line.get_ydata(), mean)
    looks = {(line.get_color(), line.get_linestyle()) for line in left.get_lines()}
    assert len(looks) == 15 and left.get_lines()[0].get_color() == plots.FIRST
    assert [text.get_text() for text in right.get_yticklabels()] == methods[1:]
    drawn = {
        round(float(line.get_xdata()[0]), 6)
        for line in right.get_lines()[:-1]
        if len(line.get_xdata())
    }
    assert drawn >= {
        round(paired(runs, group, methods[0], method)[0], 6)
        for group in groups_of(runs)
        for method in methods[1:]
    }
    names, _ = figures[0].legends[::-1]
    shown = [text.get_text() for text in names.get_texts()]
    order = np.argsort([mean[-1] for mean in means])[::-1]
    assert shown == [f"{methods[i]}: {means[i][-1]:.1f}" for i in order]


def test_against(tmp_path, figures):
    runs, methods = many_runs()
    runs = [run for run in runs if (run["group"], run["method"]) != ("clean", methods[1])]
    draw = partial(plots.against, tmp_path / "plot.png", TITLE, runs, methods)
    draw = partial(draw, x=GROUPS, xlabel="noise", ylabel="error")
    draw()
    draw(panels={"error": "last_error", "NLL": "nll"}, log=True)
    draw(panels={"low": ["clean", "some noise"], "high": ["much noise"]})
    for figure in figures:
        assert_nothing_overlaps(figure)
    (one,), (error, nll), (low, high) = (figure.axes for figure in figures)

    def points(axes, i):
        return np.array(axes.containers[i].lines[0].get_data(), np.float64)

    for axes, key in ((one, "last_error"), (error, "last_error"), (nll, "nll")):
        for i, method in ((0, methods[0]), (1, methods[1])):
            groups = [group for group in GROUPS if i != 1 or group != "clean"]
            means = [np.mean([*by_seed(runs, g, method, key).values()]) for g in groups]
            np.testing.assert_allclose(points(axes, i), [[GROUPS[g] for g in groups], means])
    np.testing.assert_array_equal(points(low, 0)[0], [0, 20])
    np.testing.assert_array_equal(points(high, 0)[0], [40])
    assert one.get_xscale() == "linear" and error.get_xscale() == "symlog"
    assert [text.get_text() for text in nll.get_xticklabels()] == ["0", "20", "40"]
    shown = [text.get_text() for text in one.get_legend().get_texts()]
    assert shown == sorted(methods, key=lambda name: points(one, methods.index(name))[1, -1])[::-1]


def test_gains(tmp_path):
    runs, methods = many_runs(methods=2)
    plots.gains(tmp_path / "plot.png", TITLE, runs, methods, key="nll", xlabel="NLL")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """Where the committed runs of a made-up experiment lie."""
    path = tmp_path / "experiments/fake/results/runs.jsonl"
    append_runs(path, make_runs({"a": [10.0, 14.0], "b": [9.0, 11.0]}, "20 % noise"))
    append_runs(path, make_runs({"b": [1.0, 2.0]}, "clean"))
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme.code, "of", {"fake": "the code"}.get)
    monkeypatch.setitem(sys.modules, "experiments.fake.__main__", SimpleNamespace(TABLE=TABLE))
    return path


def test_readme_blocks_come_from_the_runs(committed):
    text = (
        'Before. <!-- results: fake "20 % noise" -->old\n| row |<!-- end --> Between '
        '<!-- gain: fake "20 % noise" "b" -->0<!-- end --> points.\n'
        "<!-- results: fake --><!-- end --> After."
    )
    new = readme.filled(text)
    assert readme.filled(new) == new and "old" not in new
    one, every = re.findall(r"<!-- results.*?<!-- end -->", new, flags=re.DOTALL)
    assert "| b | 10.0 ± 12.7 | +2.0 ± 12.7 | 1.00 ± 1.27 |" in one and "clean" not in one
    assert "**20 % noise**" in every and "**clean**\n\n| method" in every
    command = "`python -m experiments.fake --full --out experiments/fake/results`"
    assert f"{command}:\n2 paired seeds; a CPU, 2 cores, Python 3, JAX 1." in one
    assert '"b" -->+2.0 ± 12.7<!-- end --> points.' in new
    assert new.startswith("Before. <!--") and new.endswith("<!-- end --> After.")


def test_runs_of_earlier_code_are_marked(committed, monkeypatch):
    text = '<!-- results: fake --><!-- end --> <!-- gain: fake "clean" "b" -->0<!-- end -->'
    assert "†" not in readme.filled(text) and "earlier code" not in readme.filled(text)
    monkeypatch.setattr(readme.code, "of", {"fake": "other code"}.get)
    new = readme.filled(text)
    assert new.endswith('"b" -->-†<!-- end -->') and new.count("by earlier code than") == 1


@dataclasses.dataclass
class Options:
    out: Path = Path("results")
    seeds: int = 3
    smoke: bool = False
    data: str | None = "a/path"
    epochs: int = 2
    sizes: tuple = (1, 2)


def test_all_options_the_data_and_the_code_define_a_run(monkeypatch):
    monkeypatch.setattr(readme.code, "of", {"fake": "the code"}.get)
    settings = defining("fake", Options(), {"pictures": "the name"})
    assert settings == {
        "experiment": "fake",
        "epochs": 2,
        "sizes": [1, 2],
        "pictures": "the name",
        "code": "the code",
    }
    assert json.loads(json.dumps(settings)) == settings
    others = Options(out=Path("elsewhere"), seeds=5, smoke=True, data="another/path")
    assert defining("fake", others, {"pictures": "the name"}) == settings
    assert defining("fake", Options(epochs=3)) != defining("fake", Options())


def test_the_readme_shows_no_other_runs(committed):
    with pytest.raises(ValueError, match=r"asks for the groups .*60 % noise"):
        readme.filled('<!-- results: fake "60 % noise" --><!-- end -->')
    append_runs(committed, [json.loads(committed.read_text().splitlines()[0]) | {"settings": {}}])
    with pytest.raises(ValueError, match="1 lines of other settings"):
        readme.filled("<!-- results: fake --><!-- end -->")


def test_committed_runs_hold_no_paths():
    paths = list((ROOT / "experiments").glob("**/results/**/*.jsonl"))
    assert paths
    for path in paths:
        found = re.search(r'"(/|~|\.\./|[A-Za-z]:\\)[^"]*"', path.read_text())
        assert found is None, (path.name, found and found.group())
