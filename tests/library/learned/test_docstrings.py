"""Docstrings of learned mixes are as the core has them."""

import doctest
import inspect

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jax_mixup as jm
from jax_mixup import learned
from tests.library import test_api


@pytest.mark.parametrize("name", learned.__all__)
def test_the_docstrings_are_as_the_core_has_them(name, monkeypatch):
    public = getattr(learned, name)
    monkeypatch.setitem(test_api.PUBLIC, name, public)
    if not isinstance(public, type):
        monkeypatch.setitem(test_api.FUNCTIONS, name, public)
        parameters = inspect.signature(public).parameters.values()
        assert next(iter(parameters)).name == "key"
        for p in parameters:
            assert p.annotation is not p.empty
            assert p.default is p.empty or p.kind is p.KEYWORD_ONLY
    test_api.test_docstring(name)
    runner = doctest.DocTestRunner()
    globs = {"jm": jm, "jax": jax, "jnp": jnp, "nnx": nnx, "learned": learned}
    for test in doctest.DocTestFinder(recurse=False).find(public, name, globs=globs):
        runner.run(test)
    assert runner.tries and not runner.failures
