"""Every command: its help, its place in the list, and one sentence for whatever is wrong."""

import importlib
import sys
from pathlib import Path

import pytest

from experiments import __main__ as listing
from experiments.harness import cli

FOLDER = Path(listing.__file__).parent
COMMANDS = [name for name, *_ in listing.commands()]
WRONG = {  # what is wrong: the options, and a word of the sentence
    "an option": (["--colour", "red"], "--colour red"),
    "an argument": (["more"], "more"),
    "no seeds": (["--seeds", "0"], "--seeds got 0; it needs 2 or more"),
    "one seed": (["--seeds", "1"], "--seeds got 1; it needs 2 or more"),
    "no epochs": (["--epochs", "0"], "--epochs got 0; it needs "),
    "no steps": (["--steps", "0"], "--steps got 0; it needs "),
    "no rounds": (["--rounds", "0"], "--rounds got 0; it needs "),
    "no batch": (["--batch", "0"], "--batch got 0; it needs "),
    "data": (["--data", "nowhere.npz"], "nowhere.npz"),  # found by the command itself
}


def module_of(name):
    package = (FOLDER / name / "__main__.py").exists()
    return importlib.import_module(f"experiments.{name}" + ".__main__" * package)


def runs(config):
    pytest.fail("The command began.")


def called(monkeypatch, name, *options, main=runs):
    """The exit status of a command."""
    module = module_of(name)
    monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
    with pytest.raises(SystemExit) as exit:
        cli.main(name, module.Config, main, module.__doc__)
    return exit.value.code


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_readable(name, monkeypatch, capsys):
    assert called(monkeypatch, name, "--help") == 0
    printed = capsys.readouterr().out
    assert "--out" in printed and f"python -m experiments.{name}" in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_wrong_is_said_in_one_sentence(name, monkeypatch, capsys, tmp_path):
    """Before anything is trained or written."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    wrong = {"out": (["--out", file], "file"), "out's parent": (["--out", file / "a"], "file")}
    module = module_of(name)
    for kind, (options, word) in (WRONG | wrong).items():
        option = str(options[0]).removeprefix("--")
        if kind in ("an option", "an argument") or option in module.Config.__dataclass_fields__:
            main = module.main if kind == "data" else runs
            assert called(monkeypatch, name, *options, main=main) == 1, kind
            printed = capsys.readouterr().err.strip()
            assert word in printed and "\n" not in printed and printed.endswith("."), printed
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_list_names_every_command(capsys):
    listing.main()
    printed = capsys.readouterr().out
    scripts = {
        ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__main__")
        for path in FOLDER.rglob("*.py")
        if "    cli.main(" in path.read_text()
    }
    assert scripts == set(COMMANDS)
    assert all(name in printed for name in COMMANDS)
    for name, shows, time in listing.commands():
        assert shows[-1] in ".?" and time, name
