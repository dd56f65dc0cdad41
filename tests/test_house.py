"""How the modules stand on each other."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lmmcore

SOURCE = Path(lmmcore.__file__).parent


def modules():
    """Return the path of each module by its name; compiled ones count."""
    found = {}
    for path in [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")]:
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name, path, known):
    """Return what a module imports, in functions and for annotations too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]) if base else ".".join(above)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in known or base in known:
                    yield inner if inner in known else base


def test_the_import_graph_has_no_circle():
    known = modules()
    graph = {name: set(imported(name, path, known)) - {name} for name, path in known.items()}
    assert "lmmcore.linalg.matrices" in graph["lmmcore.likelihood.profiled"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))


def test_a_circle_is_found():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


@pytest.mark.parametrize("door", [lmmcore.MixedLM, lmmcore.MixedLMResults])
def test_models_and_results_inherit_nothing(door):
    assert door.__mro__ == (door, object)
