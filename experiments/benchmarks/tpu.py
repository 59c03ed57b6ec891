"""What mixing costs on TPUs, compiled for them without having one.

The TPU compiler runs ahead of time, from shapes: bytes, collectives and memory are its own
estimates for one chip, and nothing is executed. This needs Linux and the extra `tpu`.
"""

import dataclasses
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

# Read when the TPU compiler loads: which chips to assume, and that it must not look for any.
os.environ |= {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}

import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

import jax_mixup as jm
from experiments.benchmarks import ahead, hlo
from experiments.core import devices
from experiments.core.classify import Sampler, with_draw
from experiments.harness import cli

TIME = "20 min; needs the extra tpu"
INTRO = (
    "By the TPU compiler's estimate, for one chip; nothing has run on a TPU. A loop, as over a "
    "ViT's layers, counts once. Bytes are also those of the fast memory on the chip, cycles those "
    "of all kernels without collectives. A v5e chip has 16,000 MB of memory."
)
COLUMNS = (
    "MB a chip",
    "x no mixing",
    "cycles, x no mixing",
    "collectives",
    "memory, MB",
    "compile, s",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Compile mixes and whole train steps for TPU v5e, and read what they would do."""

    out: Path = Path("results/tpu")
    """Folder for runs.jsonl and table.md."""
    topologies: tuple[str, ...] = ("v5e:2x4", "v5e:8x8")
    """Numbers of chips."""
    models: tuple[Literal["resnet50", "vit_s16", "tiny"], ...] = ("resnet50", "vit_s16")
    """Models of the train steps. They compile in minutes; tiny, without convolution, in seconds."""
    rows: cli.Count = 64
    """Examples on each chip."""
    pairings: cli.Flag = False
    """Also make the table behind `pairing_for`: bytes by pairing and examples on a chip."""


def mesh_of(topology: str) -> Mesh:
    """A mesh of chips that do not exist here."""
    chips = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    return Mesh(np.array(chips), (devices.AXIS,))


def read(lower: Callable[[], Any]) -> dict[str, Any]:
    """Compile, and read bytes, collectives and memory of one chip."""
    start = time.perf_counter()
    program = lower().compile()
    seconds = time.perf_counter() - start
    parsed, memory = hlo.Program(program), program.memory_analysis()
    donated = memory.alias_size_in_bytes
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - donated
    return {
        "bytes": program.cost_analysis()["bytes accessed"],
        "cycles": sum(i.get("cycles", 0) for i in parsed.instructions()),
        "collectives": parsed.collectives(),
        "temporaries": memory.temp_size_in_bytes,
        "memory": held + memory.temp_size_in_bytes,
        "compile": seconds,
    }


def mixes(mesh: Mesh, rows: int) -> ahead.Rows:
    """Preparing a batch: without mixing, with ours, and by permutation."""
    pairing = jm.pairing_for(rows * mesh.size, shards=mesh.size, backend="tpu")
    samplers: dict[str, Sampler | None] = {"no mixing": None}
    for name in ("mixup", "cutmix", "mixup_or_cutmix"):
        for per in ("batch", "example"):
            sampler = getattr(jm, f"sample_{name}")
            samplers[f"{name}, per {per}"] = partial(sampler, per=per, pairing=pairing)
    samplers["by hand: permutation, beta"] = ahead.by_permutation
    return {
        name: read(ahead.mixing(mesh, rows, sampler and ahead.by_shape(sampler)))
        for name, sampler in samplers.items()
    }


def pairings(mesh: Mesh) -> ahead.Rows:
    """Bytes of mixup under each pairing, against no mixing, by examples on a chip."""
    found = {}
    for rows in (8, 64, 128, 256):
        kinds = {
            "no mixing": None,
            "reverse": jm.reverse(groups=mesh.size),
            "roll": jm.roll(groups=mesh.size),
            "neighbours": jm.neighbours(),
        }
        for name, pairing in kinds.items():
            sampler = pairing and partial(jm.sample_mixup, pairing=pairing)
            draw = sampler and ahead.by_shape(sampler)
            found[f"{rows} rows, {name}"] = read(ahead.mixing(mesh, rows, draw))
    return found


def steps(mesh: Mesh, rows: int, model: str) -> ahead.Rows:
    """A whole train step: without mixing and with it, data-parallel and with FSDP."""
    found = {}
    for fsdp in (False, True):
        style = "FSDP" if fsdp else "data-parallel"
        lower = partial(ahead.train_step, mesh, rows, model, "tpu", fsdp=fsdp)
        found[f"{style}, no mixing"] = read(lower(lambda recipe: with_draw(recipe, None)))
        found[f"{style}, mixing"] = read(lower())
    return found


def main(config: Config) -> int:
    if importlib.util.find_spec("libtpu") is None:
        print("There is no TPU compiler here: pip install '.[tpu]', on Linux.", file=sys.stderr)
        return 2
    jobs: dict[str, Callable[[], ahead.Rows]] = {}
    for topology in config.topologies:
        mesh = mesh_of(topology)
        jobs[f"{topology}, {config.rows} rows a chip"] = partial(mixes, mesh, config.rows)
        if config.pairings and mesh.size == 8:
            jobs[f"{topology}, pairings"] = partial(pairings, mesh)
        for model in config.models:
            jobs[f"{topology}, {model}"] = partial(steps, mesh, config.rows, model)
    return ahead.report(config.out, "tpu", INTRO, COLUMNS, cells, jobs)


def cells(rows: ahead.Rows) -> list[list[str]]:
    """One line for each row; a ratio is to the last row named "no mixing" before it."""
    found, floor = [], {}
    for name, row in rows.items():
        floor = row if "no mixing" in name else floor
        found.append(
            [
                name,
                f"{row['bytes'] / 1e6:.1f}",
                *(f"{row[of] / floor[of]:.4f}" for of in ("bytes", "cycles")),
                ahead.moved(row["collectives"]),
                f"{row['memory'] / 1e6:.0f}",
                f"{row['compile']:.1f}",
            ]
        )
    return found


if __name__ == "__main__":
    cli.main("benchmarks.tpu", Config, main, __doc__)
