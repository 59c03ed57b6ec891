"""What mixing costs on NVIDIA GPUs, compiled for them without having one.

XLA's GPU compiler runs ahead of time, from shapes: what is launched, bytes, collectives and memory
are read from the program of one GPU, and nothing is executed. This needs Linux and the extra
`gpu-compile`.
"""

import dataclasses
import importlib.util
import inspect
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

os.environ["JAX_PLATFORMS"] = "cpu"  # read when JAX starts: it must not look for a GPU

import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

import jax_mixup as jm
from experiments import catalogue
from experiments.benchmarks import ahead, launches
from experiments.benchmarks.hlo import Program
from experiments.core import devices
from experiments.core.classify import by_shape, with_draw
from experiments.core.loop import Stop
from experiments.draws import Draw, Moved, Options
from experiments.harness import cli

TIME = "25 min; needs the extra gpu-compile"
COLUMNS = (
    "launches",
    "in loops",
    "rounds",
    "MB a GPU",
    "x no mixing",
    "temporaries, MB",
    "collectives",
    "compile, s",
)
INTRO = (
    "From the programs that XLA compiles for one GPU; nothing has run on one. Launches: kernels, "
    "copies and collectives, times the rounds of their loops. A loop of unknown rounds counts one, "
    "and the host waits in each. A kernel's second read of the same array counts nothing."
)
Chip = Literal["h100", "a100", "h200", "b200"]
# From the makers' data sheets. Every number is a field of XLA's description of a GPU.
CHIPS: dict[Chip, dict[str, Any]] = {
    "a100": {
        "name": "NVIDIA A100-SXM4-80GB",
        "cuda_compute_capability": 8,
        "core_count": 108,
        "fpus_per_core": 64,
        "shared_memory_per_core": 167936,
        "shared_memory_per_block_optin": 166912,
        "memory_bandwidth": 2039040000000,
        "l2_cache_size": 41943040,
        "clock_rate_ghz": 1.41,
        "device_memory_size": 85100068864,
    },
    "h100": {
        "name": "NVIDIA H100 80GB HBM3",
        "cuda_compute_capability": 9,
        "core_count": 132,
        "fpus_per_core": 128,
        "shared_memory_per_core": 233472,
        "shared_memory_per_block_optin": 232448,
        "memory_bandwidth": 3352320000000,
        "l2_cache_size": 52428800,
        "clock_rate_ghz": 1.98,
        "device_memory_size": 84942979072,
    },
}
CHIPS["h200"] = CHIPS["h100"] | {
    "name": "NVIDIA H200 141GB HBM3e",
    "memory_bandwidth": 4800000000000,
    "device_memory_size": 151397597184,
}
CHIPS["b200"] = CHIPS["h100"] | {
    "name": "NVIDIA B200",
    "cuda_compute_capability": 10,
    "core_count": 148,
    "memory_bandwidth": 7672320000000,
    "l2_cache_size": 132644864,
    "clock_rate_ghz": 1.965,
    "device_memory_size": 191514411008,
}
COMMON = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "threads_per_core_limit": 2048,
    "block_dim_limit_x": 2147483647,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
    "shared_memory_per_block": 49152,
    "device_address_bits": 64,
    "device_vendor": "NVIDIA Corporation",
    "driver_version": "13.0.0",
    "runtime_version": "12.8.0",
    "compile_time_toolkit_version": "12.8.0",
    "dnn_version": "9.10.0",
}
# No GPU is there to time kernels on.
OPTIONS = {"xla_gpu_autotune_level": 0}
PLUGIN = "jax_cuda13_plugin"


@dataclasses.dataclass(frozen=True)
class Config:
    """Compile mixes and whole train steps for NVIDIA GPUs, and read what they would launch."""

    out: Path = Path("results/gpu")
    """Folder for runs.jsonl and table.md."""
    chips: tuple[Chip, ...] = ("h100", "a100", "h200", "b200")
    """Kinds of GPU. All but the first are compiled for the first number of devices alone."""
    devices: tuple[cli.Count, ...] = (1, 8, 64)
    """Numbers of GPUs."""
    methods: tuple[str, ...] = ()
    """Draws of the catalogue, by their names in its `costs`; none given is all of them."""
    models: tuple[Literal["resnet50", "vit_s16", "tiny"], ...] = ("resnet50", "vit_s16")
    """Models of the train steps, on the first kind of GPU. They compile in minutes."""
    model_devices: tuple[cli.Count, ...] = (8, 64)
    """Numbers of GPUs for the train steps."""
    rows: cli.Count = 64
    """Examples on each GPU."""


def target(chip: Chip) -> str:
    """A chip for the compiler: a GpuTargetConfigProto of XLA, as text."""
    held = COMMON | CHIPS[chip]
    major = held.pop("cuda_compute_capability")
    fields = [f"{key}: {quoted(value)}" for key, value in held.items()]
    return (
        f"gpu_device_info {{ {' '.join(fields)} cuda_compute_capability {{ major: {major} }} }} "
        'platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 patch: 0 } '
        f"device_description_str: {quoted(held['name'])}"
    )


def quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def mesh_of(chip: Chip, size: int) -> Mesh:
    """A mesh of GPUs that do not exist here."""
    found = topologies.get_topology_desc(
        platform="cuda", topology_name=chip, topology=f"1x1x{size}", target_config=target(chip)
    ).devices
    return Mesh(np.array(found), (devices.AXIS,))


def compiled(lower: Callable[[], Any]) -> Any:
    return lower().compile(compiler_options=OPTIONS)


def read(lower: Callable[[], Any]) -> dict[str, Any]:
    """Compile, and read what one GPU launches, moves and holds."""
    start = time.perf_counter()
    program = compiled(lower)
    seconds = time.perf_counter() - start
    found = launches.summary(Program(program))
    temporaries = program.memory_analysis().temp_size_in_bytes
    return found | {"temporaries": temporaries, "compile": seconds}


def cases(shards: int = 1) -> dict[str, ahead.Draw]:
    """The draws of the catalogue, per batch and per example where they know both."""
    found = {}
    for draw in catalogue.draws():
        near = within(draw, shards) if shards > 1 else {}
        for name, options in draw.costs.items():
            if draw.follows:
                found[name] = partial(follow, draw, {**options, **near})
                continue
            for per in ("batch", "example"):
                found[f"{name}, per {per}"] = partial(follow, draw, {**options, **near, "per": per})
    return found


def follow(draw: Draw, options: Options, key: Any, images: Any, made: Any) -> Moved:
    return draw(key, images, made=made, **options)


def within(draw: Draw, shards: int) -> dict[str, Any]:
    """The options that keep partners on their GPU."""
    known = inspect.signature(draw.run).parameters
    if "groups" in known:
        return {"groups": shards}
    others = any(x.kind is x.VAR_KEYWORD for x in known.values())
    return {"pairing": jm.reverse(groups=shards)} if "pairing" in known or others else {}


def mixes(chip: Chip, size: int, rows: int, methods: tuple[str, ...]) -> ahead.Rows:
    """Preparing a batch: without mixing, and by each draw, partners on the same GPU."""
    mesh = mesh_of(chip, size)
    saliency = ahead.on_rows(mesh, rows, ahead.PICTURE[:-1], jnp.float32)
    found = {"no mixing": read(ahead.mixing(mesh, rows, None))}
    for name, draw in cases(size).items():
        if not methods or name.split(", per ")[0] in methods:
            found[name] = read(ahead.mixing(mesh, rows, draw, saliency))
    return found


def steps(chip: Chip, size: int, rows: int, model: str) -> ahead.Rows:
    """A whole train step, data-parallel: without mixing, with ours, and by hand."""
    mesh = mesh_of(chip, size)
    pairing = jm.pairing_for(rows * mesh.size, shards=mesh.size, backend="gpu")
    either = partial(jm.sample_mixup_or_cutmix, pairing=pairing)
    samplers = {
        "no mixing": None,
        "mixup or CutMix, per batch": either,
        "mixup or CutMix, per example": partial(either, per="example"),
        "by hand: permutation, beta": ahead.by_permutation,
    }
    found = {}
    for name, sampler in samplers.items():
        change = partial(with_draw, draw=sampler and by_shape(sampler))
        found[name] = read(ahead.train_step(mesh, rows, model, "gpu", change))
    return found


def main(config: Config) -> int:
    if importlib.util.find_spec(PLUGIN) is None:
        needed = "pip install '.[gpu-compile]', on Linux"
        print(f"There is no GPU compiler here: {needed}.", file=sys.stderr)
        return 2
    known = {name for draw in catalogue.draws() for name in draw.costs}
    if unknown := set(config.methods) - known:
        raise Stop(f"--methods got {'; '.join(unknown)}; known are {'; '.join(sorted(known))}.")
    jobs: dict[str, Callable[[], ahead.Rows]] = {}
    first = config.chips[0]
    for chip in config.chips:
        for size in config.devices if chip == first else config.devices[:1]:
            job = partial(mixes, chip, size, config.rows, config.methods)
            jobs[f"{size} x {chip}, {config.rows} rows a GPU"] = job
    for model in config.models:
        for size in config.model_devices:
            jobs[f"{size} x {first}, {model}"] = partial(steps, first, size, config.rows, model)
    return ahead.report(config.out, "gpu", INTRO, COLUMNS, cells, jobs)


def cells(rows: ahead.Rows) -> list[list[str]]:
    """One line for each row; a ratio is to the row without mixing."""
    floor = rows["no mixing"]["bytes"]
    return [
        [
            name,
            str(row["launches"]),
            str(row["looped"]),
            " + ".join("?" if n is None else str(n) for n in row["loops"]) or "none",
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['bytes'] / floor:.4f}",
            f"{row['temporaries'] / 1e6:.2f}",
            ahead.moved(row["collectives"]),
            f"{row['compile']:.1f}",
        ]
        for name, row in rows.items()
    ]


if __name__ == "__main__":
    cli.main("benchmarks.gpu", Config, main, __doc__)
