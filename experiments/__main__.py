"""List the experiments: what each shows, its command, how long it takes."""

import ast
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent


def commands() -> Iterator[tuple[str, str, str]]:
    """Each command's name, what it shows and its time.

    A folder with a __main__.py is a command, and so is a module in such a folder that has a TIME.
    What it shows is the first line of the docstring, of the folder's __init__.py for the folder.
    """
    for main in sorted(FOLDER.glob("*/__main__.py")):
        folder = main.parent
        yield folder.name, *described(folder / "__init__.py")
        for path in sorted(folder.glob("[a-z]*.py")):
            if "\nTIME = " in path.read_text():
                yield f"{folder.name}.{path.stem}", *described(path)


def described(path: Path) -> tuple[str, str]:
    """The first line of a module's docstring, and its TIME, without importing it."""
    module = ast.parse(path.read_text())
    times = [
        ast.literal_eval(line.value)
        for line in module.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "TIME"
    ]
    return (ast.get_docstring(module) or "").split("\n")[0], *times


def main() -> None:
    table = Table(box=SIMPLE_HEAD)
    for column in ("NAME", "what it shows", "time"):
        table.add_column(column)
    for row in commands():
        table.add_row(*row)
    console = Console()
    console.print("python -m experiments.NAME runs one; --help shows its options.")
    console.print(table)
    console.print("python -m experiments.examples.nnx runs an example of mixing in a train step;")
    console.print("experiments/examples/README.md lists them.")


if __name__ == "__main__":
    main()
