"""Every package that is imported is declared in pyproject.toml, by an extra where it is used."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMES = {  # of distributions, where they are not the module's
    "PIL": "pillow",
    "absl": "absl-py",
    "orbax": "orbax-checkpoint",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
}
OURS = {"jax_mixup", "experiments", "tests", "numpy"}  # NumPy comes with jax
EXTRAS = {
    "jax_mixup": ["learned"],
    "experiments": ["experiments", "encode", "prepare", "bench", "rl"],
    "tests": ["test", "prepare", "bench"],  # the last two: skipped, or for making stored results
}
BY_HAND = {"einops", "gco"}  # make_loaders.py and make_saliency.py alone ask for them


def declared(extra):
    """The distributions of an extra, and of those that it takes in."""
    found = set()
    for line in PROJECT["optional-dependencies"][extra]:
        name, _, inner = re.match(r"([\w.-]+)(\[([\w,-]+)\])?", line).groups()
        found |= {name}.union(*map(declared, inner.split(","))) if inner else {name}
    return found


def imported(path):
    """The top-level modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("top", EXTRAS)
def test_imports_are_declared(top):
    known = set().union(*map(declared, EXTRAS[top]))
    known |= {re.match(r"[\w-]+", line).group() for line in PROJECT["dependencies"]}
    found = {name: path for path in (ROOT / top).rglob("*.py") for name in imported(path)}
    assert "jax" in found
    missing = found.keys() - sys.stdlib_module_names - OURS - BY_HAND
    missing = {name: found[name] for name in missing if NAMES.get(name, name) not in known}
    assert not missing
