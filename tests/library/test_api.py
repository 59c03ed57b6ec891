"""The style enforces itself: names, argument order, docstrings, examples, imports."""

import ast
import doctest
import inspect
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jax_mixup as jm

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jax_mixup"
PUBLIC = {name: getattr(jm, name) for name in jm.__all__}
FUNCTIONS = {name: f for name, f in PUBLIC.items() if inspect.isfunction(f)}
LAYERS = [  # a module imports from the lines above its own, or its own folder's `_`-modules
    "_checks",
    "_entry",
    "_geometry _distances _draws",
    "_maps distributions optimal_transport pairings._rows",
    "saliency pairings.static pairings.random pairings.by_label",
    "pairings.by_feature",
    "mix",
    "_blending",
    "adjust",
    "apply.inputs",
    "apply.fit apply.labels apply.losses apply.boxes",
    "apply.metrics apply.features apply.inference",
    "samplers._options",
    "samplers.cutmix",
    "samplers",
    "learned._block",
    "learned.adamixup learned.automix learned.adautomix",
    "policies",
    "presets",
    "recipes._call",
    "recipes.mixup recipes.cutmix recipes.resizemix recipes.mix_batch",
    "recipes",
    "learned",
    "__init__",
]


OWN_LAW = ("sample_smoothmix", "sample_patchup", "sample_resizemix")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature(name):
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    names = [p.name for p in parameters]
    assert "rng" not in names and "seed" not in names
    for first in ("key", "mix"):
        assert first not in names[1:]
    for p in parameters:
        assert p.annotation is not inspect.Parameter.empty
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty:
            # A shape, as in jax.random; and the numbers of a static pairing.
            assert p.name == "shape" or name in ("reverse", "roll")
    assert inspect.signature(FUNCTIONS[name]).return_annotation is not inspect.Signature.empty
    if name.startswith("sample_"):
        assert names[0] == "key" and {"pairing", "pairings"} & set(names)
        # Where the mask follows an array, that one says the shape, and each row draws for itself.
        assert names[1] in ("shape", "ids", "lengths", "saliency", "attention", "cam")
        if names[1] == "shape":
            assert "per" in names
            # A law of λ, but where the mask's own geometry is what is drawn.
            law = "lam_law" in names or name == "sample_dirichlet"
            assert name in OWN_LAW or (law and any(n.endswith("alpha") for n in names))


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name):
    doc = inspect.getdoc(PUBLIC[name])
    first, *rest = doc.splitlines()
    assert first.endswith(".") and len(first) < 100 and not any(rest[:1])
    if name == "StaticPairing":
        return
    assert "Example:" in doc
    if name in FUNCTIONS:
        assert "Returns:" in doc
        arguments = set(inspect.signature(FUNCTIONS[name]).parameters)
        for argument in arguments:
            assert argument in doc, argument
        if "raise" in inspect.getsource(FUNCTIONS[name]) or "_checks." in inspect.getsource(
            FUNCTIONS[name]
        ):
            assert "Raises:" in doc or name == "partner_index"
    assert any(mark in doc for mark in "=∝~≠"), "an equation"


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_examples_run(name):
    names = {"jm": jm, "jax": jax, "jnp": jnp, "partial": partial}
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    examples = 0
    for test in finder.find(PUBLIC[name], name, globs=names):
        runner.run(test)
        examples += len(test.examples)
    assert runner.failures == 0
    assert examples or name == "StaticPairing"


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if all(
                (PACKAGE.parent / node.module.replace(".", "/")).glob(f"{a.name}.py")
                or (PACKAGE.parent / node.module.replace(".", "/") / a.name).is_dir()
                for a in node.names
            ):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_modules_stay_small():
    for path in PACKAGE.glob("*.py"):
        code = [
            node.end_lineno - node.body[0].end_lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef)
        ]
        assert max(code, default=0) <= 40, path.name
