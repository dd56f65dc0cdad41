"""Paths and what is chosen along them: criteria, cross-validation, stability, refits, plots."""

import builtins
import sys
from math import comb

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import ConvergenceWarning, DataValueError, LmmcoreError, OptionError


def data(seed=1, n=300, p=10, q=30, sd=0.8):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    g = np.repeat(np.arange(q), n // q)
    y = 3 + x[:, 0] - x[:, 1] + 0.5 * x[:, 2] + sd * rng.standard_normal(q)[g]
    return y + rng.standard_normal(n), np.column_stack([np.ones(n), x]), g


@pytest.fixture(scope="module")
def path():
    y, x, g = data()
    return MixedLM(y, x, g).fit_regularized_path(n_alphas=40)


def test_a_path_is_the_single_fits(path):
    model = path.model
    for i in (0, 7, 39):
        one = model.fit_regularized(
            alpha=path.alphas[i], unpenalized="const", standardize="information"
        )
        np.testing.assert_allclose(path.coefficients.iloc[i], one.fe_params, atol=1e-9)
        same = path.fit(i)
        np.testing.assert_array_equal(same.fe_params, path.coefficients.iloc[i])
        assert one.df == same.df == path.df[i]
        point = model.equations.packed.at(one.params_object, profile_fe=False)
        assert path.deviance[i] == pytest.approx(
            -2 * model.equations.packed.loglike(point, False), rel=1e-10
        )
    assert path.gaps.max() < 1e-9
    assert path.df[0] == 1
    assert path.df[-1] == 11
    assert np.all(np.diff(path.alphas) < 0)
    np.testing.assert_allclose(path.coefficients.iloc[-1], model.fit().fe_params, atol=0.01)


def test_criteria(path):
    n, i = path.model.nobs, 12
    bic = path.deviance[i] + np.log(n) * path.df[i]
    assert path.criterion("bic")[i] == pytest.approx(bic)
    assert path.criterion("aic")[i] == pytest.approx(path.deviance[i] + 2 * path.df[i])
    chosen = int(path.df[i]) - 1
    assert path.criterion("ebic")[i] == pytest.approx(bic + 2 * np.log(comb(10, chosen)))
    assert path.criterion("ebic", 0.0)[i] == pytest.approx(bic)
    assert list(path.criteria.columns) == ["alpha", "df", "aic", "bic", "ebic"]
    assert path.best("ebic") <= path.best("bic") <= path.best("aic")
    # BIC keeps the three, and ML of a refit is better still.
    fit = path.select("bic")
    assert set(np.flatnonzero(np.asarray(fit.fe_params))) >= {0, 1, 2, 3}
    again = path.refit(reml=False)
    assert again.k_fe == np.count_nonzero(fit.fe_params)
    assert -2 * again.llf < path.deviance[path.best("bic")]
    with pytest.raises(OptionError, match="criterion='cp'"):
        path.best("cp")
    for at in (40, 1.5, "bic"):
        with pytest.raises(OptionError, match="position of a strength, 0 to 39"):
            path.fit(at)


@pytest.mark.parametrize("scale", ["deviance", "squares"])
def test_cross_validation_is_that_of_fits_to_the_other_groups(path, scale):
    model = path.model
    cv = path.cross_validate(5, rng=3, scale=scale)
    assert sorted(np.bincount(cv.folds)) == [6] * 5
    y, x, g = data()
    fit = model.fit()
    ratio = float(np.asarray(fit.cov_re)[0, 0])
    fold = 2
    out = cv.folds[g] == fold
    v = ratio * (g[:, None] == g) + fit.scale * np.eye(len(y))
    inside = np.ix_(~out, ~out)
    # The lasso on the training groups by scikit-learn, the intercept profiled out.
    from sklearn.linear_model import Lasso as SklearnLasso

    root = np.linalg.inv(np.linalg.cholesky(v[inside]))
    xx, yy = root @ x[~out], root @ y[~out]
    one = xx[:, :1] / np.linalg.norm(xx[:, 0])
    sd = path.terms.scales[1:]
    xp, yp = (xx - one @ (one.T @ xx))[:, 1:] / sd, yy - one[:, 0] * (one[:, 0] @ yy)
    for i in (5, 20):
        theirs = SklearnLasso(
            path.alphas[i] / 2 / len(yp), fit_intercept=False, tol=1e-13, max_iter=10**5
        )
        beta = theirs.fit(xp, yp).coef_ / sd
        intercept = (xx[:, 0] @ (yy - xx[:, 1:] @ beta)) / (xx[:, 0] @ xx[:, 0])
        rest = y[out] - intercept - x[out][:, 1:] @ beta
        if scale == "deviance":
            loss = rest @ np.linalg.solve(v[np.ix_(out, out)], rest) / out.sum()
        else:
            loss = np.mean(rest**2)
        assert cv.losses[fold, i] == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(cv.mean, cv.losses.mean(axis=0))
    np.testing.assert_allclose(cv.se, cv.losses.std(axis=0, ddof=1) / np.sqrt(5))
    assert cv.one_se <= cv.best
    limit = cv.mean[cv.best] + cv.se[cv.best]
    assert cv.mean[cv.one_se] <= limit
    assert cv.one_se == 0 or cv.mean[cv.one_se - 1] > limit
    np.testing.assert_array_equal(cv.select().fe_params, path.coefficients.iloc[cv.one_se])
    np.testing.assert_array_equal(cv.select("best").fe_params, path.coefficients.iloc[cv.best])


def test_folds_given_and_refused(path):
    given = np.arange(30) % 3
    np.testing.assert_array_equal(path.cross_validate(given).folds, given)
    a, b = (path.cross_validate(3, rng=1).mean for _ in range(2))
    np.testing.assert_array_equal(a, b)
    for folds, error in ((1, OptionError), (31, OptionError), (np.zeros(30), OptionError),
                         (np.zeros(3), DataValueError)):  # fmt: skip
        with pytest.raises(error, match="folds"):
            path.cross_validate(folds)
    with pytest.raises(OptionError, match="scale='mse'"):
        path.cross_validate(3, scale="mse")
    with pytest.raises(OptionError, match="rule='two_se'"):
        path.cross_validate(3).select("two_se")


def test_groups_that_are_not_independent_are_refused(path, monkeypatch):
    from lmmcore.regularized import selection

    real = selection.whitened_rows
    monkeypatch.setattr(
        selection, "whitened_rows", lambda d, c, g, *rest: real(d, c, [0.5 * g[0]], *rest)
    )
    for call in (path.cross_validate, path.stability):
        with pytest.raises(OptionError, match="groups are not independent"):
            call(rng=0)


def test_stability(path):
    found = path.stability(n_pairs=20, rng=0)
    assert set(found.selected) >= {"x1", "x2"}
    assert len(found.selected) <= 4
    assert found.expected_false <= 1.0 + 1e-9
    assert (found.probability[["x1", "x2"]] == 1.0).all()
    assert np.all(np.diff(found.frequencies.to_numpy(), axis=0) >= 0)
    np.testing.assert_array_equal(found.probability, path.stability(n_pairs=20, rng=0).probability)
    more = path.stability(n_pairs=10, rng=0, expected_false=4.0)
    assert more.most > found.most
    for bad in ({"n_pairs": 0}, {"threshold": 0.5}, {"expected_false": 0}, {"n_alphas": 0}):
        with pytest.raises(OptionError, match=next(iter(bad))):
            path.stability(**bad)


@pytest.mark.parametrize(
    "name", ["adaptive_lasso", "mcp", "scad", "group_lasso", "slope", "fused", "ridge"]
)
def test_every_penalty_can_be_chosen_along(name):
    y, x, g = data(n=150, q=15)
    path = MixedLM(y, x, g).fit_regularized_path(name, n_alphas=15)
    assert path.residuals.max() < 1e-6
    assert np.isnan(path.gaps).all() or path.gaps.max() < 1e-9
    cv = path.cross_validate(3, rng=0)
    assert cv.mean[cv.best] < cv.mean[0]
    fit = path.select()
    assert name.replace("_", " ") in str(fit.summary())
    if name in ("adaptive_lasso", "mcp", "scad"):
        assert set(np.flatnonzero(np.asarray(fit.fe_params))) >= {0, 1, 2}


def test_joint_path_and_its_end():
    y, x, g = data(n=150, q=15)
    model = MixedLM(y, x, g)
    path = model.fit_regularized_path(variances="joint", n_alphas=8)
    assert path.joint
    one = model.fit_regularized(
        alpha=path.alphas[4], unpenalized="const", standardize="information", variances="joint"
    )
    np.testing.assert_allclose(path.coefficients.iloc[4], one.fe_params, atol=1e-6)
    assert path.cross_validate(3, rng=0).best > 0
    assert "x1" in path.stability(5, rng=0, expected_false=4.0).selected
    rng = np.random.default_rng(0)
    wide = MixedLM(y[:40], rng.standard_normal((40, 60)), g[:40])
    path = wide.fit_regularized_path(variances="joint", n_alphas=10, smallest=1e-3)
    assert len(path) < 10
    assert "the path ends before alpha" in path.note
    with pytest.warns(ConvergenceWarning, match="the path ends before alpha"):
        wide.fit_regularized_path(variances="joint", alphas=[*path.alphas, 1e-3])


def test_formula_and_prior_weights():
    y, x, g = data()
    frame = pd.DataFrame(x[:, 1:], columns=[f"x{j}" for j in range(10)]).assign(y=y, g=g)
    frame["w"] = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    names = " + ".join(f"x{j}" for j in range(10))
    model = lmmcore.mixedlm(f"y ~ {names} + (1 + x0 | g)", frame, weights="w")
    path = model.fit_regularized_path("mcp", n_alphas=20)
    assert path.coefficients.columns[0] == "Intercept"
    fit = path.select()
    assert list(fit.fe_params[fit.fe_params != 0].index)[:3] == ["Intercept", "x0", "x1"]
    path = model.fit_regularized_path("mcp", n_alphas=2, standardize=True)
    w = frame["w"]
    sd = np.sqrt(np.average((frame.x3 - np.average(frame.x3, weights=w)) ** 2, weights=w))
    assert path.terms.scales[4] == pytest.approx(sd, rel=1e-8)


def test_plots(path, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    ax = path.plot()
    assert len(ax.lines) >= 10
    assert "x1" in {t.get_text() for t in ax.texts}
    assert path.plot(against="df").get_xlabel() == "degrees of freedom"
    cv = path.cross_validate(3, rng=0).plot()
    assert cv.get_xscale() == "log"
    assert path.stability(5, rng=0).plot().get_ylabel() == "share of subsamples"
    figure, given = pyplot.subplots()
    assert path.plot(given) is given
    figure.savefig(tmp_path / "a.png")
    pyplot.close("all")
    with pytest.raises(OptionError, match="against='t'"):
        path.plot(against="t")


def test_plots_without_matplotlib(path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [m for m in sys.modules if m.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(LmmcoreError, match=r"pip install 'lmmcore\[plot\]'"):
        path.plot()
