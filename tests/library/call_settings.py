"""Settings of JAX that users may choose, and how rows of the table of calls run in each.

`test_calls` compares what comes out with what comes out plainly.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from tests.library.calls import ARRAYS, SHARED, Call
from tests.library.x64 import enable_x64

DEVICES = 8
KEY = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
WIDE = {"float32": "float64", "int32": "int64"}
HALF = {"float32": "bfloat16"}


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    structure: jax.tree_util.PyTreeDef
    mixes: list[tuple[Any, ...]]  # the dtypes of each one's mask, lam and partner
    leaves: list[Any]  # NumPy arrays, or shapes and dtypes

    @classmethod
    def of(cls, tree: Any, *, leaves: bool = True) -> "Result":
        parts = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, jm.Mix))
        mixes = [
            (mix.mask.dtype, mix.lam.dtype, getattr(mix.partner, "dtype", jnp.dtype("int32")))
            for mix in parts
            if isinstance(mix, jm.Mix)
        ]
        arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)] if leaves else []
        return cls(jax.tree.structure(tree), mixes, arrays)


Results = dict[str, Result | Exception]  # by the row's name


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    name: str
    run: Callable[["Setting", Sequence[Call]], Results]
    contexts: tuple[Callable[[], Any], ...] = ()
    kind: str = ""  # by which a row says that it cannot
    cast: dict[str, str] = dataclasses.field(default_factory=dict)  # of what the rows take
    variants: tuple[int, ...] = ()  # of keys and arrays, along a new first axis; none: one, without
    shapes_only: bool = False  # traced or lowered, not run
    one_each: bool = False  # of each function the first row only: numbers have to be compiled
    always: bool = False  # in README's test command

    @property
    def id(self) -> str:
        return self.name.replace(", ", "-").replace(" ", "_")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        # What conftest sets is a setting too.
        plain = (
            partial(jax.numpy_dtype_promotion, "standard"),
            partial(jax.numpy_rank_promotion, "allow"),
        )
        with contextlib.ExitStack() as stack:
            for context in (*plain, *self.contexts):
                stack.enter_context(context())
            yield


def key_of(variant: int = 0) -> jax.Array:
    return jax.random.key(7 + variant)


def value_of(name: str, setting: Setting, variant: int = 0) -> Any:
    """An array of a row, in NumPy; another variant has the rows in another order."""
    if name in ARRAYS:
        value = np.roll(ARRAYS[name], variant, axis=0)
    else:
        value = SHARED[name]
        if not isinstance(value, (np.ndarray, np.number)):  # weights of a network, which are f32
            return value
    return value.astype(jnp.dtype(setting.cast.get(str(value.dtype), value.dtype)))


def shapes_of(tree: Any, sharding: Any = None) -> Any:
    """What a trace needs of arrays: to make them would take longer."""
    shape = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    return jax.tree.map(shape, tree)


def names_of(calls: Iterable[Call]) -> list[str]:
    return sorted({name for call in calls for name in call.takes})


def attempt(run: Callable[..., Any], *arguments: Any) -> Result | Exception:
    try:
        return Result.of(run(*arguments))
    except Exception as error:  # any: the test says which row it was
        return error


def one_by_one(setting: Setting, calls: Sequence[Call], place: Callable = jnp.asarray) -> Results:
    """Eagerly, each with a key of its own."""

    def run(call: Call) -> Any:
        arrays = (jax.tree.map(place, value_of(name, setting)) for name in call.takes)
        return call.run(key_of(), *arrays)

    return {call.name: attempt(run, call) for call in calls}


def as_numpy(setting: Setting, calls: Sequence[Call]) -> Results:
    return one_by_one(setting, calls, np.asarray)


def traced(setting: Setting, calls: Sequence[Call]) -> Results:
    """Not run: shapes and dtypes."""

    def run(call: Call) -> Result | Exception:
        arrays = [shapes_of(value_of(name, setting)) for name in call.takes]
        seen = []

        def leaves(*arguments: Any) -> list[Any]:
            tree = call.run(*arguments)
            seen.append(Result.of(tree, leaves=False))
            return jax.tree.leaves(tree)

        try:
            shapes = jax.eval_shape(leaves, KEY, *arrays)
        except Exception as error:
            return error
        return dataclasses.replace(seen[0], leaves=shapes)

    return {call.name: run(call) for call in calls}


def together(
    setting: Setting,
    calls: Sequence[Call],
    key: jax.Array,
    arrays: dict[str, Any],
    wrap: Callable = jax.jit,
) -> Results:
    """Compiled as one function. Rows that cannot be traced are left out, and so have names."""

    seen: dict[str, Result] = {}

    def function(calls: Sequence[Call]) -> Any:
        def run(keys: dict[str, jax.Array], arrays: dict[str, Any]) -> dict[str, Any]:
            found = {c.name: c.run(keys[c.name], *(arrays[n] for n in c.takes)) for c in calls}
            if not setting.shapes_only:
                return found
            seen.update({name: Result.of(tree, leaves=False) for name, tree in found.items()})
            return {name: jax.tree.leaves(tree) for name, tree in found.items()}

        return wrap(run)

    def trace_of(calls: Sequence[Call]) -> Any:
        traceable = function(calls)
        trace = getattr(traceable, "trace", None) or traceable.lower  # pmap can only be lowered
        return trace(keys_for(calls), arrays)

    def keys_for(calls: Sequence[Call]) -> dict[str, jax.Array]:
        # One for each row, though they are the same: a key that is used twice is an error.
        return {call.name: key for call in calls}

    def run(calls: Sequence[Call]) -> Results:
        if setting.shapes_only:
            shapes = trace_of(calls).out_info.items()
            return {name: dataclasses.replace(seen[name], leaves=found) for name, found in shapes}
        results = function(calls).lower(keys_for(calls), arrays).compile()(keys_for(calls), arrays)
        return {name: Result.of(result) for name, result in results.items()}

    return _without_the_broken(run, lambda call: trace_of([call]), calls)


def _without_the_broken(
    run: Callable[[Sequence[Call]], Results], trace: Callable[[Call], Any], calls: Sequence[Call]
) -> Results:
    """All rows together; where that fails, those that can be traced together, or each alone."""
    try:
        return run(calls)
    except Exception:
        broken = {
            call.name: error for call in calls if (error := _error_of(trace, call)) is not None
        }
    rest = [call for call in calls if call.name not in broken]
    try:
        return broken | (run(rest) if rest else {})
    except Exception:
        return broken | {call.name: _alone(run, call) for call in rest}


def _error_of(trace: Callable[[Call], Any], call: Call) -> Exception | None:
    try:
        trace(call)
    except Exception as error:
        return error


def _alone(run: Callable[[Sequence[Call]], Results], call: Call) -> Result | Exception:
    try:
        return run([call])[call.name]
    except Exception as error:
        return error


def jitted(setting: Setting, calls: Sequence[Call], variant: int = 0) -> Results:
    values = {name: value_of(name, setting, variant) for name in names_of(calls)}
    return together(setting, calls, key_of(variant), jax.tree.map(jnp.asarray, values))


def stacked(
    setting: Setting, calls: Sequence[Call], wrap: Callable, place: Callable = jnp.asarray
) -> Results:
    """With a new first axis, along which keys and all arrays differ."""
    arrays = {}
    for name in names_of(calls):
        values = [value_of(name, setting, variant) for variant in setting.variants]
        arrays[name] = jax.tree.map(lambda *leaves: np.stack(leaves), *values)
    if setting.shapes_only:
        keys = jax.ShapeDtypeStruct((len(setting.variants),), KEY.dtype)
        return together(setting, calls, keys, shapes_of(arrays), wrap)
    keys = place(jnp.stack([key_of(variant) for variant in setting.variants]))
    return together(setting, calls, keys, jax.tree.map(place, arrays), wrap)


def shards(setting: Setting, calls: Sequence[Call], spec: PartitionSpec) -> Results:
    """Inside of shard_map. Without a spec all devices have the same key and the same batch."""
    mesh = jax.make_mesh((DEVICES,), ("data",))
    place = partial(jax.device_put, device=NamedSharding(mesh, spec))

    def wrap(run: Callable) -> Callable:
        def shard(*arguments: Any) -> Any:
            results = run(*jax.tree.map(lambda a: a[0], arguments))
            return jax.tree.map(lambda a: a[None], results)

        body = shard if setting.variants else run
        return jax.jit(jax.shard_map(body, mesh=mesh, in_specs=(spec, spec), out_specs=spec))

    if setting.variants:
        return stacked(setting, calls, wrap, place)
    values = {name: value_of(name, setting) for name in names_of(calls)}
    if setting.shapes_only:
        return together(setting, calls, KEY, shapes_of(values), wrap)
    return together(setting, calls, place(key_of()), jax.tree.map(place, values), wrap)


def replicated(setting: Setting, calls: Sequence[Call]) -> Results:
    return shards(setting, calls, PartitionSpec())


def varying(setting: Setting, calls: Sequence[Call]) -> Results:
    return shards(setting, calls, PartitionSpec("data"))


def vmapped(setting: Setting, calls: Sequence[Call]) -> Results:
    return stacked(setting, calls, lambda run: jax.jit(jax.vmap(run)))


def pmapped(setting: Setting, calls: Sequence[Call]) -> Results:
    return stacked(setting, calls, jax.pmap)


MESHES = {
    "Auto": ((DEVICES,), (AxisType.Auto,), ("data",)),
    "Explicit": ((DEVICES,), (AxisType.Explicit,), ("data",)),
    "Explicit, two axes": ((4, 2), (AxisType.Explicit,) * 2, ("data", "more")),
    "Auto, two axes": ((4, 2), (AxisType.Auto,) * 2, ("data", "more")),
    "mixed": ((4, 2), (AxisType.Explicit, AxisType.Auto), ("data",)),
    "mixed, two axes": ((4, 2), (AxisType.Explicit, AxisType.Auto), ("data", "more")),
}


def on_mesh(name: str, current: bool, eager: bool, **options: Any) -> Setting:
    """Batches sharded by rows; what has no batch, and the key, are where they are made."""
    shape, types, axes = MESHES[name]

    def run(setting: Setting, calls: Sequence[Call]) -> Results:
        mesh = jax.make_mesh(shape, ("data", "more")[: len(shape)], axis_types=types)
        rows = NamedSharding(mesh, PartitionSpec(axes))

        def placed(name: str) -> Any:
            if setting.shapes_only:
                return shapes_of(value_of(name, setting), rows if name in ARRAYS else None)
            place = partial(jax.device_put, device=rows) if name in ARRAYS else jnp.asarray
            return jax.tree.map(place, value_of(name, setting))

        with jax.set_mesh(mesh) if current else contextlib.nullcontext():
            if eager:
                one = lambda call: call.run(key_of(), *map(placed, call.takes))
                return {call.name: attempt(one, call) for call in calls}
            arrays = {name: placed(name) for name in names_of(calls)}
            key = KEY if setting.shapes_only else key_of()
            return together(setting, calls, key, arrays)

    way = "eager" if eager else "trace" if options.get("shapes_only") else "jit"
    return Setting(f"{name}{', set_mesh' * current}, {way}", run, kind="mesh", **options)


x64 = partial(enable_x64, True)
strict = partial(jax.numpy_dtype_promotion, "strict")
ranks = partial(jax.numpy_rank_promotion, "raise")
leaks = jax.checking_leaks
nans = partial(jax.debug_nans, True)
keys = partial(jax.debug_key_reuse, True)


def shapes(name: str, *contexts: Callable[[], Any], **options: Any) -> Setting:
    """Traced: what promotes, ranks and dtypes are is known before anything runs."""
    return Setting(name, traced, contexts, shapes_only=True, **options)


# Types of meshes are checked when a call is traced, so that not all have to be compiled; numbers
# are compared on one mesh of each kind. Eager calls differ by what the entry does, once a function.
EAGER = {("Explicit", False), ("mixed", True)}
ALL_ROWS = ("mixed", True)
ONE = {"one_each": True}  # numbers of each function's first row; shapes and dtypes of all
SETTINGS = [
    shapes("x64, strict, ranks", x64, strict, ranks, always=True),
    on_mesh("Explicit", False, False, shapes_only=True, always=True),
    on_mesh("Explicit", True, False, **ONE),
    Setting("plain, all numbers", jitted),
    Setting("x64, strict, ranks, jit", jitted, (x64, strict, ranks), **ONE),
    Setting("x64, strict, ranks, NumPy", as_numpy, (x64, strict, ranks), cast=WIDE, **ONE),
    shapes("strict, ranks", strict, ranks),
    shapes("x64, wide", x64, cast=WIDE),
    shapes("bf16, strict, ranks", strict, ranks, kind="bf16", cast=HALF),
    shapes("checking_leaks", leaks),
    Setting("debug_nans, debug_key_reuse", jitted, (nans, keys), **ONE),
    Setting("vmap", vmapped, variants=(0, 1), **ONE),
    Setting("pmap", pmapped, variants=(0, 1) * (DEVICES // 2), shapes_only=True),
    Setting("shard_map, replicated", replicated, shapes_only=True),
    Setting("shard_map, varying", varying, variants=(0, 1) * (DEVICES // 2), **ONE),
    on_mesh("mixed, two axes", True, False, **ONE),
    # The entry treats all Explicit axes alike, and leaves Auto ones as they are: every row on one
    # mesh with a current mesh, and each function on all others.
    *(
        on_mesh(name, current, False, shapes_only=True, one_each=(name, current) != ALL_ROWS)
        for name in MESHES
        for current in (False, True)
        if (name, current) not in {("Explicit", False), ("mixed, two axes", True)}
    ),
    *(on_mesh(name, current, True, **ONE) for name, current in sorted(EAGER)),
]
PLAIN = Setting("plain", jitted)
SHAPES = shapes("plain, shapes")
