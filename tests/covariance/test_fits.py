"""Fits with covariance structures: glmmTMB and nlme, special cases, arguments, inference."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st

import lmmcore
from lmmcore import MixedLM
from lmmcore.covariance.linear import KnownMatrix
from lmmcore.errors import DataValueError, FormulaError, OptionError

FOLDER = Path(__file__).parents[1] / "reference"
STORED = json.loads((FOLDER / "structures.json").read_text())
MORE = json.loads((FOLDER / "structures_more.json").read_text())
KNOWN = 0.6 ** abs(np.subtract.outer(np.arange(4), np.arange(4))) + 0.5 * np.eye(4)


def repeated():
    return pd.read_csv(FOLDER / "data" / "repeated.csv")


def fitted(structure, reml=True, data=None):
    data = repeated() if data is None else data
    return lmmcore.mixedlm(f"y ~ x + C(time) + {structure}(0 + C(time) | g)", data).fit(reml=reml)


@pytest.mark.parametrize("stored", STORED, ids=[f"{s['name']}-{s['reml']}" for s in STORED])
def test_beside_r(stored):
    fit = fitted(stored["name"].removesuffix("_nlme"), stored["reml"])
    assert fit.converged
    assert fit.llf == pytest.approx(stored["loglik"], abs=1e-6)
    assert fit.llf >= stored["loglik"] - 1e-9
    assert np.sqrt(fit.scale) == pytest.approx(stored["sigma"], rel=1e-5)
    np.testing.assert_allclose(fit.cov_re, stored["cov"], atol=2e-4)
    beta = fit.fe_params[["Intercept", "x", *[f"C(time)[T.{i}]" for i in (1, 2, 3)]]]
    np.testing.assert_allclose(beta, stored["beta"], atol=1e-4)
    assert fit.nfev <= 15


@pytest.mark.parametrize("stored", MORE, ids=[f"{s['name']}-{s['reml']}" for s in MORE])
def test_beside_r_where_its_packages_have_no_such_term(stored):
    if stored["name"] == "known":
        known = lmmcore.KnownMatrix(KNOWN)
        model = lmmcore.mixedlm(
            "y ~ x + C(time) + (0 + C(time) | g)", repeated(), covariance={"g": known}
        )
        fit = model.fit(reml=stored["reml"])
    else:
        fit = fitted(stored["name"], stored["reml"])
    assert fit.converged
    assert fit.llf == pytest.approx(stored["loglik"], abs=1e-6)
    assert fit.llf >= stored["loglik"] - 1e-9
    assert np.sqrt(fit.scale) == pytest.approx(stored["sigma"], rel=1e-5)
    np.testing.assert_allclose(fit.cov_re, stored["cov"], atol=2e-4)
    beta = fit.fe_params[["Intercept", "x", *[f"C(time)[T.{i}]" for i in (1, 2, 3)]]]
    np.testing.assert_allclose(beta, stored["beta"], atol=1e-4)


def test_full_families_equal_the_unstructured_fit():
    data = repeated()
    assert fitted("toep4").criterion == pytest.approx(fitted("toep").criterion, abs=1e-8)
    assert fitted("toeph5").criterion == pytest.approx(fitted("toeph").criterion, abs=1e-8)
    for one, other in (("toep1", "id"), ("toeph1", "diag")):
        assert fitted(one).criterion == pytest.approx(fitted(other).criterion, abs=1e-8)
    whole = fitted("us", data=data).criterion
    for name in ("fa4", "fa3", "rr4", "rr5"):
        assert fitted(name, data=data).criterion == pytest.approx(whole, abs=1e-6), name
    sleep = lmmcore.datasets.load_sleepstudy()
    whole = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", sleep).fit()
    for name in (
        "csh",
        "hcs",
        "ar1h",
        "har1",
        "toeph",
        "toeph2",
        "fa2",
        "rr2",
        "us",
        "unstructured",
    ):
        fit = lmmcore.mixedlm(f"Reaction ~ Days + {name}(Days | Subject)", sleep).fit()
        assert fit.criterion == pytest.approx(whole.criterion, abs=1e-8), name
        np.testing.assert_allclose(fit.random_effects_frame, whole.random_effects_frame, rtol=1e-5)
    for name in ("csh", "ar1h", "toeph"):
        fit = lmmcore.mixedlm(f"Reaction ~ Days + {name}(Days | Subject)", sleep).fit()
        cov, expected = np.asarray(fit.cov_params()), np.asarray(whole.cov_params())
        size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        np.testing.assert_allclose(cov / size, expected / size, atol=1e-8)
        mine, theirs = fit.covariance_parameters, whole.covariance_parameters
        np.testing.assert_allclose(mine["estimate"], theirs["estimate"], rtol=1e-6)
        np.testing.assert_allclose(mine["std_err"], theirs["std_err"], rtol=1e-5)


def test_equal_models_by_other_spellings():
    data = repeated()
    # A compound symmetric matrix is an intercept's variance plus an identity.
    cs = fitted("cs", data=data)
    both = lmmcore.MixedLM.from_formula(
        "y ~ x + C(time)", data, "1", {"t": "0 + C(time)"}, groups="g"
    ).fit()
    assert cs.criterion == pytest.approx(both.criterion, abs=1e-8)
    one = lmmcore.mixedlm("y ~ x + C(time) + (1 | g)", data).fit()
    ones = KnownMatrix(np.ones((4, 4)))
    known = lmmcore.mixedlm("y ~ x + C(time) + (0 + C(time) | g)", data, covariance=ones).fit()
    assert known.criterion == pytest.approx(one.criterion, abs=1e-8)
    by_argument = lmmcore.mixedlm(
        "y ~ x + C(time) + (0 + C(time) | g)", data, covariance={"g": "cs"}
    ).fit()
    assert by_argument.criterion == pytest.approx(cs.criterion, abs=1e-10)
    z = np.eye(4)[data["time"]]
    x = np.column_stack([np.ones(len(data)), data["x"], z[:, 1:]])
    arrays = MixedLM(data["y"], x, data["g"], exog_re=z, covariance="CS").fit()
    assert arrays.criterion == pytest.approx(cs.criterion, abs=1e-8)


@examples(15)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(["cs", "csh", "ar1", "toep", "fa1", "rr1", "id"]),
    st.booleans(),
)  # fmt: skip
def test_gradient_and_hessian_by_differences(seed, name, reml):
    """Any structure, columns of very different size, any point."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(8), 7)
    z = np.column_stack([np.ones(56), rng.standard_normal((56, 2)) * 10.0 ** rng.uniform(-2, 2, 2)])
    y = rng.standard_normal(56) + rng.standard_normal(8)[g]
    model = MixedLM(y, z[:, :2], g, exog_re=z, covariance=name)
    likelihood = model.equations.likelihood(reml)
    theta = rng.uniform(0.2, 1.2, likelihood.n_parameters)
    _, gradient, hessian = likelihood.value_gradient_hessian(theta)
    size = 1e-6 + np.abs(gradient).max()
    for i in range(len(theta)):
        h = np.zeros(len(theta))
        h[i] = 1e-5
        slope = (likelihood.value(theta + h) - likelihood.value(theta - h)) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-6 * size)
        up = likelihood.value_gradient_hessian(theta + h)[1]
        down = likelihood.value_gradient_hessian(theta - h)[1]
        np.testing.assert_allclose(
            hessian[i], (up - down) / 2e-5, rtol=1e-4, atol=1e-5 * (1 + np.abs(hessian).max())
        )


def test_results_in_the_terms_of_the_structure():
    fit = fitted("ar1")
    table = fit.covariance_parameters
    assert table["parameter"].tolist() == ["sd", "corr(lag 1)"]
    assert table["estimate"].iloc[0] == pytest.approx(np.sqrt(fit.cov_re.iloc[0, 0]))
    rho = fit.cov_re.iloc[0, 1] / fit.cov_re.iloc[0, 0]
    assert table["estimate"].iloc[1] == pytest.approx(rho)
    # Standard errors by the profile of the likelihood around the optimum.
    assert 0.01 < table["std_err"].iloc[1] < 0.2
    text = str(fit.summary())
    assert "corr(lag 1)" in text
    assert "nan" not in text.lower()
    ml = fitted("ar1", reml=False)
    assert ml.aic == pytest.approx(-2 * ml.llf + 2 * (5 + 2 + 1))
    assert len(fit.theta) == 2
    assert fit.cov_params().shape == (15, 15)


def test_a_structure_on_the_boundary():
    """No variation between groups: zero is found and said, by every structure."""
    rng = np.random.default_rng(4)
    data = repeated().assign(y=rng.standard_normal(320))
    data["y"] -= data.groupby(["g"])["y"].transform("mean")
    for name in ("cs", "csh", "ar1", "toep", "id", "fa1", "diag"):
        fit = fitted(name, data=data)
        assert fit.converged, name
        assert np.linalg.eigvalsh(fit.cov_re)[0] > -1e-12
        whole = fitted("us", data=data).criterion
        assert fit.criterion >= whole - 1e-6, name


def test_bad_arguments():
    data = repeated()
    formula = "y ~ x + (0 + C(time) | g)"
    for covariance, error, match in (
        ("cz", OptionError, "'cz' is not known"),
        ({"h": "cs"}, OptionError, "'h', which is not a grouping factor"),
        (3, OptionError, "covariance=3 has no n_parameters"),
        (KnownMatrix(np.eye(3)), DataValueError, "3 x 3; expected 4 x 4"),
    ):
        with pytest.raises(error, match=match):
            lmmcore.mixedlm(formula, data, covariance=covariance).fit()
    with pytest.raises(OptionError, match="use only one of the two"):
        lmmcore.mixedlm("y ~ x + cs(0 + C(time) | g)", data, covariance="ar1")
    with pytest.raises(FormulaError, match="one bar with the structure"):
        lmmcore.mixedlm("y ~ x + cs(0 + C(time) || g)", data)
    with pytest.raises(OptionError, match="'log' is not known"):
        lmmcore.mixedlm("y ~ log(x | g)", data).fit()
    fit = lmmcore.mixedlm("y ~ I((x > 0) | (time > 1)) + (1 | g)", data).fit()
    assert fit.k_fe == 2


def test_parameters_with_several_values_have_no_standard_error():
    """One common factor of two columns: four parameters for three entries of a covariance matrix."""
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + fa1(1 + Days | Subject)", data).fit()
    plain = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    assert fit.llf == pytest.approx(plain.llf, abs=1e-6)
    found = fit.covariance_parameters.set_index("parameter")["std_err"]
    expected = plain.covariance_parameters.set_index("parameter")["std_err"]
    own = [name for name in found.index if "loading" in name or "own" in name]
    assert len(own) == 4
    assert found[own].isna().all()
    rest = found.drop(own)
    np.testing.assert_allclose(rest, expected[rest.index], rtol=1e-4)
    note = (
        "(Intercept + Days | Subject) has 4 parameters for 3 variances and covariances: those without a "
        "standard error are one choice of many"
    )
    assert fit.cov_params_note == note
    assert note in str(fit.summary())
    assert plain.cov_params_note == ""
    assert "one choice" not in str(plain.summary())


def test_a_common_factor_of_three_columns_has_standard_errors():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(60), 9)
    data = pd.DataFrame(rng.standard_normal((540, 2)), columns=["a", "b"]).assign(g=g)
    effects = rng.standard_normal((60, 1)) * [1, 0.8, -0.6] + 0.7 * rng.standard_normal((60, 3))
    z = data[["a", "b"]].assign(one=1.0)[["one", "a", "b"]].to_numpy()
    data["y"] = (z * effects[g]).sum(axis=1) + rng.standard_normal(540)
    fit = lmmcore.mixedlm("y ~ a + b + fa1(1 + a + b | g)", data).fit()
    assert not fit.convergence.boundary
    assert fit.covariance_parameters["std_err"].between(0.01, 1.0).all()
