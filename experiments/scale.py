"""One train step for any number of devices: data-parallel or FSDP under jit, or under pmap.

The mix is drawn inside the step, and rows meet only rows of their own device, so that mixing adds
no collective. Arrays are uint8 images and integer labels; the mesh has one axis, "data". Its type
is Auto: under Explicit axes the data-parallel step works too, FSDP's does not.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

import jax_mixup as jm

AXIS = "data"
# ImageNet's, of pixels from 0 to 255.
MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
STD = 255 * np.array([0.229, 0.224, 0.225], np.float32)

MakeModel = Callable[[nnx.Rngs], nnx.Module]
Sampler = Callable[[PRNGKeyArray, tuple[int, ...]], jm.Mix]
Metrics = dict[str, Float[Array, ""]]
Batch = dict[str, np.ndarray]  # {"image": u8[b, h, w, 3], "label": i32[b]}


class Stop(Exception):
    """Ends a run; its text is all that the user has to read."""


class State(NamedTuple):
    """All that training changes. Parameters and statistics are `nnx.State`s."""

    step: Int[Array, ""]
    params: Any
    stats: Any  # what is no parameter: BatchNorm's running averages
    opt_state: Any


def init(
    make_model: MakeModel, optimizer: optax.GradientTransformation, key: PRNGKeyArray
) -> State:
    """A fresh state. `jax.eval_shape` gives its shapes, and jit with `out_shardings` its shards."""
    _, params, stats = nnx.split(make_model(nnx.Rngs(key)), nnx.Param, ...)
    return State(jnp.zeros((), jnp.int32), params, stats, optimizer.init(params))


def cross_entropy(
    logits: Float[Array, "b k"], labels: Int[Array, "b"], smoothing: float | Array = 0.0
) -> Float[Array, "b"]:
    """Cross-entropy to smoothed labels, without one-hot; linear in the target, as pair_loss needs.

    -Σₖ ((1 - ε) [k = y] + ε / K) log pₖ = (1 - ε) CE(y) + ε (logsumexp o - mean o)
    """
    own: Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    uniform = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
    return (1 - smoothing) * own + smoothing * uniform


def normalise(
    images: Float[Array, "b h w 3"], dtype: DTypeLike = jnp.bfloat16
) -> Float[Array, "b h w 3"]:
    """Pixels from 0 to 255, in the model's units. In float32, which in a fusion costs no bytes."""
    return ((images - MEAN) * (1 / STD)).astype(dtype)


def train_step(
    make_model: MakeModel,
    optimizer: optax.GradientTransformation,
    sampler: Sampler | None,
    state: State,
    key: PRNGKeyArray,
    images: UInt8[Array, "b h w 3"],
    labels: Int[Array, "b"],
    *,
    smoothing: float | Array = 0.0,
    dtype: DTypeLike = jnp.bfloat16,
    axis_name: str | None = None,
    gathered: NamedSharding | None = None,
) -> tuple[State, Metrics]:
    """One step on the loss to the mixed labels.

    Under jit the batch is all devices' and the sampler's pairing has to keep rows on theirs, as
    `jm.pairing_for(rows, shards=mesh.size)` does. Under pmap, with `axis_name`, the batch is one
    device's, and so is the pairing.

    Args:
      make_model: its models are called as `model(x, train=True, key=key)` and give f32 logits.
      optimizer: with weight decay and clipping, if any, as parts of its chain.
      sampler: `(key, shape) -> mix`, or None for plain training. Under pmap, a mix that is drawn
        once for the whole batch is the same on all devices; one that is drawn for each row or pair
        is another on each.
      state, images, labels: as they come.
      key: the run's; each step folds its number in, so a run that was stopped draws the same.
      smoothing: ε of label smoothing.
      dtype: of the model's input.
      axis_name: of the pmap, or None.
      gathered: under FSDP, the sharding of the parameters while they are used: on every device.

    Returns:
      The new state and, over all devices' rows, the loss, the mixed accuracy and the gradient's
      norm, each f32[].
    """
    key_mix, key_model = jax.random.split(jax.random.fold_in(key, state.step))
    shape = images.shape[:-1]
    if axis_name is not None:
        shard = jax.lax.axis_index(axis_name)
        key_model = jax.random.fold_in(key_model, shard)
        if sampler and jax.eval_shape(lambda: sampler(key_mix, shape).mask).shape[0] > 1:
            key_mix = jax.random.fold_in(key_mix, shard)
    mix = sampler(key_mix, shape) if sampler else None
    pixels = jm.blend(mix, images, dtype=jnp.float32) if mix else images.astype(jnp.float32)
    inputs, graph = normalise(pixels, dtype), _graph(make_model)
    own_loss = partial(cross_entropy, smoothing=smoothing)

    def loss_fn(params: Any) -> tuple[Float[Array, ""], tuple[Array, Any]]:
        model: Any = nnx.merge(graph, params, state.stats, copy=True)
        logits = model(inputs, train=True, key=key_model)
        losses = jm.pair_loss(mix, own_loss, logits, labels) if mix else own_loss(logits, labels)
        return losses.mean(), (logits, nnx.state(model, nnx.Not(nnx.Param)))

    params = state.params
    if gathered is not None:
        # Left to itself the compiler may move activations in place of the smaller parameters.
        params = jax.lax.with_sharding_constraint(params, gathered)
    (loss, (logits, stats)), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
    hits = jm.mixed_accuracy(mix, logits, labels) if mix else logits.argmax(-1) == labels
    metrics = {"loss": loss, "accuracy": hits.mean(dtype=jnp.float32)}
    if axis_name is not None:
        grads, stats, metrics = jax.lax.pmean((grads, stats, metrics), axis_name)
    metrics["grad_norm"] = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, stats, opt_state), metrics


def eval_step(
    make_model: MakeModel,
    state: State,
    images: UInt8[Array, "b h w 3"],
    labels: Int[Array, "b"],
    *,
    dtype: DTypeLike = jnp.bfloat16,
) -> Metrics:
    """Sums over the rows that are real: those whose label is not -1.

    Returns:
      "loss", "correct" and "count", each f32[].
    """
    model: Any = nnx.merge(_graph(make_model), state.params, state.stats)
    logits = model(normalise(images.astype(jnp.float32), dtype), train=False, key=None)
    real = labels >= 0
    losses = cross_entropy(logits, jnp.maximum(labels, 0))
    return {
        "loss": jnp.where(real, losses, 0).sum(),
        "correct": (real & (logits.argmax(-1) == labels)).sum(dtype=jnp.float32),
        "count": real.sum(dtype=jnp.float32),
    }


def shardings(mesh: Mesh, shapes: Any, *, fsdp: bool = False, smallest: int = 2**16) -> Any:
    """Where each array of a state lives: on every device, or with `fsdp` in shards.

    An array of `smallest` elements or more is cut along its largest dimension that the mesh's size
    divides; the optimizer's moments with the parameters. The rest, BatchNorm's statistics for one,
    is replicated.

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
    """Compile `step(state, key, images, labels)` for a mesh; the state is donated, batches not."""
    everywhere, batch = NamedSharding(mesh, PartitionSpec()), rows(mesh)
    return jax.jit(
        step,
        in_shardings=(state_shardings, everywhere, batch, batch),
        out_shardings=(state_shardings, everywhere),
        donate_argnums=0,
    )


def pmap_step(step: Callable[..., tuple[State, Metrics]]) -> Any:
    """The same under pmap: all but the key has a leading axis of devices. Give the step AXIS."""
    return jax.pmap(step, axis_name=AXIS, in_axes=(0, None, 0, 0), donate_argnums=0)


def copies(state: State) -> State:
    """The state once for each of this process's devices, as `pmap_step`'s steps take and give it.

    It comes out of a pmap itself: else the second step, whose state does, would compile again.
    """
    count = jax.local_device_count()
    spread = jax.pmap(lambda _, state: state, axis_name=AXIS, in_axes=(0, None))
    return spread(np.arange(count), state)


class Program(NamedTuple):
    """A recipe compiled for a mesh, and what it takes: all of it lowers from shapes alone."""

    shapes: State
    shardings: State
    batch: NamedSharding
    init: Any  # () -> state
    train: Any  # (state, key, images, labels) -> state, metrics
    evaluate: Any  # (state, images, labels) -> sums


def program(
    mesh: Mesh,
    make_model: MakeModel,
    optimizer: optax.GradientTransformation,
    sampler: Sampler | None,
    *,
    seed: int = 0,
    smoothing: float = 0.0,
    fsdp: bool = False,
) -> Program:
    """The steps of a recipe on a mesh."""
    start = lambda: init(make_model, optimizer, jax.random.key(seed))
    shapes = jax.eval_shape(start)
    placed, batch = shardings(mesh, shapes, fsdp=fsdp), rows(mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    options = {"smoothing": smoothing, "gathered": everywhere if fsdp else None}
    step = partial(train_step, make_model, optimizer, sampler, **options)
    evaluate = jax.jit(
        partial(eval_step, make_model),
        in_shardings=(placed, batch, batch),
        out_shardings=everywhere,
    )
    begin = jax.jit(start, out_shardings=placed)
    return Program(shapes, placed, batch, begin, jit_step(step, mesh, placed), evaluate)


class Hooks(NamedTuple):
    """What `fit` calls, each with the number of steps that are done."""

    log: Callable[[int, dict[str, float]], None]
    save: Callable[[int, State], None]
    stopped: Callable[[int], bool]  # whether to save and return now; the same on all processes


def fit(
    program: Program,
    state: State,
    key: PRNGKeyArray,
    data: Iterator[Batch],
    validation: Callable[[], Iterable[Batch]],
    hooks: Hooks,
    *,
    steps: int,
    evaluate_every: int,
    save_every: int,
) -> State:
    """Train until `steps` are done, from wherever `state` is; evaluate and save at the end, too.

    Batches are this process's rows. Metrics are read one step late, while the devices work.

    Raises:
      Stop: where the loss or the gradient is not finite; nothing after that is ever saved.
    """
    late: tuple[int, Metrics] | None = None
    for n in range(int(state.step) + 1, steps + 1):
        state, metrics = program.train(state, key, *on_devices(next(data), program.batch))
        _read(late, hooks)
        late = n, metrics
        stop, end = hooks.stopped(n), n == steps
        evaluate, save = end or n % evaluate_every == 0, end or stop or n % save_every == 0
        if evaluate or save:
            _read(late, hooks)
            late = None
        if evaluate:
            hooks.log(n, score(program, state, validation()))
        if save:
            hooks.save(n, state)
        if stop:
            break
    return state


def score(program: Program, state: State, data: Iterable[Batch]) -> dict[str, float]:
    """The loss and accuracy over all real rows of all processes, and how many there are."""
    totals: dict[str, float] = {}
    for batch in data:
        sums = program.evaluate(state, *on_devices(batch, program.batch))
        totals = {name: totals.get(name, 0) + float(value) for name, value in sums.items()}
    count = totals["count"]
    return {
        "validation_loss": totals["loss"] / count,
        "validation_accuracy": totals["correct"] / count,
        "validation_count": count,
    }


def on_devices(batch: Batch, sharding: NamedSharding) -> tuple[Array, Array]:
    """One process's rows as its part of the whole batch."""
    put = partial(jax.make_array_from_process_local_data, sharding)
    return put(batch["image"]), put(batch["label"])


def _read(late: tuple[int, Metrics] | None, hooks: Hooks) -> None:
    if late is None:
        return
    n, metrics = late[0], {name: float(value) for name, value in late[1].items()}
    wrong = [f"{name} is {value}" for name, value in metrics.items() if not np.isfinite(value)]
    if wrong:
        raise Stop(
            f"At step {n} {wrong[0]}: train with a lower rate, more warm-up or clipped gradients, "
            "into another --out."
        )
    hooks.log(n, metrics)


def _graph(make_model: MakeModel) -> Any:
    model = nnx.eval_shape(lambda: make_model(nnx.Rngs(0)))
    return nnx.split(model, nnx.Param, ...)[0]
