"""A hash of the code that a question runs, so that runs of earlier code are never taken for new.

The code is what `main` of the question reaches: definitions of `experiments` and `jax_mixup`,
followed by name through their modules. What only shows runs or hands them out (tables, plots,
rules, jobs, the command line) does not count, nor do docstrings and comments.
"""

import ast
import functools
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SHOWN = {
    f"experiments.harness.{name}"
    for name in ("cli", "code", "intervals", "jobs", "pages", "plots", "rules", "study", "tables")
}
FIGURES = "figures"  # a question's own pictures
OF_STUDY = {"title", "table", "plot", "rule", "ranked", "more"}  # `Study`'s options that only show


class Module(NamedTuple):
    """A module's lines, and what each of its names stands for."""

    lines: list[str]  # without comments
    own: dict[str, list[ast.stmt]]  # definitions and assignments of the module itself
    imported: dict[str, tuple[str, str | None]]  # name -> module, and the name there


Place = tuple[str, str]  # a module and a name in it


def of(question: str) -> str:
    """The hash of what `experiments.{question}` runs, 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for place in sorted(reached(f"experiments.{question}.__main__", "main")):
        digest.update(repr(place).encode())
        digest.update("\n".join(_text(*place)).encode())
    return digest.hexdigest()[:12]


def reached(module: str, name: str) -> set[Place]:
    """All definitions that a name leads to, its own included."""
    seen: set[Place] = set()
    waiting = [(module, name)]
    while waiting:
        place = waiting.pop()
        if place not in seen and place[1] in _module(place[0]).own and not _only_shows(*place):
            seen.add(place)
            waiting += _used(*place)
    return seen


def _used(module: str, name: str) -> Iterator[Place]:
    """The names that a definition uses, where they are defined."""
    for statement in _module(module).own[name]:
        for node in _walked(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield from _resolved(module, node.value.id, node.attr)
            elif isinstance(node, ast.Name):
                yield from _resolved(module, node.id, None)


def _walked(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all in it, but what a `Study` only shows."""
    yield node
    called = getattr(node, "func", None)
    is_study = getattr(called, "id", getattr(called, "attr", "")) in ("Study", "study_of")
    for child in ast.iter_child_nodes(node):
        if not (is_study and isinstance(child, ast.keyword) and child.arg in OF_STUDY):
            yield from _walked(child)


def _resolved(module: str, name: str, attribute: str | None) -> Iterable[Place]:
    """Where `name`, or `name.attribute`, is defined; nowhere if that is another package."""
    found = _module(module)
    if name in found.own:
        return [(module, name)]
    if name not in found.imported:
        return []
    source, wanted = found.imported[name]
    if wanted is not None and _path(f"{source}.{wanted}"):
        source, wanted = f"{source}.{wanted}", None
    if source in SHOWN or source.endswith(FIGURES) or not _path(source):
        return []
    if wanted is None and attribute is None:
        return []  # the module's name itself; what is used of it comes as an attribute
    wanted = attribute if wanted is None else wanted
    assert wanted is not None
    return [(source, wanted)] if wanted in _module(source).own else _resolved(source, wanted, None)


def _only_shows(module: str, name: str) -> bool:
    """Whether a name is bound to what a module that only shows made: a table, a rule."""
    values = [getattr(statement, "value", None) for statement in _module(module).own[name]]
    makers = [value.func for value in values if isinstance(value, ast.Call)]
    names = [maker.id for maker in makers if isinstance(maker, ast.Name)]
    return any(_module(module).imported.get(n, ("",))[0] in SHOWN for n in names)


@functools.cache
def _module(name: str) -> Module:
    path = _path(name)
    assert path is not None, name
    text = path.read_text()
    tree, found = ast.parse(text), Module(_uncommented(text), {}, {})
    for node in ast.walk(tree):  # imports within functions, too
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.imported[alias.asname or alias.name] = (alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parents = name.split(".")
                parents = parents[: len(parents) - node.level + (path.stem == "__init__")]
                source = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                found.imported[alias.asname or alias.name] = (source, alias.name)
    for statement in _flat(tree.body):
        for bound in _bound(statement):
            found.own.setdefault(bound, []).append(statement)
    return found


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those under `if` and `try` too."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try):
            yield from _flat(statement.body + statement.orelse)
        else:
            yield statement


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [n.id for t in targets if t is not None for n in ast.walk(t) if isinstance(n, ast.Name)]


def _text(module: str, name: str) -> list[str]:
    """The lines of a definition, without docstrings, comments and blanks."""
    lines, kept = _module(module).lines, []
    for statement in _module(module).own[name]:
        strings = [
            node
            for node in ast.walk(statement)
            if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ]
        dropped = {n for node in strings for n in range(node.lineno, (node.end_lineno or 0) + 1)}
        decorators = getattr(statement, "decorator_list", [])
        first = min(node.lineno for node in (statement, *decorators))
        numbers = range(first, (statement.end_lineno or first) + 1)
        kept += [lines[n - 1] for n in numbers if n not in dropped and lines[n - 1].strip()]
    return kept


def _uncommented(text: str) -> list[str]:
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return lines


@functools.cache
def _path(module: str) -> Path | None:
    """The file of a module of this repository."""
    if module.split(".")[0] not in ("experiments", "jax_mixup"):
        return None
    base = ROOT.joinpath(*module.split("."))
    found = [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return found[0] if found else None
