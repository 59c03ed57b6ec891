"""Every example runs, learns and says what it shows, and needs no more than it names."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from experiments import examples

FOLDER = Path(examples.__file__).parent
TEXTS = {path.stem: path.read_text() for path in sorted(FOLDER.glob("[a-z]*.py"))}
EXAMPLES = [name for name in TEXTS if name != "data"]
README = (FOLDER / "README.md").read_text()
ROWS = dict(re.findall(r"^\| \[(\w+)\.py\]\(\1\.py\) \| .+ \| (\d+) \|", README, re.MULTILINE))
ALLOWED = {"jax", "flax", "optax", "jax_mixup", "numpy", "experiments.examples.data"}
MORE = {"keras_jax": {"keras"}, "grain_step": {"grain"}, "grain_host": {"grain"}}

# What an example shows, of what its main() returned. All that give an accuracy have learned.
PROMISES = {
    "sharded": lambda found: (
        (found["devices"], found["local"]) == (8, 0)
        and found["whole"] > 0
        and found["difference"] < 0.02
    ),
    "accumulate": lambda found: found["split"] < 1e-5 and found["each"] > 1e-3,
    "bfloat16": lambda found: 0 < 2 * found["rounded last"] < found["rounded in the blend"] < 0.5,
    "ema": lambda found: 0 < abs(found["after"] - found["last"]) < 0.2,
    "distill": lambda found: found["teacher_on_mixed"] < found["blended_teacher"] < 0.3,
    "finetune": lambda found: found[0.0] == 0 and 0 < abs(found[0.1]) < 0.02,
    "sftmix": lambda found: found["apart"] == 1 and found["clean"] > 0.8,
    "grain_step": lambda found: abs(found["whole"] - found["resumed"]) < 1e-3,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_learns(name):
    module = importlib.import_module(f"experiments.examples.{name}")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = module.main()
    assert found["after"] < 0.7 * found["before"] and found.get("accuracy", 1) > 0.7, found
    assert name not in PROMISES or PROMISES[name](found), found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imagenet_pmap", "sharded"])
def test_examples_for_many_devices_run_on_one(name):
    """As a user starts them, with warnings as errors; the tests themselves have eight devices."""
    command = [sys.executable, "-W", "error", "-m", f"experiments.examples.{name}"]
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    environment = os.environ | {"XLA_FLAGS": flags}
    folder = FOLDER.parents[1]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "devices: 1;" in run.stdout
    assert float(re.findall(r"accuracy ([\d.]+)", run.stdout)[-1]) > 0.9, run.stdout


def test_the_page_lists_every_example_and_the_lines_that_mix():
    lines = {name: TEXTS[name].count("  # mixing") for name in EXAMPLES}
    assert {name: int(count) for name, count in ROWS.items()} == lines


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_what_it_shows_and_is_short(name):
    text = TEXTS[name]
    first, blank, *notes = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert first.endswith(".") and not blank
    assert 3 <= sum(line.startswith("- ") for line in notes) <= 8
    assert 40 <= len(text.splitlines()) <= 120
    assert "\ndef main(" in text and text.endswith('if __name__ == "__main__":\n    main()\n')


@pytest.mark.parametrize("name", TEXTS)
def test_an_example_imports_nothing_else(name):
    imported = set()
    for node in ast.walk(ast.parse(TEXTS[name])):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    packages = {x if x.startswith("experiments") else x.split(".")[0] for x in imported}
    assert packages - set(sys.stdlib_module_names) <= ALLOWED | MORE.get(name, set())
