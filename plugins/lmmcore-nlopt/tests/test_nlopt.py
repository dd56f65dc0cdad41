"""The rules of an optimizer, and fits."""

import subprocess
import sys
from pathlib import Path

import pytest

import lmmcore
from lmmcore.extension import plugins
from lmmcore.testing import plugin_checks

NAMES = [p.name for p in plugins() if p.distribution == "lmmcore-nlopt"]


@pytest.mark.parametrize("check", plugin_checks("lmmcore-nlopt"), ids=str)
def test_rules(check):
    check(max_examples=10)


@pytest.mark.parametrize("name", NAMES)
def test_fits(name):
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit(method=name)
    assert fit.convergence.optimizer == name
    assert fit.converged
    assert fit.criterion == pytest.approx(1743.6282719584906, abs=1e-6)
    one = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff())
    assert one.fit(method=name).criterion == pytest.approx(319.6542768422609, abs=1e-6)


def test_nlopt_is_imported_when_a_name_is_asked_for():
    code = (
        "import sys, lmmcore; lmmcore.plugins(); assert 'nlopt' not in sys.modules\n"
        "lmmcore.extension.find('optimizer', 'bobyqa'); assert 'nlopt' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


def test_maxiter_counts_evaluations():
    data = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    table = lmmcore.compare_optimizers(model, ["bobyqa"], maxiter=5, start_params=[3.0, 0.0, 3.0])
    assert not table.loc["bobyqa", "converged"]
    assert "maxiter=5" in table.loc["bobyqa", "message"]
