"""What does each method of the family cost, next to mixup?

A compiled step draws a mix, blends uint8 pictures to normalised float32, and makes dense labels.
All steps run in one process, in random order, as ratios to mixup in the same round, on 64 pictures
of 224 x 224. Methods that follow saliency get it as an input here; making it costs the passes that
the table names. The cost of methods that act inside a model (manifold mixup, PatchUp, MixStyle)
depends on the size of the model's features.

Goals are limits in times of mixup per batch: `KEYED` for methods that draw from the key alone, per
batch and per example, with some of their own in `APART`, and `FOLLOW` for two that follow saliency.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console

import jax_mixup as jm
from experiments import catalogue
from experiments.benchmarks import __main__ as benchmarks
from experiments.benchmarks import cases, timing
from experiments.draws import Draw, Options
from experiments.harness import cli
from experiments.harness.runs import append_runs, machine, rounded
from experiments.harness.tables import markdown_row

TIME = "2 min"
TYPES = "u8 to f32"
KEYED = (2.0, 4.0)
APART = {
    "ResizeMix": (5.0, 5.0),  # two taps an axis
    "RICAP": (3.0, 4.0),  # four pictures
    "FMix": (2.0, 10.0),  # an FFT and a threshold for each picture
    "CowMix": (2.0, 10.0),
}
FOLLOW = {"GuidedMixup": 5.0, "SnapMix": 6.0}
HEADER = ("needs", "passes", "x mixup, per batch", "quartiles", "per example", "ms", "compile, s")


class Case(NamedTuple):
    """A draw of the catalogue."""

    draw: Draw
    options: Options
    needs: str


PASSES = {
    "spectral": "0 (spectral residual), or as above",
    "gradient": "1 forward, 1 backward",
    "features": "1 forward, frozen",
    "cam": "1 forward",
}
CASES = {
    name: Case(draw, options, method.needs if draw.follows else "key")
    for method in catalogue.methods()
    for draw in method.draws
    for name, options in draw.costs.items()
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Time every method of the family against mixup."""

    out: Path = Path("results/costs")
    """Folder for runs.jsonl and table.md."""
    smoke: cli.Flag = False
    """Two rounds of four methods on tiny pictures: shows that everything works."""
    rounds: cli.Count = 9
    """How often each method is timed."""


def step(case: Case, per: str | None, classes: int) -> Callable:
    """Draw, blend, normalise, dense labels."""
    options = dict(case.options) if per is None else {**case.options, "per": per}

    def prepare(key: PRNGKeyArray, images: Array, ids: Array, saliency: Array) -> Any:
        mix, own, other = case.draw(key, images, made=saliency, **options)
        mixed = cases.finish(TYPES, jm.blend(mix, own, other=other, dtype=jnp.float32))
        return mixed, jm.blend_labels(mix, ids, num_classes=classes)

    return prepare


def rows(size: str, names: list[str]) -> dict[str, timing.Row]:
    """Compiled steps; a method without saliency has one per batch and one per example."""
    key, images, ids, classes = cases.batch(size, TYPES)
    saliency = jax.random.uniform(key, images.shape[:-1])
    found = {}
    for name in names:
        for per in ("batch", "example") if CASES[name].needs == "key" else (None,):
            program = step(CASES[name], per, classes)
            found[f"{name}|{per}"] = timing.compiled(program, key, images, ids, saliency)
    return found


def cells(name: str, results: dict[str, dict[str, Any]]) -> list[str]:
    case, plain = CASES[name], results.get(f"{name}|batch")
    each = results[f"{name}|example" if plain else f"{name}|None"]
    shown = plain or each
    return [
        case.needs,
        PASSES.get(case.draw.follows, "0"),
        f"{plain['ratio']:.2f}" if plain else "",
        f"{shown['low']:.2f} to {shown['high']:.2f}",
        f"{each['ratio']:.2f}",
        f"{shown['ms']:.3g}",
        f"{shown['compile']:.2f}",
    ]


def limits() -> dict[str, float]:
    """The most that each row may cost, where there is a goal."""
    found = {f"{name}|None": limit for name, limit in FOLLOW.items()}
    for name, case in CASES.items():
        if case.needs == "key":
            batch, example = APART.get(name, KEYED)
            found |= {f"{name}|batch": batch, f"{name}|example": example}
    return found


def judge(results: dict[str, dict[str, Any]]) -> str:
    """The goals in words, and which of them are missed."""
    over = []
    for row, limit in limits().items():
        name, per = row.split("|")
        if (ratio := results[row]["ratio"]) > limit:
            over.append(f"{name}{'' if per == 'None' else f' per {per}'} {ratio:.2f} ({limit:g})")
    apart = "; ".join(f"{name} {pair[0]:g} and {pair[1]:g}" for name, pair in APART.items())
    follow = "; ".join(f"{name} {limit:g}" for name, limit in FOLLOW.items())
    return (
        f"Goal: at most {KEYED[0]:g} x mixup per batch from the key alone, {KEYED[1]:g} x per "
        f"example; {apart}; {follow}. {'Missed by ' + ', '.join(over) if over else 'Met'}."
    )


def main(config: Config) -> int:
    """Time everything, and write the table."""
    config = cli.ready(config, rounds=2)
    names = ["mixup", "ResizeMix", "RICAP", "SaliencyMix"] if config.smoke else list(CASES)
    console = Console()
    timing.keep_memory()
    with console.status("compiling"):
        timed = rows("tiny" if config.smoke else "large", names)
    with console.status("timing"):
        results = timing.measure(timed, rounds=config.rounds)
    settings = {"experiment": "costs", "rounds": config.rounds, "versions": benchmarks.versions()}
    same = {"settings": settings, "group": "64 x 224 x 224 x 3", "machine": machine()}
    lines = [
        same | {"method": row} | {key: rounded(x) for key, x in result.items()}
        for row, result in results.items()
    ]
    append_runs(config.out / "runs.jsonl", lines)
    text = [markdown_row(("method", *HEADER)), markdown_row(["---"] * 8)]
    text += [markdown_row((name, *cells(name, results))) for name in names]
    verdict = "" if config.smoke else judge(results)
    page = f"{', '.join(machine().values())}.\n\n{verdict}\n\n" + "\n".join(text) + "\n"
    (config.out / "table.md").write_text(page)
    console.print(page, markup=False, soft_wrap=True)
    console.print(f"Written: runs.jsonl and table.md in {config.out}")
    return 0


if __name__ == "__main__":
    cli.main("benchmarks.costs", Config, main, __doc__)
