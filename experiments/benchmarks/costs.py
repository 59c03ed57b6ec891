"""What does each method of the family cost, next to mixup?

A compiled step of drawing, blending uint8 pictures to normalised float32, and dense labels, in one
process, in random order, as ratios to mixup in the same round; 64 pictures of 224 x 224. Methods
that follow saliency get it as an input here; making it costs the passes that the table names. What
is done inside a model (manifold mixup, PatchUp, MixStyle) costs what its features' size makes it.

Goal: at most 2 x mixup per batch for what draws from the key alone, but for FMix and CowMix.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console

import jax_mixup as jm
from experiments.benchmarks import __main__ as benchmarks
from experiments.benchmarks import cases, timing
from experiments.harness import cli
from experiments.harness import runs as report

TYPES = "u8 to f32"
LIMIT = 2.0
EXEMPT = ("FMix", "CowMix")  # an FFT and a sort of all positions
HEADER = ("needs", "passes", "x mixup, per batch", "quartiles", "per example", "ms", "compile, s")


class Case(NamedTuple):
    """A method as `(key, shape or saliency) -> mix`, or `(key, images) -> (mix, other)`."""

    sampler: Callable
    needs: str = "key"
    passes: str = "0"
    other: bool = False  # gives the partner's rows, moved, beside the mix


def resized(method: str, key: PRNGKeyArray, x: Array, per: str = "batch") -> tuple[jm.Mix, Array]:
    mix = jm.sample_resizemix(key, x.shape[:-1], per=per)
    return mix, jm.fit_partner(mix, x, method=method)


def snapped(key: PRNGKeyArray, x: Array, saliency: Array) -> tuple[jm.Mix, Array]:
    mix, source, _ = jm.sample_snapmix(key, saliency)
    return mix, jm.fit_partner(mix, x, source=source)


def boxes(key: PRNGKeyArray, shape: tuple[int, ...], **options: Any) -> tuple[jm.Mix, ...]:
    first, second = jax.random.split(key)
    lower = jm.sample_cutmix(first, shape, pairing=jm.roll(1), **options)
    return jm.overlay(lower, jm.sample_cutmix(second, shape, pairing=jm.roll(2), **options))


GRADIENT = "1 forward, 1 backward"
SPECTRAL = "0 (spectral residual), or as above"
CASES = {
    "mixup": Case(jm.sample_mixup),
    "CutMix": Case(jm.sample_cutmix),
    "mixup or CutMix": Case(jm.sample_mixup_or_cutmix),
    "FMix": Case(jm.sample_fmix),
    "ResizeMix": Case(partial(resized, "linear"), other=True),
    "ResizeMix, nearest": Case(partial(resized, "nearest"), other=True),
    "GridMix 4 x 4": Case(partial(jm.sample_gridmix, grid=(4, 4))),
    "GridMixup": Case(jm.sample_gridmixup),
    "SmoothMix": Case(jm.sample_smoothmix),
    "HMix": Case(jm.sample_hmix),
    "GMix": Case(jm.sample_gmix),
    "CowMix": Case(jm.sample_cowmix),
    "TokenMix": Case(partial(jm.sample_tokenmix, grid=(14, 14))),
    "SpecMix": Case(jm.sample_specmix),
    "FadeMixUp": Case(jm.sample_fademix),
    "VH-mixup": Case(jm.sample_vhmixup),
    "noisy mixup": Case(jm.sample_noisymixup),
    "random pixels": Case(jm.sample_gridmix),
    "RICAP": Case(jm.sample_ricap),
    "3 rows, Dirichlet": Case(jm.sample_dirichlet),
    "3 rows, boxes": Case(boxes),
    "PatchUp, of inputs": Case(jm.sample_patchup),
    "SaliencyMix": Case(jm.sample_saliencymix, "saliency", SPECTRAL),
    "Attentive CutMix": Case(jm.sample_attentive_cutmix, "features", "1 forward, frozen"),
    "GuidedMixup": Case(jm.sample_guidedmixup, "saliency", SPECTRAL),
    "Saliency Grafting": Case(jm.sample_grafting, "saliency", GRADIENT),
    "Puzzle Mix, 8 x 8": Case(jm.sample_puzzlemix, "saliency", GRADIENT),
    "SnapMix": Case(snapped, "class activation", "1 forward", other=True),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Time every method of the family against mixup."""

    out: Path = Path("results/costs")
    """Where runs.jsonl and table.md go."""
    smoke: cli.Flag = False
    """Two rounds of four methods on tiny pictures: shows that everything works."""
    rounds: int = 9
    """How often each method is timed."""


def step(case: Case, per: str | None, classes: int) -> Callable:
    """Draw, blend, normalise, dense labels."""
    options = {} if per is None else {"per": per}

    def prepare(key: PRNGKeyArray, images: Array, ids: Array, saliency: Array) -> Any:
        other = None
        if case.other:
            followed = () if case.needs == "key" else (saliency,)
            mix, other = case.sampler(key, images, *followed, **options)
        elif case.needs == "key":
            mix = case.sampler(key, images.shape[:-1], **options)
        else:
            mix = case.sampler(key, saliency)
        mixed = cases.finish(TYPES, jm.blend(mix, images, other=other, dtype=jnp.float32))
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
        case.passes,
        f"{plain['ratio']:.2f}" if plain else "",
        f"{shown['low']:.2f} to {shown['high']:.2f}",
        f"{each['ratio']:.2f}",
        f"{shown['ms']:.3g}",
        f"{shown['compile']:.2f}",
    ]


def judge(results: dict[str, dict[str, Any]]) -> str:
    keys = [name for name, case in CASES.items() if case.needs == "key"]
    keyed = {name: results[f"{name}|batch"]["ratio"] for name in keys}
    over = [f"{n} {r:.2f}" for n, r in keyed.items() if r > LIMIT and n not in EXEMPT]
    apart = ", ".join(f"{name} {keyed[name]:.2f}" for name in EXEMPT)
    return (
        f"Goal (at most {LIMIT:g} x mixup from the key alone, per batch): "
        f"{'missed by ' + ', '.join(over) if over else 'met'}. Measured apart: {apart}."
    )


def main(config: Config) -> int:
    """Time everything, and write the table."""
    config = cli.smoke(config, rounds=2) if config.smoke else config
    names = ["mixup", "ResizeMix", "RICAP", "SaliencyMix"] if config.smoke else list(CASES)
    console = Console()
    timing.keep_memory()
    with console.status("compiling"):
        timed = rows("tiny" if config.smoke else "large", names)
    with console.status("timing"):
        results = timing.measure(timed, rounds=config.rounds)
    settings = {"experiment": "costs", "rounds": config.rounds, "versions": benchmarks.versions()}
    same = {"settings": settings, "group": "64 x 224 x 224 x 3", "machine": report.machine()}
    lines = [
        same | {"method": row} | {key: report.rounded(x) for key, x in result.items()}
        for row, result in results.items()
    ]
    report.append_runs(config.out / "runs.jsonl", lines)
    text = [report.markdown_row(("method", *HEADER)), report.markdown_row(["---"] * 8)]
    text += [report.markdown_row((name, *cells(name, results))) for name in names]
    verdict = "" if config.smoke else judge(results)
    page = f"{', '.join(report.machine().values())}.\n\n{verdict}\n\n" + "\n".join(text) + "\n"
    (config.out / "table.md").write_text(page)
    console.print(page, markup=False, soft_wrap=True)
    console.print(f"Written: runs.jsonl and table.md in {config.out}")
    return 0


if __name__ == "__main__":
    cli.main("benchmarks.costs", Config, main, __doc__)
