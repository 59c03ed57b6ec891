"""`step.train_step` on any number of devices: data-parallel or FSDP under jit, or under pmap.

The mix is drawn inside the step. If the pairing keeps partners on their own device, as
`jm.pairing_for(rows, shards=mesh.size)` does, mixing adds no collective. Arrays
are uint8 images and integer labels; the mesh has one axis, "data". Its type is Auto: under Explicit
axes the data-parallel step works too, FSDP's does not.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PRNGKeyArray

from experiments.core.classify import eval_step
from experiments.core.step import Metrics, Recipe, State, init, train_step

AXIS = "data"
Rows = dict[str, np.ndarray]  # {"image": u8[b, h, w, 3], "label": i32[b]}


def shardings(mesh: Mesh, shapes: Any, *, fsdp: bool = False, smallest: int = 2**16) -> Any:
    """Where each array of a state lives: on every device, or with `fsdp` in shards.

    An array of `smallest` elements or more is cut along its largest dimension that the mesh's size
    divides; the optimizer's moments are cut like the parameters. The rest, such as BatchNorm's
    statistics, is replicated.

    Args:
      mesh: with the axis "data".
      shapes: a tree of arrays or of their shapes, as `jax.eval_shape(init, ...)` gives.

    Returns:
      The same tree of shardings.
    """
    size = mesh.shape[AXIS]

    def place(array: Any) -> NamedSharding:
        able = [d for d, n in enumerate(array.shape) if n % size == 0]
        spec: list[str | None] = [None] * len(array.shape)
        if fsdp and able and array.size >= smallest:
            spec[max(able, key=lambda d: array.shape[d])] = AXIS
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(place, shapes)


def rows(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def key_on(mesh: Mesh, seed: int) -> PRNGKeyArray:
    """A key that a jitted step takes, whichever processes the mesh's devices belong to."""
    return jax.jit(jax.random.key, out_shardings=NamedSharding(mesh, PartitionSpec()))(seed)


def jit_step(step: Callable[..., tuple[State, Metrics]], mesh: Mesh, state_shardings: Any) -> Any:
    """Compile `step(state, key, batch)` for a mesh; the state is donated, batches are not."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.jit(
        step,
        in_shardings=(state_shardings, everywhere, rows(mesh)),
        out_shardings=(state_shardings, everywhere),
        donate_argnums=0,
    )


def pmap_step(step: Callable[..., tuple[State, Metrics]]) -> Any:
    """The same under pmap: all but the key have a leading axis of devices. Give the step AXIS."""
    return jax.pmap(step, axis_name=AXIS, in_axes=(0, None, 0), donate_argnums=0)


def copies(state: State) -> State:
    """The state once for each of this process's devices, as `pmap_step`'s steps take and give it.

    It comes out of a pmap itself: otherwise the second step, whose state does, would compile again.
    """
    count = jax.local_device_count()
    spread = jax.pmap(lambda _, state: state, axis_name=AXIS, in_axes=(0, None))
    return spread(np.arange(count), state)


class Program(NamedTuple):
    """A recipe compiled for a mesh, and its shapes, from which alone it can be lowered."""

    shapes: State
    shardings: State
    batch: NamedSharding
    init: Any  # () -> state
    train: Any  # (state, key, batch) -> state, metrics
    evaluate: Any  # (state, images, labels) -> sums


def program(mesh: Mesh, recipe: Recipe, *, seed: int = 0, fsdp: bool = False) -> Program:
    """The steps of a recipe on a mesh."""
    start = lambda: init(recipe, jax.random.key(seed))
    shapes = jax.eval_shape(start)
    placed, batch = shardings(mesh, shapes, fsdp=fsdp), rows(mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    step = partial(train_step, recipe, gathered=everywhere if fsdp else None)
    evaluate = jax.jit(
        partial(eval_step, recipe), in_shardings=(placed, batch, batch), out_shardings=everywhere
    )
    begin = jax.jit(start, out_shardings=placed)
    return Program(shapes, placed, batch, begin, jit_step(step, mesh, placed), evaluate)


def on_devices(batch: Rows, sharding: NamedSharding) -> tuple[Array, Array]:
    """One process's examples as its part of the whole batch."""
    put = partial(jax.make_array_from_process_local_data, sharding)
    return put(batch["image"]), put(batch["label"])
