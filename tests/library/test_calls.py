"""Every row of the table of calls in every setting: what comes out is what comes out plainly.

Plainly: on one device, in default settings, of float32 and int32. Shapes and dtypes are compared
for every row by a trace, numbers for the first row of each function. All settings together are
`pytest -m settings`, the numbers of all rows too; without it run those that users meet most: x64
with strict promotion, and Explicit meshes, the default of `jax.make_mesh`.
"""

import dataclasses
import inspect
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup import learned
from tests.library.call_settings import (
    HALF,
    PLAIN,
    SETTINGS,
    SHAPES,
    Result,
    Setting,
    jitted,
)
from tests.library.calls import ARRAYS, CALLS, FOLLOW, SHARED, Call

ROWS = 10  # of a test: compiled together they take a third of the time that they take alone
GROUPS = [CALLS[i : i + ROWS] for i in range(0, len(CALLS), ROWS)]
FIRST = {call.public: call.name for call in reversed(CALLS)}  # of each function
_plain: dict[tuple[str, int], Result | Exception] = {}
_shapes: dict[str, Result | Exception] = {}


def make_plain(calls: Sequence[Call], setting: Setting) -> None:
    """What rows give plainly, made once: shapes and dtypes by a trace, numbers compiled."""
    missing = [call for call in calls if call.name not in _shapes]
    if setting.shapes_only:
        with SHAPES.entered():
            _shapes.update(SHAPES.run(SHAPES, missing))
        return
    for variant in {0, *setting.variants}:
        missing = [call for call in calls if (call.name, variant) not in _plain]
        if missing:
            with PLAIN.entered():
                results = jitted(PLAIN, missing, variant)
            _plain.update({(name, variant): result for name, result in results.items()})


def plain(call: Call, setting: Setting, variant: int = 0) -> Result | Exception:
    return _shapes[call.name] if setting.shapes_only else _plain[call.name, variant]


def expected(call: Call, setting: Setting) -> Result:
    parts = [plain(call, setting, variant) for variant in setting.variants or (0,)]
    for part in parts:
        if isinstance(part, Exception):
            raise part
    if not setting.variants:
        return parts[0]
    columns = zip(*(part.leaves for part in parts), strict=True)
    if setting.shapes_only:
        stack = lambda column: jax.ShapeDtypeStruct(
            (len(column), *column[0].shape), column[0].dtype
        )
    else:
        stack = np.stack
    return dataclasses.replace(parts[0], leaves=[stack(column) for column in columns])


def first_line(error: Exception) -> str:
    """For a wrong type also which parameter's it is."""
    name, lines = type(error).__name__, [*str(error).strip().splitlines(), ""]
    return f"{name}: {' '.join(lines[: 4 if name == 'TypeCheckError' else 1])}"[:400]


def wrong(call: Call, setting: Setting, found: Result | Exception) -> str | None:
    """What is wrong with a row's result, in a line; None if nothing is."""
    if isinstance(found, Exception):
        return first_line(found)
    for mask, lam, partner in found.mixes:
        if mask not in (jnp.bool_, jnp.float32) or lam != jnp.float32 or partner != jnp.int32:
            return f"a mix with mask {mask}, lam {lam} and partner {partner}"
    if setting.cast == HALF:
        return None
    should = expected(call, setting)
    if found.structure != should.structure:
        return f"{found.structure} where {should.structure} should be"
    for a, b in zip(found.leaves, should.leaves, strict=True):
        follows = setting.cast and call.public in FOLLOW
        if a.shape != b.shape or (a.dtype != b.dtype and not follows):
            return f"{a.dtype}{list(a.shape)} where {b.dtype}{list(b.shape)} should be"
        if not setting.shapes_only and not same(a, b, call.atol):
            return f"other numbers: {a.ravel()[:4]} where {b.ravel()[:4]} should be"
    return None


def same(a: np.ndarray, b: np.ndarray, atol: float) -> bool:
    if not jnp.issubdtype(b.dtype, jnp.inexact):
        return np.array_equal(a, b)
    wide = (x.astype(np.complex128 if np.iscomplexobj(x) else np.float64) for x in (a, b))
    return np.allclose(*wide, rtol=1e-5, atol=atol, equal_nan=True)


def first_of(calls: Sequence[Call]) -> list[Call]:
    """The first row of each function; all rows of what is not in the table."""
    return [call for call in calls if FIRST.get(call.public, call.name) == call.name]


def check(setting: Setting, calls: Sequence[Call]) -> None:
    calls = [call for call in calls if setting.kind not in call.cannot]
    if setting.one_each:
        calls = first_of(calls)
    if not calls:
        return
    make_plain(calls, setting)
    # A row that fails plainly has a test that says so.
    calls = [call for call in calls if not isinstance(plain(call, setting), Exception)]
    with setting.entered():
        results = setting.run(setting, calls)
    report((call, setting, results[call.name]) for call in calls)


def report(found: Iterable[tuple[Call, Setting, Result | Exception]]) -> None:
    lines = [
        f"{call.name} [{setting.name}]: {what}"
        for call, setting, result in found
        if (what := wrong(call, setting, result)) is not None
    ]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


# A group stays on one worker, for what it gives plainly is made once in each process.
marked = lambda value, i, *marks: pytest.param(
    value, marks=[pytest.mark.xdist_group(f"calls {i}"), *marks], id=str(i)
)


@pytest.mark.parametrize("calls", [marked(calls, i) for i, calls in enumerate(GROUPS)])
def test_plain(calls):
    for setting, rows in ((PLAIN, first_of(calls)), (SHAPES, calls)):
        make_plain(rows, setting)
        report((call, setting, plain(call, setting)) for call in rows)


@pytest.mark.parametrize("calls", [marked(calls, i) for i, calls in enumerate(GROUPS)])
@pytest.mark.parametrize(
    "setting",
    [pytest.param(s, id=s.id, marks=[] if s.always else [pytest.mark.settings]) for s in SETTINGS],
)
def test_setting(setting, calls):
    check(setting, calls)


def test_every_public_name_has_a_row():
    names = [call.name for call in CALLS]
    assert len(names) == len(set(names))
    assert {call.public for call in CALLS} == {*jm.__all__, *learned.__all__}
    for name in jm.__all__:
        if "other" in inspect.signature(getattr(jm, name)).parameters:
            assert any(row.startswith(f"{name}, other") for row in names), name
    kinds = {setting.kind for setting in SETTINGS}
    for call in CALLS:
        assert set(call.takes) <= {*ARRAYS, *SHARED}, call.name
        assert set(call.cannot) <= kinds and all(call.cannot.values()), call.name
    assert {call.public for call in CALLS} >= FOLLOW


def test_what_fails_is_named():
    def untraceable(key, lam):
        return lam if lam.sum() >= 0 else -lam

    def narrow(key, lam):
        if jax.config.jax_enable_x64:
            raise TypeError("it is wide")
        return lam

    fine = Call("fine", lambda key, lam: lam)
    rows = [fine, Call("untraceable", untraceable)]
    make_plain(rows, PLAIN)
    with pytest.raises(pytest.fail.Exception, match=r"^untraceable \[plain\]: Tracer.*$"):
        report((row, PLAIN, plain(row, PLAIN)) for row in rows)
    by_name = {setting.name: setting for setting in SETTINGS}
    for name in ("x64, strict, ranks", "x64, strict, ranks, jit"):
        with pytest.raises(pytest.fail.Exception, match=rf"^narrow \[{name}\]: TypeError.*wide$"):
            check(by_name[name], [fine, Call("narrow", narrow)])
    other = Call("other", lambda key, lam: lam + float(jax.config.jax_debug_nans))
    with pytest.raises(pytest.fail.Exception, match=r"^other \[debug.*\]: other numbers"):
        check(by_name["debug_nans, debug_key_reuse"], [fine, other])
