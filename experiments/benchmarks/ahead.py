"""What is compiled ahead of time for chips that are not there, and how its figures are written."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console

import jax_mixup as jm
from experiments.core import devices
from experiments.core.classify import Sampler
from experiments.core.step import Recipe
from experiments.data import augment
from experiments.draws import Moved
from experiments.harness.runs import append_runs
from experiments.harness.tables import markdown_row
from experiments.imagenet import __main__ as imagenet

PICTURE = (224, 224, 3)
CLASSES = 1000
Draw = Callable[..., Moved]  # (key, pictures, and what it follows)
Rows = dict[str, dict[str, Any]]  # what a program would do, by its name


class Tiny(nnx.Module):
    """Two layers on the means of 16 x 16 pixels: a model that compiles quickly."""

    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(14 * 14 * 3, 512, rngs=rngs)
        self.last = nnx.Linear(512, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array, *, train: bool, key: Any) -> jax.Array:
        means = x.astype(jnp.float32).reshape(-1, 14, 16, 14, 16, 3).mean((2, 4))
        return self.last(nnx.relu(self.first(means.reshape(means.shape[0], -1))))


def on_rows(mesh: Mesh, rows: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of this shape for each example, `rows` of them on each chip, as a shape."""
    whole = (rows * mesh.size, *shape)
    return jax.ShapeDtypeStruct(whole, dtype, sharding=devices.rows(mesh))


def shapes(mesh: Mesh, rows: int) -> tuple[Any, Any, Any]:
    """A key, pictures and ids for the whole mesh, as shapes."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    key = jax.eval_shape(jax.random.key, 0)
    return (
        jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=everywhere),
        on_rows(mesh, rows, PICTURE, jnp.uint8),
        on_rows(mesh, rows, (), jnp.int32),
    )


def by_shape(sampler: Sampler) -> Draw:
    """A draw that sees the shape of the pictures alone."""
    return lambda key, images: Moved(sampler(key, images.shape[:-1]), images)


def prepare(draw: Draw | None, key: Any, images: Any, ids: Any, *made: Any) -> Any:
    """The whole of mixing: draw, blend, normalise to bfloat16, dense labels."""
    if draw is None:
        return augment.normalise_imagenet(images.astype(jnp.float32)), jax.nn.one_hot(ids, CLASSES)
    mix, own, other = draw(key, images, *made)
    mixed = augment.normalise_imagenet(jm.blend(mix, own, other=other, dtype=jnp.float32))
    return mixed, jm.blend_labels(mix, ids, num_classes=CLASSES)


def mixing(mesh: Mesh, rows: int, draw: Draw | None, *made: Any) -> Callable[[], Any]:
    """What lowers `prepare` for a mesh; `made` are the shapes of what the draw follows."""
    step = jax.jit(partial(prepare, draw), out_shardings=devices.rows(mesh))
    return step.trace(*shapes(mesh, rows), *made).lower


def by_permutation(key: Any, shape: tuple[int, ...]) -> jm.Mix:
    """The usual two lines: jax.random.beta and x[permutation]."""
    key_lam, key_order = jax.random.split(key)
    law = lambda key, shape: jax.random.beta(key, 0.2, 0.2, shape)
    partner = jm.permutation(key_order, shape[0])
    return jm.sample_mixup(key_lam, shape, lam_law=law, pairing=partner)


def train_step(
    mesh: Mesh,
    rows: int,
    model: str,
    backend: str,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    *,
    fsdp: bool = False,
) -> Callable[[], Any]:
    """What lowers a whole train step of the ImageNet script, with its recipe changed."""
    kind: Any = "vit_s16" if model == "tiny" else model
    config = imagenet.Config(model=kind, batch=rows * mesh.size)
    recipe = imagenet.recipe(
        config, devices=mesh.size, num_classes=CLASSES, epoch_steps=1000, backend=backend
    )
    recipe = recipe._replace(make_model=Tiny) if model == "tiny" else recipe
    program = devices.program(mesh, change(recipe), fsdp=fsdp)
    key, *batch = shapes(mesh, rows)
    return program.train.trace(program.shapes, key, tuple(batch)).lower


def report(
    out: Path,
    experiment: str,
    intro: str,
    columns: Sequence[str],
    cells: Callable[[Rows], list[list[str]]],
    jobs: Mapping[str, Callable[[], Rows]],
) -> int:
    """Run the jobs, one group of rows each, and write runs.jsonl and table.md."""
    console, text = Console(), [f"{intro}\n"]
    for group, job in jobs.items():
        with console.status(group):
            rows = job()
        lines = [("", *columns), ["---"] * (1 + len(columns)), *cells(rows)]
        found = [f"\n**{group}**\n", *map(markdown_row, lines)]
        console.print("\n".join(found), markup=False, soft_wrap=True)
        text += found
        versions = {"jax": jax.__version__, "compiled for": group.split(",")[0]}
        same = {"settings": {"experiment": experiment}, "group": group, "machine": versions}
        append_runs(
            out / "runs.jsonl", [same | {"method": name} | row for name, row in rows.items()]
        )
    (out / "table.md").write_text("\n".join(text) + "\n")
    console.print(f"Written: runs.jsonl and table.md in {out}")
    return 0


def moved(collectives: Mapping[str, int]) -> str:
    """Collectives in words."""
    found = [f"{kind} {size / 1e6:.2f} MB" for kind, size in collectives.items()]
    return ", ".join(found) or "none"
