"""Penalized fits of models: penalties by name, joint variances, more columns than rows, bad input."""

import pickle

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataValueError, DesignError, OptionError, PluginError
from lmmcore.penalties import MCP, Lasso
from lmmcore.testing import DenseModel


def data(seed=1, n=240, p=8, q=40, sd=0.8):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    g = np.repeat(np.arange(q), n // q)
    y = 3 + x[:, 0] - x[:, 1] + sd * rng.standard_normal(q)[g] + rng.standard_normal(n)
    return y, np.column_stack([np.ones(n), x]), g


def covariance(fit):
    """V of the rows, σ² included."""
    z = fit.model.exog_re
    g = fit.model.groups
    return z @ np.asarray(fit.cov_re) @ z.T * (g[:, None] == g) + fit.scale * np.eye(len(g))


NAMES = [
    "lasso",
    "ridge",
    "elastic_net",
    "adaptive_lasso",
    "group_lasso",
    "scad",
    "mcp",
    "slope",
    "fused",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reml", [False, True])
def test_joint_fits_are_stationary_in_both(name, reml):
    y, x, g = data()
    model = MixedLM(y, x, g)
    fit = model.fit_regularized(
        method=name, alpha=40, unpenalized="constant", variances="joint", reml=reml
    )
    beta = np.asarray(fit.fe_params)
    assert fit.residual < 1e-7
    assert np.isnan(fit.gap) or fit.gap < 1e-9 * len(y)
    # Slopes of the dense likelihood in β, and its maximum in the variances.
    v = covariance(fit)
    slope = x.T @ np.linalg.solve(v, y - x @ beta)
    assert abs(slope[0]) < 1e-4
    if name == "lasso":
        on = beta != 0
        on[0] = False
        limit = 20 / np.sqrt(fit.scale)
        np.testing.assert_allclose(slope[on], limit * np.sign(beta[on]), atol=1e-5)
        assert np.all(np.abs(slope[~on]) <= limit + 1e-5)
    dense = DenseModel.from_groups(
        y - x[:, 1:] @ beta[1:], x[:, :1], g, [np.ones((len(y), 1))], None, reml
    )
    ratio = float(np.asarray(fit.cov_re)[0, 0]) / fit.scale
    at = [dense.criterion([np.array([[ratio * t]])]) for t in (0.999, 1.0, 1.001)]
    assert at[1] <= min(at[0], at[2]) + 1e-7
    assert fit.criterion == pytest.approx(at[1], rel=1e-9)


def test_joint_variances_are_those_of_what_is_selected():
    """Held ones have all columns in them, and α counts in units of σ."""
    y, x, g = data(sd=0.4)
    model = MixedLM(y, x, g)
    joint = model.fit_regularized(alpha=200, unpenalized="constant", reml=False, variances="joint")
    assert joint.rounds > 1
    assert joint.scale > model.fit(reml=False).scale
    other = MixedLM(7.0 * y, x, g).fit_regularized(
        alpha=200, unpenalized="constant", reml=False, variances="joint"
    )
    np.testing.assert_allclose(np.asarray(other.fe_params) / 7.0, joint.fe_params, atol=1e-7)


def test_interface_of_a_joint_fit():
    y, x, g = data()
    frame = pd.DataFrame(x[:, 1:], columns=list("abcdefgh")).assign(y=y, g=g)
    model = lmmcore.mixedlm(
        "y ~ a + b + c + d + e + f + g + h + (1 | g)".replace("+ g ", ""), frame
    )
    fit = model.fit_regularized(alpha=40, unpenalized="Intercept", variances="joint", reml=False)
    text = str(fit.summary())
    assert "lasso on 7 of 8 coefficients" in text
    assert "estimated jointly" in text
    assert "levels do not hold" in text
    beta = fit.fe_params.to_numpy()
    np.testing.assert_allclose(
        fit.fittedvalues, model.exog @ beta + fit.random_effects_frame["g"].to_numpy()[g]
    )
    np.testing.assert_allclose(fit.predict(frame), model.exog @ beta)
    np.testing.assert_allclose(fit.predict(frame, random_effects=True), fit.fittedvalues)
    assert np.isfinite(fit.bse_fe[beta != 0]).all()
    assert np.isnan(fit.bse_fe[beta == 0]).all()
    assert np.isfinite(fit.bse.iloc[-1])
    price = np.log(len(y)) * (fit.df + 2)
    assert fit.bic == pytest.approx(fit.criterion + price)
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.fe_params, fit.fe_params)
    # BLUPs are those of what the fixed effects leave.
    rest = y - model.exog @ beta
    ratio = float(fit.cov_re.iloc[0, 0]) / fit.scale
    expected = [ratio * rest[g == i].sum() / (1 + ratio * (g == i).sum()) for i in range(40)]
    np.testing.assert_allclose(fit.random_effects_frame["g"], expected, atol=1e-8)


def test_more_columns_than_rows():
    rng = np.random.default_rng(5)
    n, p, q = 120, 300, 24
    x = rng.standard_normal((n, p))
    g = np.repeat(np.arange(q), 5)
    y = (
        2 * x[:, 0]
        - 2 * x[:, 1]
        + 1.5 * x[:, 2]
        + rng.standard_normal(q)[g]
        + rng.standard_normal(n)
    )
    design = np.column_stack([np.ones(n), x])
    model = MixedLM(y, design, g)
    assert model.k_fe == p + 1
    for call in (model.fit, lambda: model.loglike(np.array([1.0]))):
        with pytest.raises(DesignError, match="120 rows cannot determine 301 fixed effects"):
            call()
    for call in (model.fit_regularized, model.fit_regularized_path):
        with pytest.raises(DesignError, match="use variances='joint'"):
            call()
    fit = model.fit_regularized(alpha=60, unpenalized="constant", variances="joint", reml=False)
    beta = np.asarray(fit.fe_params)
    assert set(np.argsort(-np.abs(beta[1:]))[:3]) == {0, 1, 2}
    slope = design.T @ np.linalg.solve(covariance(fit), y - design @ beta)
    on = beta != 0
    on[0] = False
    assert abs(slope[0]) < 1e-5
    limit = 30 / np.sqrt(fit.scale)
    assert 3 <= on.sum() < 30
    np.testing.assert_allclose(slope[on], limit * np.sign(beta[on]), atol=1e-5)
    assert np.all(np.abs(slope[~on]) <= limit + 1e-5)
    assert "Group Var" in str(fit.summary())
    np.testing.assert_allclose(fit.fittedvalues, model.endog - fit.resid)
    path = model.fit_regularized_path("scad", variances="joint", reml=False, n_alphas=12)
    assert path.residuals.max() < 1e-7
    chosen = path.select("ebic")
    assert set(np.flatnonzero(np.asarray(chosen.fe_params)[1:])) >= {0, 1, 2}
    assert chosen.df < 8
    refitted = path.refit(path.best("ebic"), reml=False)
    assert refitted.k_fe == np.count_nonzero(chosen.fe_params)
    assert path.cross_validate(4, rng=0).best > 2


def test_many_columns_wait_for_their_cross_products(monkeypatch):
    monkeypatch.setattr("lmmcore.crossproducts.form.MANY", 5)
    y, x, g = data()
    late = MixedLM(y, x, g)
    assert "crossproducts" not in late.__dict__
    path = late.fit_regularized_path(variances="joint", n_alphas=5)
    assert "crossproducts" not in late.__dict__
    monkeypatch.undo()
    early = MixedLM(y, x, g)
    other = early.fit_regularized_path(variances="joint", n_alphas=5)
    np.testing.assert_allclose(path.coefficients, other.coefficients, atol=1e-7)
    np.testing.assert_allclose(late.fit().fe_params, early.fit().fe_params)
    monkeypatch.setattr("lmmcore.crossproducts.form.MANY", 5)
    with pytest.raises(DesignError, match="determined by other columns"):
        MixedLM(y, np.column_stack([x, x[:, 1]]), g).fit()


def test_rows_whitened_are_those_of_the_engine():
    """With weights, slopes and components: the two ways to the quadratic."""
    from lmmcore.regularized.quadratic import whitened_rows
    from lmmcore.regularized.variances import quadratic_at

    rng = np.random.default_rng(2)
    y, x, g = data()
    frame = pd.DataFrame(x[:, 1:4], columns=list("abc"))
    frame = frame.assign(
        y=y, g=rng.permutation(g), v=rng.integers(0, 3, len(y)), w=rng.uniform(1, 2, len(y))
    )
    for formula, vc in (
        ("y ~ a + b + c + (1 + a | g)", None),
        ("y ~ a + b + c", {"v": "0 + C(v)"}),
    ):
        keywords = {} if vc is None else {"groups": "g", "vc_formula": vc, "re_formula": "1"}
        model = lmmcore.mixedlm(formula, frame, weights="w", **keywords)
        fit = model.fit()
        engine = quadratic_at(model, fit)
        rows = whitened_rows(model.design, range(4), fit.fit.relative, fit.scale)
        np.testing.assert_allclose(rows.x.T @ rows.x, engine.x.T @ engine.x, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(rows.c, engine.c, rtol=1e-8, atol=1e-7)
        assert rows.yy == pytest.approx(engine.yy, rel=1e-9)


def test_crossed_factors():
    """Held and joint fits, rows beside the engine; groups that are no folds are refused."""
    from lmmcore.regularized.quadratic import whitened_rows
    from lmmcore.regularized.variances import quadratic_at

    rng = np.random.default_rng(4)
    n = 400
    frame = pd.DataFrame(rng.standard_normal((n, 6)), columns=list("abcdef"))
    frame = frame.assign(s=rng.integers(0, 30, n), i=rng.integers(0, 12, n))
    y = frame.a - frame.b + rng.standard_normal(30)[frame.s] + rng.standard_normal(12)[frame.i]
    frame["y"] = y + rng.standard_normal(n)
    model = lmmcore.mixedlm("y ~ a + b + c + d + e + f + (1 | s) + (1 | i)", frame)
    path = model.fit_regularized_path("mcp", n_alphas=20)
    fit = path.select()
    assert list(fit.fe_params[fit.fe_params != 0].index) == ["Intercept", "a", "b"]
    assert path.refit().k_fe == 3
    plain = model.fit()
    engine = quadratic_at(model, plain)
    rows = whitened_rows(model.design, range(7), plain.fit.relative, plain.scale)
    np.testing.assert_allclose(rows.x.T @ rows.x, engine.x.T @ engine.x, rtol=1e-8, atol=1e-6)
    joint = model.fit_regularized(alpha=30, unpenalized="constant", variances="joint")
    assert joint.residual < 1e-7
    np.testing.assert_allclose(joint.fittedvalues, frame.y - joint.resid)
    with pytest.raises(OptionError, match="groups are not independent"):
        path.cross_validate(5, rng=0)


def test_groups_of_a_factor_go_together():
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {"f": rng.choice(list("abcd"), n), "h": rng.choice(list("uvw"), n), "x": rng.standard_normal(n),
         "g": np.repeat(np.arange(30), 10)}
    )  # fmt: skip
    frame["y"] = 1.0 * (frame.f == "b") - 0.5 * (frame.f == "d") + rng.standard_normal(n)
    frame["y"] += rng.standard_normal(30)[frame.g]
    model = lmmcore.mixedlm("y ~ f + h + x + (1 | g)", frame)
    path = model.fit_regularized_path("group_lasso", n_alphas=30)
    on = path.coefficients.to_numpy() != 0
    names = list(path.coefficients.columns)
    for letter, size in (("f", 3), ("h", 2)):
        mine = [j for j, name in enumerate(names) if name.startswith(f"{letter}[")]
        assert len(mine) == size
        assert (on[:, mine].all(axis=1) | ~on[:, mine].any(axis=1)).all()
    assert on[:, 0].all()
    given = model.fit_regularized_path("group_lasso", groups={"both": ["h[T.v]", "x"]}, n_alphas=5)
    both = given.coefficients[["h[T.v]", "x"]].to_numpy() != 0
    assert (both[:, 0] == both[:, 1]).all()
    free = model.fit_regularized(method="lasso", alpha=1e5, unpenalized=["Intercept", "f"])
    assert (np.asarray(free.fe_params) != 0).tolist() == [
        n == "Intercept" or n[0] == "f" for n in names
    ]


def test_standardized_paths_do_not_depend_on_units():
    y, x, g = data()
    unit = np.r_[1.0, 10.0 ** np.arange(-3, 5)]
    for penalty in ("lasso", "mcp", "ridge", "group_lasso"):
        one = MixedLM(y, x, g).fit_regularized_path(penalty, n_alphas=8)
        two = MixedLM(y, x * unit, g).fit_regularized_path(penalty, n_alphas=8)
        np.testing.assert_allclose(one.alphas, two.alphas, rtol=1e-7)
        np.testing.assert_allclose(two.coefficients * unit, one.coefficients, atol=1e-7)
    model = MixedLM(y, x, g)
    by_sd = model.fit_regularized_path(n_alphas=2, standardize=True).terms.scales
    np.testing.assert_allclose(by_sd[1:], x[:, 1:].std(axis=0), rtol=1e-9)
    assert by_sd[0] == one.terms.scales[0] == 1.0
    v = covariance(model.fit()) / model.fit().scale
    inside = np.linalg.solve(v, x)
    rest = x[:, 1:] - np.outer(x[:, 0], x[:, 0] @ inside[:, 1:]) / (x[:, 0] @ inside[:, 0])
    information = np.sqrt(np.einsum("ij,ij->j", rest, np.linalg.solve(v, rest)) / len(y))
    np.testing.assert_allclose(one.terms.scales[1:], information, rtol=1e-6)
    raw = MixedLM(y, x * unit, g).fit_regularized_path(n_alphas=8, standardize=unit)
    plain = MixedLM(y, x, g).fit_regularized_path(n_alphas=8, standardize=False)
    np.testing.assert_allclose(raw.coefficients * unit, plain.coefficients, atol=1e-7)


def test_an_intercept_far_away_costs_no_digits():
    y, x, g = data()
    far = x.copy()
    far[:, 1] += 1e6
    a = MixedLM(y, x, g).fit_regularized_path(n_alphas=10)
    b = MixedLM(y + 1e6, far, g).fit_regularized_path(n_alphas=10)
    np.testing.assert_allclose(a.alphas, b.alphas, rtol=1e-6)
    np.testing.assert_allclose(a.coefficients.iloc[:, 1:], b.coefficients.iloc[:, 1:], atol=1e-6)


def test_identity_covariance_gives_the_lasso_of_scikit_learn():
    """Where the groups do not differ, V is σ² times the identity."""
    from sklearn.linear_model import Lasso as SklearnLasso

    rng = np.random.default_rng(3)
    n = 200
    x, g = rng.standard_normal((n, 6)), np.repeat(np.arange(20), 10)
    y = x[:, 0] + rng.standard_normal(n)
    y = y - pd.Series(y - x[:, 0]).groupby(g).transform("mean").to_numpy()  # too alike
    model = MixedLM(y, x, g)
    fit = model.fit()
    assert float(np.asarray(fit.cov_re)[0, 0]) == 0.0
    theirs = SklearnLasso(
        alpha=20 * fit.scale / 2 / n, fit_intercept=False, tol=1e-15, max_iter=10**6
    )
    mine = model.fit_regularized(alpha=20)
    np.testing.assert_allclose(mine.fe_params, theirs.fit(x, y).coef_, atol=1e-8)


@pytest.mark.filterwarnings("ignore::lmmcore.errors.RankDeficientWarning")
def test_constant_and_dependent_columns():
    y, x, g = data()
    more = np.column_stack([x, np.full(len(y), 5.0), x[:, 1] + x[:, 2], np.zeros(len(y))])
    model = MixedLM(y, more, g)
    assert len(model.dropped) == 3
    with_all = model.fit_regularized_path(n_alphas=6)
    without = MixedLM(y, x, g).fit_regularized_path(n_alphas=6)
    np.testing.assert_allclose(with_all.coefficients, without.coefficients, atol=1e-9)
    wide = MixedLM(y[:30], np.column_stack([more[:30]] * 3), g[:30])  # nothing is dropped there
    path = wide.fit_regularized_path(
        unpenalized="const", variances="joint", n_alphas=4, smallest=0.2
    )
    beta = path.coefficients.to_numpy()
    assert not beta[:, [9, 11, 12, 23]].any()  # constant: the intercept has it
    assert beta.any()


def test_all_unpenalized():
    y, x, g = data()
    model = MixedLM(y, x, g)
    plain = model.fit(reml=False)
    for keywords in (
        {"alpha": 0},
        {"alpha": np.zeros(9)},
        {"alpha": 5, "unpenalized": model.exog_names},
    ):
        for variances in ("held", "joint"):
            fit = model.fit_regularized(variances=variances, reml=False, **keywords)
            np.testing.assert_allclose(fit.fe_params, plain.fe_params, atol=1e-7)
            np.testing.assert_allclose(fit.cov_re, plain.cov_re, rtol=1e-6)
    with pytest.raises(OptionError, match="all 9 coefficients are unpenalized"):
        model.fit_regularized_path(penalty_weights=np.zeros(9))


def test_bad_arguments():
    y, x, g = data()
    model = MixedLM(y, x, g)
    for arguments, error, match in (
        ({"variances": "free"}, OptionError, "variances='free'"),
        ({"unpenalized": "x99"}, OptionError, "did you mean|known:"),
        ({"groups": [1, 2]}, DataValueError, "a label for each of the 9 columns"),
        ({"groups": {"a": ["zz"]}}, OptionError, "groups\\['a'\\] has 'zz'"),
        ({"standardize": np.zeros(9)}, OptionError, "positive scales"),
        ({"standardize": "sd"}, OptionError, "standardize='sd'"),
        ({"standardize": np.ones(2)}, DataValueError, "standardize has shape"),
        ({"maxit": -1}, OptionError, "maxit=-1"),
    ):
        with pytest.raises(error, match=match):
            model.fit_regularized(alpha=1, **arguments)
        with pytest.raises(error, match=match):
            model.fit_regularized_path(**arguments)
    for arguments, error, match in (
        ({"penalty_weights": -np.ones(9)}, OptionError, "penalty_weights="),
        ({"penalty_weights": np.ones(3)}, DataValueError, "expected a number, or 9 numbers"),
        ({"alphas": [-1.0]}, OptionError, "alphas="),
        ({"alphas": []}, DataValueError, "alphas has shape"),
        ({"n_alphas": 1}, OptionError, "n_alphas=1"),
        ({"smallest": 2}, OptionError, "smallest=2"),
        ({"penalty": "lassso"}, OptionError, "did you mean 'lasso'"),
        ({"penalty": object()}, OptionError, "with bind, value and prox"),
    ):
        with pytest.raises(error, match=match):
            model.fit_regularized_path(**arguments)
    with pytest.raises(OptionError, match="start_params was given with"):
        model.fit_regularized(np.array([1.0]), alpha=1, variances="joint")
    with pytest.raises(DataValueError, match="SLOPE got the penalty weights"):
        model.fit_regularized_path("slope", penalty_weights=np.arange(9))


def test_penalties_as_objects_and_broken_ones():
    y, x, g = data()
    model = MixedLM(y, x, g)
    by_name = model.fit_regularized(method="mcp", alpha=30)
    np.testing.assert_array_equal(
        by_name.fe_params, model.fit_regularized(method=MCP(3.0), alpha=30).fe_params
    )
    other = model.fit_regularized(method=MCP(1.5), alpha=30)
    assert not np.array_equal(by_name.fe_params, other.fe_params)

    class Broken(Lasso):
        def bind(self, coefficients):
            raise ZeroDivisionError

    with pytest.raises(PluginError, match="penalty Broken raised ZeroDivisionError in bind"):
        model.fit_regularized(method=Broken(), alpha=30)
