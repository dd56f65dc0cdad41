"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil
import re
import sys
import types
from pathlib import Path

import pytest

import lmmcore
from lmmcore import extension
from lmmcore.extension.manager import manager

MODULES = [m.name for m in pkgutil.walk_packages(lmmcore.__path__, "lmmcore.")]


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__main__")])
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    for name in ("lmmcore.model", "lmmcore.datasets", "lmmcore.inference.tests"):
        found = finder.find(importlib.import_module(name))
        assert sum(len(one.examples) for one in found) > 0, name


DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    "page",
    ["write_a_plugin.md", "optimizers.md", "covariance_structures.md", "data.md", "convergence.md"],
)
def test_the_code_of_a_page_runs(page, capsys, monkeypatch):
    """All Python of a page, in order, in one module."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    assert blocks
    module = types.ModuleType("code_of_a_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # so that its classes can be pickled
    try:
        for block in blocks:
            exec(compile(block, page, "exec"), module.__dict__)
        assert capsys.readouterr().out  # each page prints a table
    finally:
        for plugin in manager().get_plugins():
            if type(plugin).__module__ == module.__name__:
                extension.unregister(plugin)
