"""What pyproject.toml and the README promise; .ci/run builds and installs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_lower_bounds_are_those_that_are_tested():
    requirements = pytest.importorskip("packaging.requirements")
    version = pytest.importorskip("packaging.version").Version
    lines = (ROOT / ".ci" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    bounds = {}
    extras = PROJECT["project"]["optional-dependencies"]
    given = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]]
    for text in [*given, *extras["test"], *extras["parquet"], *extras["plot"]]:
        requirement = requirements.Requirement(text)
        (bound,) = requirement.specifier
        assert bound.operator == ">="
        bounds.setdefault(requirement.name, set()).add(version(bound.version))
    assert bounds == {name: {version(number)} for name, number in pinned.items()}


def test_the_readme_installs_so_that_its_next_lines_work():
    """From within the clone: the first two commands are editable installations."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [line for line in text.splitlines() if line.startswith("pip install")]
    assert commands[0].startswith('pip install -e . && lmmcore fit "Reaction')
    assert commands[1].startswith('pip install -e ".[test]" && pytest ')


@pytest.mark.parametrize("module", ["scipy.stats", "scipy.optimize", "matplotlib", "hypothesis"])
def test_import_leaves_for_later_what_is_heavy(module):
    code = f"import sys, lmmcore; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_fit_and_its_summary_need_no_scipy_stats():
    code = (
        "import sys, lmmcore\n"
        "data = lmmcore.datasets.load_sleepstudy()\n"
        "fit = lmmcore.mixedlm('Reaction ~ Days + (Days | Subject)', data).fit()\n"
        "str(fit.summary()), fit.t_test('Days = 0'), fit.wald_test('Days = 0')\n"
        "sys.exit('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hooks_and_workflows_name_the_versions_of_the_project():
    dev = PROJECT["project"]["optional-dependencies"]["dev"]
    (ruff,) = (line.partition("==")[2] for line in dev if line.startswith("ruff=="))
    assert f"rev: v{ruff} " in (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    prefix = "Programming Language :: Python :: 3."
    versions = [
        c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"] if c.startswith(prefix)
    ]
    assert "python: [{}]".format(", ".join(f'"{v}"' for v in versions)) in workflow
    assert "os: [ubuntu-latest, macos-latest, windows-latest]" in workflow
