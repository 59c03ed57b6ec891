"""The recipes of COOKBOOK.md, to be run as they stand."""

import re
from types import SimpleNamespace

from experiments.harness.pages import ROOT
from tests.pages import CODE, run

TEXT = (ROOT / "jax_mixup/COOKBOOK.md").read_text()
SETUP = CODE.findall(TEXT)[0]
PARTS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
RECIPES = {part.split("\n", 1)[0]: "".join(CODE.findall(part)) for part in PARTS}


def cooked(title, **given):
    """The names after the recipe of this title, where these are given."""
    return SimpleNamespace(**run(SETUP + RECIPES[title], **given))
