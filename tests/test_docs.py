"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import lmmcore

MODULES = [m.name for m in pkgutil.walk_packages(lmmcore.__path__, "lmmcore.")]


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__main__")])
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    for name in ("lmmcore.model", "lmmcore.datasets", "lmmcore.inference.inference"):
        found = finder.find(importlib.import_module(name))
        assert sum(len(one.examples) for one in found) > 0, name
