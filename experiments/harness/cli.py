"""How a script meets the shell: its options, Ctrl-C, and errors that are one sentence."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn, TypeVar

import tyro

from experiments.core.loop import Stop

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
C = TypeVar("C", bound=Any)


def main(
    name: str, config: type[C], run: Callable[[C], int | None], description: str | None
) -> NoReturn:
    """Read the options, run, and exit."""
    try:
        options = tyro.cli(config, prog=f"python -m experiments.{name}", description=description)
        sys.exit(run(options))
    except Stop as stop:
        print(stop, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped. What is finished is on disk; the same command goes on from there.")
        sys.exit(130)


def smoke(config: C, **smaller: Any) -> C:
    """The config of a run with --smoke: small, and in a folder of its own."""
    return dataclasses.replace(config, out=config.out / "smoke", **smaller)
