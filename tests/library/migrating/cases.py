"""What the tests of this folder share: the numbers, and the code that the page shows."""

import re
from pathlib import Path

import jax

from tests.library.parity import cases

FILES = Path(__file__).parent
PAGE = (Path(__file__).parents[3] / "jax_mixup/MIGRATING.md").read_text()
CODE = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)


class Case(cases.Case):
    """The arrays of one file of this folder, as attributes."""

    def __init__(self, name):
        super().__init__(FILES / name)  # an absolute path, which replaces the other folder


def shown(title, *, blocks=slice(None), **given):
    """Run the page's code below this heading as a reader would; return all names after it."""
    (section,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.M)
    source = CODE.findall(PAGE)[0] + "".join(CODE.findall(section)[blocks])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(source, given)
    return given
