"""The command line: options, Ctrl-C, and errors that are one sentence."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple, NoReturn, TypeVar, get_args, get_type_hints

import tyro

from experiments.core.loop import Stop

C = TypeVar("C", bound=Any)
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


class Whole(NamedTuple):
    """What a whole number among the options must be: a type is `Annotated[int, Whole(...)]`."""

    least: int = 1
    multiple: int = 1


Count = Annotated[int, Whole()]
Seeds = Annotated[int, Whole(2)]


def main(
    name: str, config: type[C], run: Callable[[C], int | None], description: str | None
) -> NoReturn:
    """Read the options, run, and exit."""
    program = f"python -m experiments.{name}"
    try:
        options, unknown = tyro.cli(
            config, prog=program, description=description, return_unknown_args=True
        )
        if unknown:
            raise Stop(f"{program} got {' '.join(unknown)}, which it does not know; see --help.")
        check(options)
        sys.exit(run(options))
    except Stop as stop:
        print(stop, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped. What is finished is on disk; the same command goes on from there.")
        sys.exit(130)


def check(options: Any) -> None:
    """Stop if a number is out of its range, or --out is not a folder."""
    for name, kind in get_type_hints(type(options), include_extras=True).items():
        given = getattr(options, name)
        for value in given if isinstance(given, tuple) else (given,):
            for rule in _rules(kind):
                if value is not None and (value < rule.least or value % rule.multiple):
                    several = f"a multiple of {rule.multiple}"
                    needed = several if rule.multiple > 1 else f"{rule.least} or more"
                    option = name.replace("_", "-")
                    raise Stop(f"--{option} got {value}; it needs {needed}.")
    out = getattr(options, "out", None)
    if out is not None:
        file = next((path for path in (out, *out.parents) if path.is_file()), None)
        if file is not None:
            raise Stop(f"--out got {out}; it needs a folder, but {file} is a file.")


def _rules(kind: Any) -> list[Whole]:
    """What a type, or a part of it, requires of its whole numbers."""
    parts = get_args(kind)
    own = [part for part in parts if isinstance(part, Whole)]
    return own + [rule for part in parts for rule in _rules(part)]


def ready(options: C, **smaller: Any) -> C:
    """The options, checked; with --smoke those of a small run, in a folder of its own."""
    check(options)
    if not options.smoke:
        return options
    return dataclasses.replace(options, out=options.out / "smoke", **smaller)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Around what reads data: errors of the file or its contents end the command in a sentence."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise Stop(str(error)) from error
