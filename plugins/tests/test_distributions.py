"""Each distribution in this folder: found once installed, suggested once not, and what it imports."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
# A fit that needs the distribution, and a name that it brings.
FITS = {
    "lmmcore-example": ("optimizer", "compass", "mixedlm('Yield ~ (1 | Batch)', d).fit(method='compass')"),
    "lmmcore-nlopt": ("optimizer", "bobyqa", "mixedlm('Yield ~ (1 | Batch)', d).fit(method='bobyqa')"),
    "lmmcore-spatial": ("covariance", "exp", "mixedlm('Yield ~ exp(0 + C(i) | Batch)', d).fit()"),
}  # fmt: skip


def test_all_are_here():
    assert sorted(FITS) == sorted(p.parent.name for p in FOLDER.glob("*/pyproject.toml"))


@pytest.mark.parametrize("name", FITS)
def test_installed_and_uninstalled(name, tmp_path):
    """In a fresh environment with lmmcore, which is that of the tests seen from a new one."""
    kind, plugin, fit = FITS[name]
    run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")])
    paths = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    python = Path(sysconfig.get_path("scripts", "venv", paths)) / Path(sys.executable).name
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    # What the environment of the tests has, editable installations with it.
    outer = sysconfig.get_path("purelib")
    (site / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
    code = "import lmmcore; d = lmmcore.datasets.load_dyestuff(); d['i'] = d.groupby('Batch').cumcount()\n"
    code += f"print(lmmcore.{fit}.converged)"
    before = failing([python, "-c", code])
    if "install" not in before:
        pytest.skip(f"{name} is installed in the environment of the tests")
    suggested = (
        f"{kind} '{plugin}' is not installed; it is part of the distribution {name}. In a clone of "
        f"lmmcore, or its unpacked source distribution, install it with: pip install ./plugins/{name}"
    )
    assert suggested in before
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # Built outside: the new environment sees the outer one's setuptools.
    run([*pip, "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(FOLDER / name)])
    inside = [*pip, "--python", str(python)]
    run([*inside, "install", "--quiet", *map(str, tmp_path.glob("*.whl"))])
    assert run([python, "-c", code]).strip() == "True"
    assert f"{kind:11} {plugin} " in run([python, "-m", "lmmcore", "plugins"])
    run([*inside, "uninstall", "--quiet", "--yes", name])
    assert suggested in failing([python, "-c", code])


@pytest.mark.parametrize("name", FITS)
def test_it_imports_nothing_of_lmmcore_but_the_extension(name):
    package = FOLDER / name / name.replace("-", "_")
    assert list(package.glob("*.py"))
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            for module in modules:
                assert module == "lmmcore.extension" or module.split(".")[0] != "lmmcore", path


@pytest.mark.parametrize("name", FITS)
def test_lmmcore_knows_the_names_that_it_brings(name):
    """The data file from which an error suggests a distribution."""
    package = name.replace("-", "_")
    code = (
        f"import json, {package}.plugin as p; out = {{}}\n"
        "for kind in ('optimizers', 'covariances', 'penalties', 'ddf'):\n"
        "    found = []\n"
        "    hook = getattr(p, 'lmmcore_' + kind, None)\n"
        "    hook and hook(register=lambda name, *rest: found.append(name))\n"
        "    out[kind] = found\n"
        "print(json.dumps(out))"
    )
    path = os.pathsep.join([str(FOLDER / name), os.environ.get("PYTHONPATH", "")])
    found = json.loads(run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}))
    text = files("lmmcore.plugin_host").joinpath("known_distributions.json").read_text()
    kinds = {
        "optimizers": "optimizer",
        "covariances": "covariance",
        "penalties": "penalty",
        "ddf": "ddf",
    }
    for hook, names in found.items():
        assert sorted(json.loads(text)[kinds[hook]].get(name, [])) == sorted(names)


def run(command, **keywords):
    # Not from the root of the clone, where an uncompiled lmmcore lies.
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=FOLDER, **keywords
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def failing(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    return done.stderr if done.returncode else ""
