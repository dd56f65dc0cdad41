"""The better of several optima: drawn models that ended in the lower one, beside a dense referee.

Their numbers are what ten random starts of `asv_bench/referee.py` find; `asv_bench/study_optima.py` runs
many more.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.covariance.lookup import bound_structure
from lmmcore.errors import ConvergenceError
from lmmcore.fitting.starts import is_convex

BENCH = Path(__file__).parents[2] / "asv_bench"


@pytest.fixture(scope="module")
def study():
    if not (BENCH / "study_optima.py").exists():
        pytest.skip("the study comes with the repository")
    sys.path.insert(0, str(BENCH))
    try:
        import study_optima
    finally:
        sys.path.remove(str(BENCH))
    return study_optima


# (structure, number of the drawn model, -2 log-likelihood of the referee)
LOWER = [
    ("csh", 90, 208.888684),
    ("csh", 91, 232.856484),
    ("csh", 97, 310.091686),
    ("csh", 118, 239.049943),
    ("csh", 175, 277.003858),
    ("ar1h", 0, 222.714496),
    ("ar1h", 21, 212.797082),
    ("ar1h", 95, 289.640895),
    ("ar1h", 134, 279.875364),
    ("ar1h", 144, 271.695597),
    ("ar1h", 1138, 285.075795),
    ("toeph", 3, 300.666636),
    ("toeph", 67, 217.601535),
    ("toeph", 192, 291.975262),
    ("toeph", 1050, 206.315096),
    ("fa1", 73, 187.436990),
    ("fa1", 98, 315.581795),
    ("fa1", 119, 306.145553),
    ("fa2", 9, 336.937038),
    ("fa2", 22, 306.570178),
    ("fa2", 136, 356.721147),
    ("toep", 41, 258.053394),
    ("ar1", 15, 218.035811),
    ("ar1", 76, 285.808615),
]


def drawn(study, kind, seed):
    rng = np.random.default_rng([seed, *kind.encode()])
    model = study.drawn_crossed(rng) if kind == "crossed" else study.drawn_structure(kind, rng)
    model.respond(rng)
    return model


@pytest.mark.parametrize(("kind", "seed", "value"), LOWER)
def test_the_better_optimum(study, kind, seed, value):
    model = drawn(study, kind, seed)
    fit = lmmcore.mixedlm(model.formula, model.frame).fit(reml=model.reml)
    assert fit.criterion <= value + 1e-6
    assert fit.converged
    dense, _, _ = model.dense().at(fit.fit.relative)
    assert fit.criterion == pytest.approx(dense, abs=1e-8)


def test_no_optimum_is_called_one(study):
    """Factors and fixed effects can reproduce all rows: ML is unbounded, whatever local optimum it has."""
    model = drawn(study, "crossed", 150)
    with pytest.raises(ConvergenceError, match="unbounded"):
        lmmcore.mixedlm(model.formula, model.frame).fit(reml=model.reml)


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c", "d"]])
def test_which_families_are_convex(names):
    for name in ("us", "diag", "id", "cs", "toep"):
        assert is_convex(bound_structure(name, names, "g"), len(names)), name
    if len(names) > 2:
        for name in ("csh", "ar1", "ar1h", "toeph", "fa1", "rr1"):
            assert not is_convex(bound_structure(name, names, "g"), len(names)), name


def test_given_starts_and_ordinary_models_are_not_searched():
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    assert fit.nfev <= 8
    assert fit.convergence.explored == 0
    cells = data[data["Days"] < 3]
    model = lmmcore.mixedlm("Reaction ~ Days + csh(0 + C(Days) | Subject)", cells)
    found = model.fit()
    again = model.fit(start_params=found.params_object)
    assert found.convergence.explored > 0 == again.convergence.explored
    assert again.criterion == pytest.approx(found.criterion, abs=1e-8)


@pytest.mark.parametrize(
    ("structure", "seeds"), [("cs", (168, 284, *range(20))), ("ar1", (261, *range(20)))]
)
def test_zero_is_no_optimum_if_equal_effects_of_all_columns_are_better(structure, seeds):
    """A random intercept is the member of the family with correlation 1."""
    for seed in seeds:
        rng, k = np.random.default_rng(seed), 3 + seed % 2
        group, cell = (
            a.ravel() for a in np.meshgrid(range(12), np.repeat(range(k), 2), indexing="ij")
        )
        data = pd.DataFrame({"g": group, "cell": cell, "y": rng.standard_normal(len(group))})
        whole = lmmcore.mixedlm("y ~ 1 + (1 | g)", data).fit()
        fit = lmmcore.mixedlm(f"y ~ 1 + {structure}(0 + C(cell) | g)", data).fit()
        assert fit.llf >= whole.llf - 1e-6
