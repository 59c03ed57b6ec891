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

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console
from rich.table import Table

import jax_mixup as jm
from experiments.benchmarks import hlo
from experiments.core import devices
from experiments.core.classify import Sampler, with_draw
from experiments.data import augment
from experiments.harness import cli
from experiments.harness.runs import append_runs
from experiments.harness.tables import markdown_row
from experiments.imagenet import __main__ as imagenet

TIME = "20 min; needs the extra tpu"
PICTURE = (224, 224, 3)
CLASSES = 1000
COLUMNS = ("MB a chip", "x no mixing", "collectives", "memory, MB", "compile, s")


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


class Tiny(nnx.Module):
    """Two layers on the means of 16 x 16 pixels: a model that compiles quickly."""

    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(14 * 14 * 3, 512, rngs=rngs)
        self.last = nnx.Linear(512, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array, *, train: bool, key: Any) -> jax.Array:
        means = x.astype(jnp.float32).reshape(-1, 14, 16, 14, 16, 3).mean((2, 4))
        return self.last(nnx.relu(self.first(means.reshape(means.shape[0], -1))))


def mesh_of(topology: str) -> Mesh:
    """A mesh of chips that do not exist here."""
    chips = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    return Mesh(np.array(chips), (devices.AXIS,))


def shapes(mesh: Mesh, rows: int, dtype: Any = jnp.uint8) -> tuple[Any, Any, Any]:
    """A key, pictures and ids for the whole mesh, as shapes."""
    batch, everywhere = devices.rows(mesh), NamedSharding(mesh, PartitionSpec())
    key = jax.eval_shape(jax.random.key, 0)
    n = rows * mesh.size
    return (
        jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=everywhere),
        jax.ShapeDtypeStruct((n, *PICTURE), dtype, sharding=batch),
        jax.ShapeDtypeStruct((n,), jnp.int32, sharding=batch),
    )


def read(lower: Callable[[], Any]) -> dict[str, Any]:
    """Compile, and read bytes, collectives and memory of one chip."""
    start = time.perf_counter()
    program = lower().compile()
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    donated = memory.alias_size_in_bytes
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - donated
    return {
        "bytes": program.cost_analysis()["bytes accessed"],
        "collectives": hlo.Program(program).collectives(),
        "temporaries": memory.temp_size_in_bytes,
        "memory": held + memory.temp_size_in_bytes,
        "compile": seconds,
    }


def prepare(sampler: Sampler | None, key: Any, images: Any, ids: Any) -> Any:
    """The whole of mixing: draw, blend, normalise to bfloat16, dense labels."""
    if sampler is None:
        return augment.normalise_imagenet(images.astype(jnp.float32)), jax.nn.one_hot(ids, CLASSES)
    mix = sampler(key, images.shape[:-1])
    mixed = augment.normalise_imagenet(jm.blend(mix, images, dtype=jnp.float32))
    return mixed, jm.blend_labels(mix, ids, num_classes=CLASSES)


def by_permutation(key: Any, shape: tuple[int, ...]) -> jm.Mix:
    """The usual two lines: jax.random.beta and x[permutation]."""
    key_lam, key_order = jax.random.split(key)
    law = lambda key, shape: jax.random.beta(key, 0.2, 0.2, shape)
    partner = jm.permutation(key_order, shape[0])
    return jm.sample_mixup(key_lam, shape, lam_law=law, pairing=partner)


def mixes(mesh: Mesh, rows: int) -> dict[str, dict[str, Any]]:
    """Preparing a batch: without mixing, with ours, and by permutation."""
    pairing = jm.pairing_for(rows * mesh.size, shards=mesh.size, backend="tpu")
    samplers: dict[str, Sampler | None] = {"no mixing": None}
    for name in ("mixup", "cutmix", "mixup_or_cutmix"):
        for per in ("batch", "example"):
            sampler = getattr(jm, f"sample_{name}")
            samplers[f"{name}, per {per}"] = partial(sampler, per=per, pairing=pairing)
    samplers["by hand: permutation, beta"] = by_permutation
    arrays, batch = shapes(mesh, rows), devices.rows(mesh)
    return {
        name: read(jax.jit(partial(prepare, sampler), out_shardings=batch).trace(*arrays).lower)
        for name, sampler in samplers.items()
    }


def pairings(mesh: Mesh) -> dict[str, dict[str, Any]]:
    """Bytes of mixup under each pairing, against no mixing, by examples on a chip."""
    found = {}
    for rows in (8, 64, 128, 256):
        arrays = shapes(mesh, rows)
        kinds = {
            "no mixing": None,
            "reverse": jm.reverse(groups=mesh.size),
            "roll": jm.roll(groups=mesh.size),
            "neighbours": jm.neighbours(),
        }
        for name, pairing in kinds.items():
            sampler = pairing and partial(jm.sample_mixup, pairing=pairing)
            step = jax.jit(partial(prepare, sampler), out_shardings=devices.rows(mesh))
            found[f"{rows} rows, {name}"] = read(step.trace(*arrays).lower)
    return found


def steps(mesh: Mesh, rows: int, model: str) -> dict[str, dict[str, Any]]:
    """A whole train step: without mixing and with it, data-parallel and with FSDP."""
    kind: Any = "vit_s16" if model == "tiny" else model
    config = imagenet.Config(model=kind, batch=rows * mesh.size)
    found = {}
    for fsdp in (False, True):
        for mixing in (False, True):
            recipe = imagenet.recipe(
                config, devices=mesh.size, num_classes=CLASSES, epoch_steps=1000, backend="tpu"
            )
            recipe = recipe if mixing else with_draw(recipe, None)
            recipe = recipe._replace(make_model=Tiny) if model == "tiny" else recipe
            program = devices.program(mesh, recipe, fsdp=fsdp)
            name = f"{'FSDP' if fsdp else 'data-parallel'}, {'mixing' if mixing else 'no mixing'}"
            key, *batch = shapes(mesh, rows)
            step = program.train.trace(program.shapes, key, tuple(batch))
            found[name] = read(step.lower)
    return found


def main(config: Config) -> int:
    if importlib.util.find_spec("libtpu") is None:
        print("There is no TPU compiler here: pip install '.[tpu]', on Linux.", file=sys.stderr)
        return 2
    console = Console()
    text = [
        "By the TPU compiler's estimate, for one chip; nothing has run on a TPU. A collective in a "
        "loop, as over a ViT's layers, counts once. A v5e chip has 16,000 MB of memory.\n"
    ]
    for topology in config.topologies:
        mesh = mesh_of(topology)
        jobs: dict[str, Callable[[], dict[str, dict[str, Any]]]]
        jobs = {f"{topology}, {config.rows} rows a chip": partial(mixes, mesh, config.rows)}
        if config.pairings and mesh.size == 8:
            jobs[f"{topology}, pairings"] = partial(pairings, mesh)
        for model in config.models:
            jobs[f"{topology}, {model}"] = partial(steps, mesh, config.rows, model)
        for group, job in jobs.items():
            with console.status(group):
                rows = job()
            show(console, group, rows)
            save(config.out / "runs.jsonl", group, rows)
            text += [f"\n**{group}**\n", markdown_row(("", *COLUMNS))]
            text += [markdown_row(["---"] * (1 + len(COLUMNS)))]
            text += [markdown_row(row) for row in cells(rows)]
    (config.out / "table.md").write_text("\n".join(text) + "\n")
    console.print(f"Written: runs.jsonl and table.md in {config.out}")
    return 0


def cells(rows: dict[str, dict[str, Any]]) -> list[list[str]]:
    """One line for each row; a ratio is to the last row named "no mixing" before it."""
    found, floor = [], 1.0
    for name, row in rows.items():
        floor = row["bytes"] if "no mixing" in name else floor
        moved = [f"{kind} {size / 1e6:.2f} MB" for kind, size in row["collectives"].items()]
        found.append(
            [
                name,
                f"{row['bytes'] / 1e6:.1f}",
                f"{row['bytes'] / floor:.4f}",
                ", ".join(moved) or "none",
                f"{row['memory'] / 1e6:.0f}",
                f"{row['compile']:.1f}",
            ]
        )
    return found


def show(console: Console, group: str, rows: dict[str, dict[str, Any]]) -> None:
    table = Table(title=group, title_justify="left")
    for column in ("", *COLUMNS):
        table.add_column(column, justify="right" if column else "left")
    for row in cells(rows):
        table.add_row(*row)
    console.print(table)


def save(path: Path, group: str, rows: dict[str, dict[str, Any]]) -> None:
    versions = {"jax": jax.__version__, "compiled for": group.split(",")[0]}
    same = {"settings": {"experiment": "tpu"}, "group": group, "machine": versions}
    append_runs(path, [same | {"method": name} | row for name, row in rows.items()])


if __name__ == "__main__":
    cli.main("benchmarks.tpu", Config, main, __doc__)
