"""How much does mixing add to a step, next to one read and one write, and next to other libraries?

Everything runs in one process, in random order, as ratios to the floor of the same round; a goal is
met or not in that run. The pictures are random bytes: their content costs nothing.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import jax
import matplotlib
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from experiments import report
from experiments.benchmarks import cases, peers, timing

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Rows = Mapping[str, timing.Row | str]  # a call, or why there is none
Results = dict[str, dict[str, dict[str, Any]]]  # group -> row -> ratio, ms, ...


@dataclasses.dataclass(frozen=True)
class Config:
    """Time mixing against the floor, against formulations by hand, and against other libraries."""

    out: Path = Path("results/benchmarks")
    """Where runs.jsonl, table.md and plot.png go."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """What the goals need and no more, in less than 3 minutes on two cores."""
    smoke: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """One round of a few rows: shows that everything works, and nothing else."""
    rounds: int = 15
    """How often each row is timed; 9 with --quick."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """A number that one run must reach."""

    text: str
    value: Callable[[Results], float]
    limit: float
    at_most: bool = True

    def judge(self, results: Results) -> tuple[float, bool] | None:
        """The value and whether it is reached, or None if this run lacks a row."""
        try:
            value = self.value(results)
        except (KeyError, ValueError):
            return None
        return value, value <= self.limit if self.at_most else value >= self.limit


def ratio(group: str, row: str) -> Callable[[Results], float]:
    return lambda results: results[group][row]["ratio"]


def hand_over_ours(group: str, row: str) -> Callable[[Results], float]:
    """The fastest formulation by hand of the same method, against ours."""

    def value(results: Results) -> float:
        rows = results[group]
        others = ("by hand: roll, beta", "by hand: permutation, beta")
        return min(rows[name]["ratio"] for name in others) / rows[row]["ratio"]

    return value


def compile_over(group: str, row: str) -> Callable[[Results], float]:
    """Our seconds of compiling, against the JAX peer that compiles fastest."""

    def value(results: Results) -> float:
        rows = results[group]
        jax_peers = [name for name in rows if name.startswith(("by hand", "keras"))]
        return rows[row]["compile"] / min(rows[name]["compile"] for name in jax_peers)

    return value


def slower(group: str, other: str, row: str) -> Callable[[Results], float]:
    return lambda results: results[group][other]["ratio"] / results[group][row]["ratio"]


def goals(backend: str | None = None) -> list[Goal]:
    """What must be reached on this backend."""
    if (backend or jax.default_backend()) != "cpu":
        group, step = "large, u8 to bf16, per batch", "train step, ResNet-50"
        return [
            Goal(f"{name}, {group}: x floor", ratio(group, name), 1.1)
            for name in ("mixup", "CutMix", "mixup or CutMix")
        ] + [
            Goal(f"{name}, {step}: x no mixing", ratio(step, name), 1.01)
            for name in ("mixup", "mixup or CutMix")
        ]
    either, found = "mixup or CutMix", []
    limits = {"f32": (1.25, 1.35), "u8 to f32": (1.08, 1.20)}
    for types, pair in limits.items():
        for size, limit in zip(("large", "small"), pair, strict=True):
            group = f"{size}, {types}, per batch"
            found.append(Goal(f"mixup, {group}: x floor", ratio(group, "mixup"), limit))
            if types == "f32":
                text = f"mixup, {group}: fastest by hand / ours"
                found.append(Goal(text, hand_over_ours(group, "mixup"), 0.95, at_most=False))
    for per, pair in (("batch", (1.15, 1.30)), ("example", (1.5, 2.2))):
        for size, limit in zip(("large", "small"), pair, strict=True):
            group = f"{size}, u8 to f32, per {per}"
            found.append(Goal(f"{either}, {group}: x floor", ratio(group, either), limit))
    group = "large, u8 to f32, per batch"
    compiling = lambda results, group=group: results[group][either]["compile"]
    found.append(Goal(f"{either}: seconds to compile", compiling, 0.4))
    found.append(Goal(f"{either}: compile, / fastest JAX peer", compile_over(group, either), 1 / 3))
    for draws, limit in ((1, 2.0), (256, 3.0), (10**6, 50.0)):
        group = f"{draws:,} draws of λ"
        text = f"jax.random.beta / symmetric_beta, {draws:,} draws"
        value = slower(group, "jax.random.beta", "symmetric_beta")
        found.append(Goal(text, value, limit, at_most=False))
    group = "loss and gradient, 21,841 classes"
    value = slower(group, "dense labels", "pair_loss")
    found.append(Goal("dense loss / pair_loss, 21,841 classes", value, 6.0, at_most=False))
    return found


def groups(config: Config) -> dict[str, Callable[[], Rows]]:
    """What is compared with what; the first row of each is its floor."""
    if config.smoke:
        return {
            "tiny, u8 to f32, per batch": partial(pictures, "tiny", "u8 to f32", "batch"),
            "1 draws of λ": partial(cases.laws, ()),
            "loss and gradient, 1,000 classes": partial(cases.losses, 1000),
        }
    found: dict[str, Callable[[], Rows]] = {}
    for classes in (1_000, 21_841):  # first, with memory as every user's process gets it
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
        # On CPU only to see that it works: a step takes seconds there, and mixing is in the noise.
        sizes = (4, 64) if jax.default_backend() == "cpu" else (256, 224)
        found["train step, ResNet-50"] = partial(cases.steps, *sizes)
    for shape in ((), (256,), (10**6,)):
        found[f"{int(np.prod(shape)):,} draws of λ"] = partial(cases.laws, shape)
    return found


def pictures(size: str, types: str, per: str) -> Rows:
    """Our methods, and those by hand."""
    timing.keep_memory()
    return floor(size, types) | cases.ours(size, types, per) | cases.by_hand(size, types, per)


def packages(size: str, types: str, per: str) -> Rows:
    """Our methods, and other libraries'; apart, for PyTorch's threads slow what is beside them."""
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
    """All groups: what was measured, on disk as soon as it is, and why a row is missing."""
    results, missing = {}, {}
    rounds = 1 if config.smoke else 9 if config.quick else config.rounds
    todo = groups(config)
    for number, (name, make) in enumerate(todo.items(), start=1):
        with console.status(f"{number} of {len(todo)}: {name}"):
            rows = make()
            missing[name] = {row: why for row, why in rows.items() if isinstance(why, str)}
            timed = {row: call for row, call in rows.items() if isinstance(call, timing.Row)}
            few = min(rounds, 3) if name.startswith("1,000,000") else rounds  # seconds each
            results[name] = timing.measure(timed, rounds=few)
        settings = {"experiment": "benchmarks", "rounds": few, "versions": versions()}
        same = {"settings": settings, "group": name, "machine": report.machine()}
        report.append_runs(
            config.out / "runs.jsonl",
            [
                same | {"method": row} | {key: report.rounded(x) for key, x in result.items()}
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


HEADER = ("x first row", "quartiles", "ms", "compile, s")  # XLA's seconds, without tracing


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


def judged(results: Results) -> list[tuple[str, str, str, str]]:
    rows = []
    for goal in goals():
        verdict = goal.judge(results)
        sign = "≤" if goal.at_most else "≥"
        value, word = ("-", "not run") if verdict is None else (f"{verdict[0]:.2f}", "met")
        if verdict is not None and not verdict[1]:
            word = "NOT MET"
        rows.append((goal.text, value, f"{sign} {goal.limit:.2f}", word))
    return rows


def write(config: Config, results: Results, missing: dict) -> None:
    """table.md and plot.png of this run."""
    text = [f"{facts()}.\n"]
    text += ["**Goals**\n", report.markdown_row(("goal", "measured", "limit", ""))]
    text += [report.markdown_row(["---"] * 4), *map(report.markdown_row, judged(results))]
    for group, rows in results.items():
        text += [f"\n**{group}**\n", report.markdown_row(("", *HEADER))]
        text += [report.markdown_row(["---"] * 5)]
        text += [report.markdown_row((row, *cells(result))) for row, result in rows.items()]
        text += [
            report.markdown_row((row, "-", why, "", "")) for row, why in missing[group].items()
        ]
    (config.out / "table.md").write_text("\n".join(text) + "\n")
    plot(config.out / "plot.png", results)


def facts() -> str:
    """Machine and versions, in words."""
    named = (f"{name} {version}" for name, version in versions().items())
    return f"{', '.join(report.machine().values())}; {', '.join(named)}"


def plot(path: Path, results: Results) -> None:
    """A panel for each group of pictures: ratios to its floor, with quartiles."""
    skipped = ("video", "bf16")  # the table has them
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
    if config.smoke:
        config = dataclasses.replace(config, out=config.out / "smoke")
    console = Console()
    console.print(facts())
    results, missing = run(config, console)
    verdicts = Table(title="Goals", title_justify="left", box=SIMPLE_HEAD, padding=0)
    for column in ("", "measured", "limit", ""):
        verdicts.add_column(column, justify="right" if column else "left")
    for row in judged(results):
        verdicts.add_row(*row)
    console.print(verdicts)
    write(config, results, missing)
    console.print(f"Written: runs.jsonl, table.md and plot.png in {config.out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Config, prog="python -m experiments.benchmarks")))
    except KeyboardInterrupt:
        print("Stopped. The groups that were finished are in runs.jsonl.")
        sys.exit(130)
