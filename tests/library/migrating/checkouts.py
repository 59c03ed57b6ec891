"""Take functions out of others' checkouts, and record the random numbers that they draw.

A checkout is a git repository, with or without a work tree, at ROOT/NAME, ROOT/OWNER+NAME or
ROOT/OWNER+NAME/repo. Only functions that are asked for run; what they import is given by hand.
"""

import ast
import contextlib
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import jax
import numpy as np

FILES = Path(__file__).parent


class Checkout:
    """One repository at its newest commit."""

    def __init__(self, root, repository):
        owner, name = repository.split("/")
        places = (f"{owner}+{name}/repo", f"{owner}+{name}", name)
        self.path = next(Path(root) / p for p in places if (Path(root) / p).is_dir())
        self.repository = repository
        self.commit = self._git("rev-parse", "HEAD").strip()

    def _git(self, *command):
        command = ["git", "-C", self.path, *command]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()

    def names(self, path, *wanted, **imports):
        """Run the functions and classes of this file that are wanted; return its names."""
        nodes = ast.parse(self._git("show", f"HEAD:{path}")).body
        nodes = [node for node in nodes if name_of(node) in wanted]
        if len(nodes) != len(wanted):
            raise ValueError(f"{path} has not all of {wanted}.")
        future = ast.parse("from __future__ import annotations").body  # their types may be missing
        module = sys.modules[f"theirs.{path}"] = ModuleType(f"theirs.{path}")  # dataclasses ask
        vars(module).update(imports)
        exec(compile(ast.Module(future + nodes, type_ignores=[]), path, "exec"), vars(module))
        return vars(module)

    def save(self, name, what, folder=FILES, **arrays):
        """Write these arrays to NAME.npz, and where they come from."""
        source = f"{self.repository}@{self.commit} {what}"
        arrays = {key: np.asarray(value) for key, value in arrays.items()}
        np.savez_compressed(folder / f"{name}.npz", source=source, **arrays)


def name_of(node):
    """Of a function, a class, or a value that is given a name."""
    targets = getattr(node, "targets", [node])
    return getattr(targets[0], "id", getattr(targets[0], "name", None))


@contextlib.contextmanager
def recorded(*functions):
    """Within it, what these functions of jax.random return, by name, in the order of the calls."""
    own = {name: getattr(jax.random, name) for name in functions}
    seen = defaultdict(list)

    def spy(name):
        def call(*args, **options):
            seen[name].append(own[name](*args, **options))
            return seen[name][-1]

        return call

    for name in functions:
        setattr(jax.random, name, spy(name))
    try:
        yield seen
    finally:
        for name, function in own.items():
            setattr(jax.random, name, function)


def fails(function, *args, **options):
    """Whether this raises an error."""
    try:
        function(*args, **options)
    except Exception as error:
        print(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return True
    return False
