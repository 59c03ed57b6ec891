"""How much does mixing add to a step, next to one read and one write, and next to other libraries?

Everything runs in one process, in random order. Times are ratios to the floor (the first call of
its group) of the same round, and a run either meets a goal or does not. The pictures are random
bytes: their content does not change the time.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from experiments.benchmarks import cases, family, goals, peers, timing
from experiments.benchmarks.goals import Results
from experiments.harness import cli
from experiments.harness.runs import append_runs, machine, rounded
from experiments.harness.tables import markdown_row

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Rows = Mapping[str, timing.Row | str]  # a call, or why there is none


@dataclasses.dataclass(frozen=True)
class Config:
    """Time mixing against the floor, against formulations by hand, and against other libraries."""

    out: Path = Path("results/benchmarks")
    """Folder for runs.jsonl, table.md and plot.png."""
    quick: cli.Flag = False
    """Time only what the goals need, in 5 minutes on two cores."""
    smoke: cli.Flag = False
    """One round of a few rows: only shows that everything works."""
    openmixup: Path | None = None
    """A checkout of github.com/Westlake-AI/openmixup, to compare the family with it."""
    rounds: cli.Count = 15
    """How often each row is timed; 9 with --quick."""


def groups(config: Config) -> dict[str, Callable[[], Rows]]:
    """What is compared with what; the first row of each is its floor."""
    if config.smoke:
        return {
            "tiny, u8 to f32, per batch": partial(pictures, "tiny", "u8 to f32", "batch"),
            "1 draws of λ": partial(cases.laws, ()),
            "loss and gradient, 1,000 classes": partial(cases.losses, 1000),
            "family, tiny: mixup": partial(family.rows, "tiny", family.CELLS["mixup"], None),
        }
    found: dict[str, Callable[[], Rows]] = {}
    for classes in (1_000, 21_841):  # first, while memory is as in every user's process
        found[f"loss and gradient, {classes:,} classes"] = partial(cases.losses, classes)
    for size in ("small", "large") if config.quick else ("small", "large", "video"):
        quick = ("f32", "u8 to f32") if jax.default_backend() == "cpu" else ("u8 to bf16",)
        for types in quick if config.quick else cases.TYPES:
            for per in ("batch", "example"):
                if not (config.quick and (per, types) == ("example", "f32")):
                    found[f"{size}, {types}, per {per}"] = partial(pictures, size, types, per)
    if not config.quick:
        for size in ("small", "large"):
            for types in ("f32", "u8 to f32"):
                for per in ("batch", "example"):
                    name = f"packages: {size}, {types}, per {per}"
                    found[name] = partial(packages, size, types, per)
        for types in ("u8 to f32", "f32"):
            found[f"pairings, large, {types}"] = partial(pairings, "large", types)
    if not config.quick or jax.default_backend() != "cpu":
        # On a CPU this only shows that it works: a step takes seconds, mixing is within the noise.
        sizes = (4, 64) if jax.default_backend() == "cpu" else (256, 224)
        found["train step, ResNet-50"] = partial(cases.steps, *sizes)
    for shape in ((), (256,), (10**6,)):
        found[f"{int(np.prod(shape)):,} draws of λ"] = partial(cases.laws, shape)
    return found | family.groups(config.openmixup)  # last: PyTorch's threads slow other calls


def pictures(size: str, types: str, per: str) -> Rows:
    """Our methods, and those by hand."""
    timing.keep_memory()
    return floor(size, types) | cases.ours(size, types, per) | cases.by_hand(size, types, per)


def packages(size: str, types: str, per: str) -> Rows:
    """Our methods and other libraries', kept apart because PyTorch's threads slow other calls."""
    timing.keep_memory()
    _, images, ids, classes = cases.batch(size, types)
    arrays, normalise = (np.asarray(images), np.asarray(ids, np.int32)), cases.TYPES[types][2]
    others = peers.peers(*arrays, num_classes=classes, per=per, normalise=normalise)
    return {**floor(size, types), **cases.ours(size, types, per), **others}


def pairings(size: str, types: str) -> Rows:
    """Our methods under each pairing."""
    timing.keep_memory()
    return floor(size, types) | cases.pairings(size, types)


def floor(size: str, types: str) -> dict[str, timing.Row]:
    key, images, ids, _ = cases.batch(size, types)
    return {"floor": timing.compiled(cases.floor(types), key, images, ids)}


def run(config: Config, console: Console) -> tuple[Results, dict[str, dict[str, str]]]:
    """All groups: what was measured, written to disk at once, and why a row is missing."""
    results, missing = {}, {}
    rounds = 1 if config.smoke else 9 if config.quick else config.rounds
    todo = groups(config)
    for number, (name, make) in enumerate(todo.items(), start=1):
        with console.status(f"{number} of {len(todo)}: {name}"):
            rows = make()
            missing[name] = {row: why for row, why in rows.items() if isinstance(why, str)}
            timed = {row: call for row, call in rows.items() if isinstance(call, timing.Row)}
            slow = name.startswith("1,000,000") or "transport" in name  # seconds a call
            few = min(rounds, 3) if slow else rounds
            # Of a peer that pastes in place, a call costs what its box is large: several a round.
            seconds = 0.1 if name.startswith("family") and not config.smoke else 0.02
            results[name] = timing.measure(timed, rounds=few, seconds=seconds)
        settings = {"experiment": "benchmarks", "rounds": few, "versions": versions()}
        same = {"settings": settings, "group": name, "machine": machine()}
        append_runs(
            config.out / "runs.jsonl",
            [
                same | {"method": row} | {key: rounded(x) for key, x in result.items()}
                for row, result in results[name].items()
            ],
        )
        console.print(table(name, results[name], missing[name]))
    return results, missing


def versions() -> dict[str, str]:
    own = {name: metadata.version(name) for name in ("jax", "jaxlib")}
    return own | peers.versions()


def cells(result: dict[str, Any]) -> list[str]:
    seconds = result["compile"]
    return [
        f"{result['ratio']:.2f}",
        f"{result['low']:.2f} to {result['high']:.2f}",
        f"{result['ms']:.3g}",
        "" if seconds is None else f"{seconds:.2f}",
    ]


HEADER = ("x first row", "quartiles", "ms", "compile, s")  # to trace, lower and compile


def table(name: str, rows: dict, missing: dict[str, str]) -> Table:
    found = Table(title=name, title_justify="left", box=SIMPLE_HEAD, padding=0)
    found.add_column("")
    for column in HEADER:
        found.add_column(column, justify="right")
    for row, result in rows.items():
        found.add_row(row, *cells(result))
    for row, why in missing.items():
        found.add_row(row, "-", why)
    return found


def write(config: Config, results: Results, missing: dict) -> None:
    """table.md and plot.png of this run."""
    text = [f"{facts()}.\n"]
    text += ["**Goals**\n", markdown_row(("goal", "measured", "limit", ""))]
    text += [markdown_row(["---"] * 4), *map(markdown_row, goals.judged(results))]
    if lines := family.table(results):
        text += ["\n**The family: theirs / ours**\n", *lines]
    for group, rows in results.items():
        text += [f"\n**{group}**\n", markdown_row(("", *HEADER))]
        text += [markdown_row(["---"] * 5)]
        text += [markdown_row((row, *cells(result))) for row, result in rows.items()]
        text += [markdown_row((row, "-", why, "", "")) for row, why in missing[group].items()]
    (config.out / "table.md").write_text("\n".join(text) + "\n")
    plot(config.out / "plot.png", results)


def facts() -> str:
    """Machine and versions, in words."""
    named = (f"{name} {version}" for name, version in versions().items())
    return f"{', '.join(machine().values())}; {', '.join(named)}"


def plot(path: Path, results: Results) -> None:
    """A panel for each group of pictures: ratios to its floor, with quartiles."""
    skipped = ("video", "bf16", "family")  # the table has them
    shown = {
        name: rows
        for name, rows in results.items()
        if " per " in name and not any(word in name for word in skipped)
    }
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    height = 0.9 + 0.26 * max(map(len, shown.values()))
    figure, grid = plt.subplots(
        lines, columns, figsize=(5.6 * columns, height * lines), layout="constrained", squeeze=False
    )
    for axes, (name, rows) in zip(grid.flat, shown.items(), strict=False):
        for place, (row, result) in enumerate(rows.items()):
            own = not (row == "floor" or row.startswith(("by hand", "keras", "kornia", "timm")))
            colour = "#c0392b" if own else "#333333" if row == "floor" else "#7f8c8d"
            axes.plot([result["low"], result["high"]], [place, place], color=colour, lw=2)
            axes.plot(result["ratio"], place, "o", color=colour, ms=5)
        axes.set_yticks(range(len(rows)), rows)
        axes.invert_yaxis()
        axes.set_xscale("log")
        ticks = [n for n in (1, 2, 5, 10, 20, 50, 100) if n <= 1.5 * axes.get_xlim()[1]]
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.axvline(1, color="#333333", lw=1)
        axes.set_title(name, loc="left", fontsize=10)
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    figure.suptitle("Time of mixing, x one read and one write (median and quartiles over rounds)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(config: Config) -> int:
    """Time everything, print it, and say which goals this run met."""
    config = cli.ready(config)
    console = Console()
    console.print(facts())
    results, missing = run(config, console)
    verdicts = Table(title="Goals", title_justify="left", box=SIMPLE_HEAD, padding=0)
    for column in ("", "measured", "limit", ""):
        verdicts.add_column(column, justify="right" if column else "left")
    for row in goals.judged(results):
        verdicts.add_row(*row)
    console.print(verdicts)
    write(config, results, missing)
    console.print(f"Written: runs.jsonl, table.md and plot.png in {config.out}")
    return 0


if __name__ == "__main__":
    cli.main("benchmarks", Config, main, __doc__)
