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


def imports_of_each(known):
    return {name: set(imported(name, path, known)) - {name} for name, path in known.items()}


def packages_that_run(name, wanted):
    """Return the packages that Python runs before a module that `name` imports."""
    parts = wanted.split(".")
    above = {".".join(parts[:i]) for i in range(2, len(parts))}
    return {package for package in above if not name.startswith(f"{package}.")} - {name}


def test_the_import_graph_has_no_circle():
    graph = imports_of_each(modules())
    assert "lmmcore.linalg.matrices" in graph["lmmcore.likelihood.profiled"]
    for name, found in graph.items():
        graph[name] = found.union(*(packages_that_run(name, wanted) for wanted in found))
    assert "lmmcore.extension" in graph["lmmcore.likelihood.profiled"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))


def test_a_circle_is_found():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_only_built_in_plugins_import_what_authors_import():
    """Built-in plugins are plugins like any other; the rest of the core imports where a name is defined."""
    built_in = [p for p in lmmcore.plugins() if p.distribution == "lmmcore"]
    members = [p.numbered(2) if "{n}" in p.name else p for p in built_in]
    classes = {base for p in members for base in type(p.implementation).__mro__}
    plugins = {base.__module__ for base in classes}
    plugins |= {
        f"lmmcore.{room}.plugin"
        for room in ("optimizers", "covariance", "penalties", "inference", "residual")
    }
    graph = imports_of_each(modules())
    found = {name for name, wanted in graph.items() if "lmmcore.extension" in wanted}
    assert {"lmmcore.optimizers.newton", "lmmcore.penalties.blocks"} <= found
    found = {name for name in found if not name.startswith("lmmcore.testing.")}
    assert found - plugins == set()


@pytest.mark.parametrize("door", [lmmcore.MixedLM, lmmcore.MixedLMResults])
def test_models_and_results_inherit_nothing(door):
    assert door.__mro__ == (door, object)


def functions():
    """Yield every function with its file and its length without the docstring."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                yield f"{path.relative_to(SOURCE)}: {node.name}", length


def test_a_file_and_a_function_can_be_read_at_a_sitting():
    lines = {
        path.relative_to(SOURCE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCE.rglob("*.py")
    }
    doors = {"model.py", "results.py"}
    assert doors <= set(lines)
    assert {name: n for name, n in lines.items() if n > (350 if name in doors else 450)} == {}
    found = list(functions())
    assert len(found) > 1000
    assert [(name, n) for name, n in found if n > 60] == []
