"""How many images a second does training take, against the same model in PyTorch?

PreAct ResNet-18 trains on 32 x 32 pictures that are stored on the device, with mixup in every step,
bfloat16, SGD with momentum 0.9, and no other augmentation. In JAX an epoch is one dispatch of
`train_steps`. PyTorch runs the loop of torch_preact.py, by torch.compile without and with CUDA
graphs. Both run in one process on one device: each round runs an epoch of each, in random order,
and gives a ratio. The pictures are random bytes: their content does not change the time.

Goal, fixed before the run: on a GPU, at both batch sizes, 1.3 times the images a second of
PyTorch's faster variant. Install a JAX for that GPU and the extra `bench`:

    pip install '.[bench]' 'jax[cuda13]'
    python -m experiments.benchmarks.throughput --out experiments/benchmarks/results/throughput
"""

import dataclasses
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leaves memory for PyTorch

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import jax_mixup as jm
from experiments.benchmarks import peers, timing
from experiments.core import classify
from experiments.core.epochs import train_steps
from experiments.core.step import Metrics, State, init
from experiments.harness import cli
from experiments.harness.runs import append_runs, machine
from experiments.harness.tables import markdown_row
from experiments.models.preact import PreActResNet

GOAL, OURS = 1.3, "JAX"
FULL, TINY = ((2, 2, 2, 2), 64), ((1,), 4)  # the model's stages, and the first one's width
TIME = "minutes, on a GPU"
NORMALISE = lambda x: (x - 120) / 62  # for JAX's and PyTorch's arrays
HEADER = ("", "", "images/s", "JAX, x as many", "quartiles")


@dataclasses.dataclass(frozen=True)
class Config:
    """Time training epochs of PreAct ResNet-18."""

    out: Path = Path("results/throughput")
    """Folder for runs.jsonl and table.md."""
    smoke: cli.Flag = False
    """A tiny model, without torch.compile: only shows that everything works."""
    batches: tuple[cli.Count, ...] = (128, 512)
    """Examples in a step."""
    images: cli.Count = 50_000
    """Examples in an epoch; the last partial batch is dropped."""
    rounds: cli.Count = 9
    """How often each row is timed."""


def ours(config: Config, batch: int, x: np.ndarray, y: np.ndarray) -> tuple[timing.Row, int]:
    """A row that trains for an epoch, and the number of parameters."""
    stages, width = TINY if config.smoke else FULL
    model = partial(PreActResNet, stages=stages, width=width, stem=width, last_norm=False)
    recipe = classify.recipe(
        lambda rngs: model(10, dtype=jnp.bfloat16, rngs=rngs),
        optax.sgd(0.1, momentum=0.9),
        lambda key, x, y: jm.sample_mixup(key, x.shape[:-1], alpha=1.0),
        normalise=NORMALISE,
    )
    state = jax.jit(partial(init, recipe))(jax.random.key(0))
    arrays, key = jax.device_put((x, y)), jax.random.key(1)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: State, x: jax.Array, y: jax.Array) -> tuple[State, Metrics]:
        data: Any = SimpleNamespace(x=x, y=y)
        return train_steps(recipe, state, key, data, batch=batch, steps=len(y) // batch)

    def call() -> Metrics:
        nonlocal state
        state, scores = epoch(state, *arrays)
        return scores

    return timing.Row(call), sum(leaf.size for leaf in jax.tree.leaves(state.params))


def theirs(
    config: Config, batch: int, x: np.ndarray, y: np.ndarray, size: int
) -> Iterator[tuple[str, timing.Row]]:
    """PyTorch's rows, of a model with as many parameters; none if it is not installed."""
    try:
        from experiments.benchmarks import torch_preact
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed, so JAX runs alone: pip install '.[bench]'.")
        return
    backend, device = jax.default_backend(), torch_preact.DEVICE.type
    if (backend == "cpu") != (device == "cpu"):
        raise cli.Stop(f"JAX runs on {backend} and PyTorch on {device}: install both for one.")
    modes = {"torch.compile": "default", "torch.compile with CUDA graphs": "reduce-overhead"}
    for name, mode in {"PyTorch": None}.items() if config.smoke else modes.items():
        model = torch_preact.PreActResNet(10, *(TINY if config.smoke else FULL))
        own = sum(parameter.numel() for parameter in model.parameters())
        if own != size:
            raise cli.Stop(f"PyTorch's model has {own} parameters and ours {size}: make them one.")
        options: Any = {"batch": batch, "normalise": NORMALISE, "mode": mode}
        yield name, timing.Row(torch_preact.epochs(model, x, y, **options))


def verdict(results: dict[str, dict[str, dict[str, Any]]], backend: str) -> str:
    """The goal, and whether each batch size reaches it."""
    found = []
    for group, rows in results.items():
        ratio = min((row["ratio"] for name, row in rows.items() if name != OURS), default=None)
        if ratio is None or backend == "cpu":
            found.append(f"{group} not judged, for that needs PyTorch and a GPU")
        else:
            found.append(f"{group} {ratio:.2f}, {'met' if ratio >= GOAL else 'NOT MET'}")
    return f"Goal: {GOAL} times the images/s of PyTorch's faster row. {'; '.join(found)}."


def main(config: Config) -> int:
    """Time all rows at each batch size; print and write them."""
    config = cli.ready(config, batches=(8,), images=16, rounds=2)
    console, rng = Console(), np.random.default_rng(0)
    x = rng.integers(0, 256, (config.images, 32, 32, 3), np.uint8)
    y = rng.integers(0, 10, config.images, np.int32)
    settings = {"experiment": "throughput", "images": config.images, "rounds": config.rounds}
    host = machine() | {"torch": f"torch {peers.versions()['torch']}"}
    results, shown = {}, Table(*HEADER, box=SIMPLE_HEAD)
    for batch in config.batches:
        group, runs = f"batch {batch}", []
        with console.status(f"{group}: compiling takes minutes"):
            own, size = ours(config, batch, x, y)
            rows = {OURS: own, **dict(theirs(config, batch, x, y, size))}
            results[group] = timing.measure(rows, rounds=config.rounds, seconds=0)
        same = {"settings": settings | {"parameters": size}, "machine": host}
        for name, row in results[group].items():
            speed = config.images // batch * batch / row["ms"] * 1e3
            runs.append({**same, "group": group, "method": name, "images_per_second": speed, **row})
            quartiles = f"{row['low']:.2f} to {row['high']:.2f}"
            shown.add_row(group, name, f"{speed:,.0f}", f"{row['ratio']:.2f}", quartiles)
        append_runs(config.out / "runs.jsonl", runs)
    cells = [HEADER, ["---"] * len(HEADER), *zip(*(c.cells for c in shown.columns), strict=True)]
    facts = ["", verdict(results, jax.default_backend()), "", f"{', '.join(host.values())}."]
    text = "\n".join([*map(markdown_row, cells), *facts])
    (config.out / "table.md").write_text(text + "\n")
    console.print(shown, *facts[1:], f"Written: runs.jsonl and table.md in {config.out}", sep="\n")
    return 0


if __name__ == "__main__":
    cli.main("benchmarks.throughput", Config, main, __doc__)
