"""What every public call does first: it checks its key or mix, and makes Explicit mesh axes Auto.

On Explicit mesh axes, the default of `jax.make_mesh`, JAX refuses operations whose layout it cannot
infer: moves of examples between devices, sorts, gathers, reshapes of a sharded axis. The library's
functions leave the layout to the compiler instead: they run on a mesh whose Explicit axes are Auto,
and their results are Explicit again. The user's functions run on the user's mesh.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import jax
import jax.core
import jax.numpy as jnp
from jax.sharding import (
    AxisType,
    NamedSharding,
    PartitionSpec,
    get_abstract_mesh,
    reshard,
    use_abstract_mesh,
)

from jax_mixup import _checks

F = TypeVar("F", bound=Callable[..., Any])


def public(function: F) -> F:
    """Mark a public function of arrays: its first argument is checked, and it runs on Auto axes."""
    return calls_back(on_any_mesh(function))


def calls_back(function: F) -> F:
    """Mark a public function that calls the user's functions: its first argument is checked.

    It runs on the user's mesh, so it does its own work on arrays in public functions, or in
    functions under `on_any_mesh`.
    """
    name, parameters = function.__name__, inspect.signature(function).parameters
    first = next(iter(parameters), "")
    if first not in ("key", "mix"):
        return function

    @functools.wraps(function)
    def entered(*args: Any, **kwargs: Any) -> Any:
        argument = args[0] if args else kwargs.get(first, inspect.Parameter.empty)
        if argument is inspect.Parameter.empty:
            return function(*args, **kwargs)  # Python's own error names the missing argument
        if first == "key":
            _checks.key(name, argument)
            return function(*args, **kwargs)
        argument = _checked_mix(name, argument, parameters[first].annotation)
        if args:
            return function(argument, *args[1:], **kwargs)
        return function(**kwargs | {first: argument})

    return entered  # pyright: ignore[reportReturnType]


def on_any_mesh(function: F) -> F:
    """Run the function with Explicit mesh axes as Auto ones.

    A result with the shape of an argument has the layout of that argument. Another result with as
    many examples as the first sharded argument has its first axis on the same mesh axes. All other
    results are replicated.
    """

    @functools.wraps(function)
    def placed(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten((args, kwargs))
        outside = _Outside([x for x in leaves if isinstance(x, jax.Array)])
        if outside.mesh is None:
            return function(*args, **kwargs)
        leaves = [outside.calling(x) if _is_function(x) else x for x in leaves]
        with use_abstract_mesh(outside.auto):
            args, kwargs = jax.tree.unflatten(tree, [outside.enter(x) for x in leaves])
            results = function(*args, **kwargs)
        return jax.tree.map(outside.leave, results)

    return placed  # pyright: ignore[reportReturnType]


def one_program(*static: str) -> Callable[[F], F]:
    """Mark an inner function of arrays: called outside of a trace, it runs as one program.

    Else each of its operations is a program of its own, and to start one takes 10 to 60 µs, more
    than its work on a few numbers. Inside of a jit it is inlined: the program is the same. Such a
    function sees no values and calls no function of the user, which could be new in each call.
    """
    # jit returns another type, but all that is used of it is the call.
    return functools.partial(jax.jit, static_argnames=static, inline=True)  # pyright: ignore


def _is_function(x: Any) -> bool:
    return callable(x) and not isinstance(x, type)  # jnp.float32, for example, is a type


class _Outside:
    """The caller's mesh, and the layout of the caller's arrays on it."""

    def __init__(self, arrays: list[jax.Array]):
        self.context = get_abstract_mesh()
        shardings = [jax.typeof(x).sharding for x in arrays]
        meshes = [self.context, *(sharding.mesh for sharding in shardings)]
        self.mesh: Any = next((mesh for mesh in meshes if mesh.explicit_axes), None)
        if self.mesh is None:
            return
        auto = dict.fromkeys(self.mesh.explicit_axes, AxisType.Auto)
        self.auto = self.mesh.update_axis_types(auto)
        self.specs: dict[tuple[int, ...], Any] = {}
        self.rows: dict[int, Any] = {}
        for x, sharding in zip(arrays, shardings, strict=True):
            spec = sharding.spec
            if any(axes is not None for axes in spec):
                self.specs.setdefault(x.shape, spec)
            if spec and spec[0] is not None and not self.rows:
                self.rows = {x.shape[0]: PartitionSpec(spec[0])}
            if self.context.empty and not isinstance(x, jax.core.Tracer):
                # Without a current mesh an eager result needs a mesh of real devices.
                if isinstance(x.sharding, NamedSharding) and x.sharding.mesh.explicit_axes:
                    self.mesh = x.sharding.mesh

    def enter(self, x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return x
        return reshard(x, NamedSharding(self.auto, PartitionSpec()))

    def leave(self, x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return x
        spec = self.specs.get(x.shape)
        if spec is None:
            spec = self.rows.get(x.shape[0] if x.ndim else -1, PartitionSpec())
        return reshard(x, NamedSharding(self.mesh, spec))

    def calling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the user's function, such as a `lam_law`, which may close over the user's arrays."""

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = jax.tree.map(self.leave, (args, kwargs))
            with use_abstract_mesh(self.context):
                results = function(*args, **kwargs)
            return jax.tree.map(self.enter, results)

        return called


def _checked_mix(function: str, mix: Any, annotation: Any) -> Any:
    """Return the mix, or tuple of mixes, with λ and soft masks in float32 and indices in int32."""
    kinds = get_args(annotation) or getattr(annotation, "__constraints__", None) or (annotation,)
    one, several = kinds[0], len(kinds) > 1
    if isinstance(mix, one):
        return canonical_mix(function, mix)
    if isinstance(mix, tuple) and mix and all(isinstance(layer, one) for layer in mix):
        if not several:
            raise TypeError(
                f"{function} got {len(mix)} mixes; it needs one mix: call {function} for each."
            )
        return tuple(canonical_mix(function, layer) for layer in mix)
    if isinstance(mix, (list, tuple)):
        raise TypeError(
            f"{function} got a {type(mix).__name__} as mix; it needs a Mix"
            f"{', or a tuple of them: overlay(*mixes) makes one' if several else ''}."
        )
    raise TypeError(
        f"{function} got {_checks.described(mix)} as mix; it needs a Mix, as sample_mixup draws: "
        "pass the mix first, then what it is applied to."
    )


def canonical_mix(function: str, mix: Any) -> Any:
    """Check a mix and return it in the dtypes that a mix has."""
    _checks.mix(function, mix)
    mask, lam, partner = jnp.asarray(mix.mask), jnp.asarray(mix.lam), mix.partner
    mask = mask if mask.dtype == jnp.bool_ else mask.astype(jnp.float32)
    lam = lam.astype(jnp.float32)
    if hasattr(partner, "dtype"):
        partner = jnp.asarray(partner).astype(jnp.int32)
    if partner is mix.partner and mask is mix.mask and lam is mix.lam:
        return mix
    return type(mix)(partner, mask, lam)
