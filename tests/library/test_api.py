"""The style enforces itself: names, argument order, docstrings, examples, imports."""

import ast
import doctest
import inspect
import subprocess
import sys
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
LAYERS = [  # imports go down: a module imports from lines below its own
    "__init__",
    "learned",
    "recipes",
    "recipes.mixup recipes.cutmix recipes.resizemix recipes.mix_batch",
    "recipes._call",
    "presets",
    "policies",
    "learned.adamixup learned.automix learned.adautomix",
    "learned._block",
    "samplers",
    "samplers.cutmix samplers._clouds constructors",
    "samplers._options",
    "apply.metrics apply.features apply.inference apply.mask_losses apply.objects",
    "apply.style apply.tokens",
    "apply.fit apply.labels apply.losses apply.robust_losses apply.boxes apply.combine",
    "apply.points apply.sphere",
    "apply._lists",
    "apply.inputs",
    "adjust",
    "_blending",
    "mix",
    "pairings.by_feature pairings.by_label pairings.by_weight",
    "saliency pairings.static pairings.random",
    "_maps distributions optimal_transport pairings._rows",
    "_distances _draws _loops _beta_cdf",
    "_geometry",
    "_entry",
    "_checks",
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
        assert names[1] in ("shape", "ids", "lengths", "points", "saliency", "attention", "cam")
        if names[1] == "shape":
            assert "per" in names
            # A distribution of λ, except where the mask's own geometry is drawn.
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
    """What a module imports, by full name: a name of a package is a module of it, or its own."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            folder = ROOT.joinpath(*node.module.split("."))
            for name in (alias.name for alias in node.names):
                inside = (folder / f"{name}.py").exists() or (folder / name).is_dir()
                yield f"{node.module}.{name}" if inside else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def level_of(module):
    """The line of LAYERS that names a module, or else its folder."""
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer.split()}
    return level[module] if module in level else level[module.split(".")[0]]


def test_imports_go_down_the_layers_only():
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)
        for imported in imports(path):
            if imported.startswith("jax_mixup."):
                other = imported.removeprefix("jax_mixup.")
                assert level_of(other) > level_of(module), f"{module} imports {other}"


def test_the_core_needs_jax_and_jaxtyping_only():
    allowed = {"jax", "jaxtyping", "jax_mixup", "numpy"} | set(sys.stdlib_module_names)
    for path in PACKAGE.rglob("*.py"):
        extra = {"flax"} if "learned" in path.parts else set()  # which the package does not import
        assert {name.split(".")[0] for name in imports(path)} <= allowed | extra
    code = "import sys, jax_mixup; assert not {'flax', 'optax', 'chex', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"import jax; {code}"], check=True)


SOURCES = [
    path
    for folder in (PACKAGE, ROOT / "experiments", ROOT / "tests")
    for path in folder.rglob("*.py")
]


def test_files_and_functions_stay_small():
    long = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > 400:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                first = node.body[ast.get_docstring(node) is not None and len(node.body) > 1]
                lines = text.splitlines()[first.lineno - 1 : node.end_lineno]
                code = sum(bool(line.strip()) for line in lines)  # ruff sets blanks around a def
                if code > 40:
                    long.append(f"{path.relative_to(ROOT)}: {node.name} has {code} lines of code")
    assert not long, long
