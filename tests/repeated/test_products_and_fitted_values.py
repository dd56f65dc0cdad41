"""Products of structures and of variance functions, bands, variances of the fitted values, identification."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import (
    ConvergenceWarning,
    DataValueError,
    DesignError,
    NameNotFoundError,
    NotIdentifiedWarning,
    OptionError,
)
from lmmcore.repeated import fixed_point


@pytest.fixture(scope="module")
def growth():
    data = lmmcore.datasets.load_orthodont()
    return data.assign(visit=data.age.astype("category"))


@pytest.fixture(scope="module")
def two():
    """Two outcomes at four visits of 40 subjects, some missing."""
    rng = np.random.default_rng(0)
    rows = [(g, o, t) for g in range(40) for o in "ab" for t in range(4)]
    data = pd.DataFrame(rows, columns=["g", "o", "t"])
    r = np.kron([[1, 0.5], [0.5, 2]], 0.6 ** np.abs(np.subtract.outer(range(4), range(4))))
    data["y"] = (np.linalg.cholesky(r) @ rng.standard_normal((8, 40))).T.ravel()
    return data.sample(frac=0.9, random_state=1)


CASES = {
    "gls": ("distance ~ age * Sex", None, "power(fitted)"),
    "ar1": ("distance ~ age * Sex", "ar1(visit | Subject)", "exp(fitted)"),
    "mixed": ("distance ~ age * Sex + (1 | Subject)", None, "power(fitted)"),
    "product": ("distance ~ age + (1 | Subject)", None, "by(Sex) * power(fitted)"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fitted_values_are_a_fixed_point(growth, case):
    """The fit with the fitted values as a column is the same fit."""
    formula, residual, variance = CASES[case]
    build = lmmcore.mixedlm if "|" in formula else lmmcore.gls
    found = build(formula, growth, residual=residual, variance=variance).fit()
    assert found.converged
    data = growth.assign(v=np.asarray(found.fittedvalues))
    again = build(formula, data, residual=residual, variance=variance.replace("fitted", "v")).fit()
    assert again.llf == pytest.approx(found.llf, abs=1e-6)
    np.testing.assert_allclose(again.fittedvalues, found.fittedvalues, rtol=1e-5)
    np.testing.assert_allclose(
        again.covariance_parameters.estimate, found.covariance_parameters.estimate, rtol=2e-3
    )
    with pytest.raises(OptionError, match="depends on the fixed effects"):
        found.t_test(np.eye(len(found.fe_params)), ddf="kenward-roger")


def test_a_fixed_point_that_is_not_reached(growth, monkeypatch):
    monkeypatch.setattr(fixed_point, "ROUNDS", 1)
    with pytest.warns(ConvergenceWarning, match="not the function of the fitted values"):
        found = lmmcore.gls("distance ~ age * Sex", growth, variance="power(fitted)").fit()
    assert not found.converged


def test_separable_is_kroneckers_product(two):
    found = lmmcore.gls("y ~ o", two, "un(o) * ar1(t) | g").fit()
    table = found.covariance_parameters.set_index("parameter").estimate
    whole = found.residual_covariance()
    ratio, rho, corr = table["sd(b) / sd(a) [o]"], table["rho [t]"], table["corr(a, b) [o]"]
    between = np.array([[1.0, corr * ratio], [corr * ratio, ratio**2]])
    within = rho ** np.abs(np.subtract.outer(range(4), range(4)))
    expected = table["sigma"] ** 2 * np.kron(between, within)
    np.testing.assert_allclose(whole, expected, rtol=1e-10)
    assert list(whole.index) == [f"{o}, t {t}" for o in "ab" for t in range(4)]
    objects = lmmcore.residual_structure("un", "o", groups="g") * lmmcore.residual_structure(
        "ar1", "t"
    )
    again = lmmcore.gls("y ~ o", two, objects).fit()
    assert again.llf == found.llf
    assert str(objects) == "un(o) * ar1(t) | g"


def test_a_product_of_one_visit_is_its_other_factor(two):
    data = two[two.t == 0]
    data = data[data.groupby("g").g.transform("size") == 2].assign(visit="first")
    found = lmmcore.gls("y ~ o", data, "un(o) * diag(visit) | g").fit()
    assert found.llf == pytest.approx(lmmcore.gls("y ~ o", data, "un(o | g)").fit().llf, abs=1e-8)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("toep(visit | Subject, bands=2)", "toep(visit | Subject)"),
        ("un(visit | Subject, bands=2)", "un(visit | Subject, bands=3)"),
        ("diag(visit | Subject)", "un(visit | Subject, bands=2)"),
        ("toep(visit | Subject, bands=1)", "toep(visit | Subject, bands=2)"),
    ],
)
def test_bands(growth, small, large):
    one, two_ = (lmmcore.gls("distance ~ age", growth, x).fit(reml=False) for x in (small, large))
    assert one.llf <= two_.llf + 1e-9
    corr = one.residual_correlation().to_numpy()
    bands = 1 if "diag" in small else int(small.split("=")[1][0])
    beyond = np.abs(np.subtract.outer(range(4), range(4))) >= bands
    assert np.all(corr[beyond] == 0.0)
    if not small.startswith("diag"):
        assert "npar" in str(lmmcore.anova(one, two_))


def test_products_of_variance_functions(growth):
    text = lmmcore.gls("distance ~ age", growth, variance="by(Sex) * power(age)").fit()
    term = lmmcore.variance_function("by", "Sex") * lmmcore.variance_function("power", "age")
    objects = lmmcore.gls("distance ~ age", growth, variance=term).fit()
    assert objects.llf == text.llf
    one = lmmcore.gls("distance ~ age", growth, variance="by(Sex)").fit(reml=False)
    table = lmmcore.anova(one, lmmcore.gls("distance ~ age", growth, variance=term).fit(reml=False))
    assert "npar" in str(table)
    ratio, power, sigma = text.covariance_parameters.estimate
    sd = np.where(growth.Sex == "Female", ratio, 1.0) * growth.age**power * sigma
    expected = (growth.distance - text.fittedvalues) / sd
    np.testing.assert_allclose(text.residuals("pearson"), expected, rtol=1e-8)


QUESTIONS = {
    "a factor without coordinates": ("un(o) * ar1(1) | g", OptionError, "coordinates of its own"),
    "a coordinate twice": ("un(o) * ar1(o) | g", OptionError, "coordinates of its own"),
    "groups twice": ("un(o | g) * ar1(t | o)", OptionError, "the groups are"),
    "strata in a product": ("un(o) * ar1(t, by=o) | g", OptionError, "by= in a product"),
    "an unknown column": ("un(o) * ar1(time) | g", NameNotFoundError, "'time' is no column"),
    "an unknown structure": ("un(o) * ar7(t) | g", OptionError, "ar7"),
    "numbers for named visits": ("un(t) * ar1(o) | g", OptionError, "expected a categorical variable"),
    "too many bands": ("toep(t | o, bands=9)", OptionError, "from 1 to 4"),
    "bands as text": ("toep(t | o, bands='x')", OptionError, "from 1 to 4"),
    "bands of another structure": ("ar1(t | g, bands=2)", OptionError, "no option 'bands'"),
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_bad_structures(two, question):
    text, error, words = QUESTIONS[question]
    with pytest.raises(error, match=words):
        lmmcore.gls("y ~ o", two, text)


def test_two_rows_at_one_place(two):
    data = pd.concat([two, two.iloc[[5]]], ignore_index=True)
    row = len(data) - 1
    with pytest.raises(
        DataValueError, match=rf"the rows 5 and {row} of the group \d+ have the same o and t"
    ):
        lmmcore.gls("y ~ o", data, "un(o) * ar1(t) | g")


@pytest.mark.parametrize(
    "text", ["by(fitted)", "fixed(fitted)", "power(age) * power(age)", "power(age) *"]
)
def test_bad_variances(growth, text):
    with pytest.raises(OptionError, match="variance="):
        lmmcore.gls("distance ~ age", growth, variance=text)
    with pytest.raises(OptionError, match="expected one of by, power"):
        lmmcore.variance_function("square", "age")


def drawn():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 4), "t": np.tile(np.arange(4), 20)})
    data["x"], data["s"] = rng.standard_normal(80), np.where(np.arange(80) == 7, "b", "a")
    data["y"] = data.x + rng.standard_normal(20)[data.g] + rng.standard_normal(80)
    return data.assign(visit=data.t.astype("category"))


@pytest.mark.parametrize(
    ("formula", "keywords", "words"),
    [
        ("y ~ x + (1 | g)", {"residual": "cs(1 | g)"}, r"variances of \(1 \| g\) and rho of cs"),
        ("y ~ x + (1 | g)", {"residual": "un(visit | g)"}, r"variances of \(1 \| g\) and .* of un"),
        ("y ~ x + s", {"variance": "by(s)"}, r"nothing about sd\(b\) / sd\(a\)"),
    ],
)
def test_what_the_data_cannot_tell_apart_is_named(formula, keywords, words):
    build = lmmcore.mixedlm if "|" in formula else lmmcore.gls
    with pytest.warns(NotIdentifiedWarning, match=words):
        found = build(formula, drawn(), **keywords).fit()
    assert not found.convergence.identified
    assert found.covariance_parameters.std_err.isna().all()


def test_groups_of_one_row():
    with pytest.raises(DesignError, match="every group has one row"):
        lmmcore.gls("y ~ x", drawn().drop_duplicates("g"), "ar1(t | g)")
