"""The table of mutants names text and tests that are there."""

import re

import pytest

from tests.library.mutants import MUTANTS, ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_what_a_mutant_changes_and_who_notices_are_there(mutant):
    text = (ROOT / "jax_mixup" / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, "the text is gone, or there twice: write the mutant anew"
    assert mutant.old != mutant.new
    for node in mutant.nodes:
        path, name = node.split("::")
        tests = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", tests, re.MULTILINE), f"no test {name} in {path}"
