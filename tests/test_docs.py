"""The examples in docstrings run."""

import doctest
import importlib

import pytest

MODULES = ["lmmcore.model", "lmmcore.datasets", "lmmcore.testing.strategies"]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
