"""The examples in docstrings and the code of the pages run."""

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
from lmmcore.plugin_host.manager import manager

MODULES = [m.name for m in pkgutil.walk_packages(lmmcore.__path__, "lmmcore.")]


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__main__")])
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    for name in ("lmmcore.model", "lmmcore.datasets", "lmmcore.inference.tests"):
        found = finder.find(importlib.import_module(name))
        assert sum(len(one.examples) for one in found) > 0, name


ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))),
]
BLOCK = re.compile(r"^(?:<!-- not run: (.+) -->\n\n?)?```(\w*)\n(.*?)^```", re.M | re.S)


def blocks_of(page):
    """Reason not to run it (or ""), and code, of each block of Python in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        (reason, code) for reason, language, code in BLOCK.findall(text) if language == "python"
    ]


WITH_CODE = [page for page in PAGES if blocks_of(page)]


def test_pages_with_code():
    """A page whose code were no longer found would pass without a word."""
    assert WITH_CODE == [
        "README.md",
        "docs/convergence.md",
        "docs/covariance_structures.md",
        "docs/data.md",
        "docs/formulas.md",
        "docs/from_statsmodels.md",
        "docs/inference.md",
        "docs/meta_analysis.md",
        "docs/optimizers.md",
        "docs/penalties.md",
        "docs/pictures.md",
        "docs/residuals.md",
        "docs/tables.md",
        "docs/write_a_plugin.md",
    ]
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert len(blocks_of(page)) == len(re.findall(r"^\s*```py", text, re.M)), page


def test_all_code_runs():
    """A page can mark a block that cannot run by a comment before it; none needs to today."""
    assert [reason for page in WITH_CODE for reason, _ in blocks_of(page) if reason] == []


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_runs(page, capsys, monkeypatch):
    """All Python of a page, in order, in one module."""
    module = types.ModuleType("code_of_a_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # so that its classes can be pickled
    try:
        for reason, block in blocks_of(page):
            if not reason:
                exec(compile(block, page, "exec"), module.__dict__)
        assert capsys.readouterr().out or "print(" not in "".join(b for _, b in blocks_of(page))
    finally:
        for plugin in manager().get_plugins():
            if type(plugin).__module__ == module.__name__:
                extension.unregister(plugin)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Files that a page links to, and headings inside of them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, heading = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            assert heading in anchors, target


def test_the_summary_in_the_readme_is_that_of_the_command(capsys):
    """But for the times, which differ from run to run."""
    from lmmcore.__main__ import main

    main(["fit", "Reaction ~ Days + (Days | Subject)", "sleepstudy"])

    def without_time(text):
        text = re.sub(r", [\d.e-]+ s$", "", text, flags=re.M)
        return re.sub(r"decrement [\d.e-]+", "decrement", text).strip()

    shown = re.search(
        r"^```text\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    assert without_time(shown[1]) == without_time(capsys.readouterr().out)
