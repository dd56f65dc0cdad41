"""Every public method of every class of results beside a computation of its own, or its refusal."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from scipy.stats import chi2, norm

import lmmcore
from lmmcore import MixedLMResults
from lmmcore.errors import DataRemovedError, DataValueError, LmmcoreWarning, OptionError
from lmmcore.regularized import HeldResults, JointResults, SmoothResults

KINDS = {
    MixedLMResults: "plain", SmoothResults: "smooth", HeldResults: "held", JointResults: "joint",
}  # fmt: skip
ALPHA = 40.0
FORMULA = "y ~ a + b + c + d + f + (1 + t | id)"
NUMERIC = "y ~ fv + fw + a + b + c + d + (1 + t | id)"


class Ridge:
    """A smooth penalty on all but the intercept and the factor, or none."""

    def __init__(self, strength=3.0):
        self.weights = strength * np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])

    def func(self, beta):
        return float(np.sum(self.weights * beta**2))

    def deriv(self, beta):
        return 2.0 * self.weights * beta


def table():
    rng = np.random.default_rng(7)
    q, m = 30, 6
    n = q * m
    frame = pd.DataFrame(rng.standard_normal((n, 4)), columns=list("abcd"))
    frame["f"] = rng.choice(list("uvw"), n)
    frame["id"] = np.repeat(np.arange(q), m)
    frame["t"] = np.tile(np.linspace(-1, 1, m), q)
    frame["fv"], frame["fw"] = 1.0 * (frame.f == "v"), 1.0 * (frame.f == "w")
    effects = rng.standard_normal((q, 2)) * [0.9, 0.8]
    frame["y"] = 2 + frame.a - 0.7 * frame.b + (frame.f == "v") + rng.standard_normal(n)
    frame["y"] += effects[frame.id, 0] + effects[frame.id, 1] * frame.t
    return frame


def make(kind, formula=FORMULA, data=None):
    model = lmmcore.mixedlm(formula, table() if data is None else data)
    if kind == "plain":
        return model.fit(reml=False, ddf="z")
    if kind == "smooth":
        return model.fit(fe_pen=Ridge(), reml=False)
    free = ["Intercept", "f"] if formula == FORMULA else ["Intercept", "fv", "fw"]
    return model.fit_regularized(alpha=ALPHA, unpenalized=free, variances=kind, reml=False)


class Dense:
    """The same in n × n matrices, from the estimates alone."""

    def __init__(self, fit):
        self.frame = table()
        self.kind = KINDS[type(fit)]
        self.is_whole = self.kind in ("plain", "smooth")  # one function is at its maximum
        self.ridge = Ridge(3.0 if self.kind == "smooth" else 0.0)
        self.names = list(fit.fe_params.index)
        x = {"Intercept": 1.0, "f[T.v]": self.frame.f == "v", "f[T.w]": self.frame.f == "w"}
        self.x = np.column_stack(
            [np.broadcast_to(x.get(n, self.frame.get(n)), len(self.frame)) for n in self.names]
        ).astype(float)
        self.y = self.frame.y.to_numpy()
        groups = self.frame.id.to_numpy()
        self.z = np.zeros((len(self.y), 30, 2))
        self.z[np.arange(len(self.y)), groups] = np.column_stack(
            [np.ones(len(self.y)), self.frame.t]
        )
        self.z = self.z.reshape(len(self.y), -1)
        self.beta = fit.fe_params.to_numpy()
        self.scale = fit.scale
        self.ratios = np.asarray(fit.cov_re)[np.tril_indices(2)] / fit.scale
        self.on = np.flatnonzero(self.beta)
        self.penalized = np.array([n in "abcd" for n in self.names])

    def relative(self, ratios):
        g = np.array([[ratios[0], ratios[1]], [ratios[1], ratios[2]]])
        return np.eye(len(self.y)) + self.z @ np.kron(np.eye(30), g) @ self.z.T, g

    def deviance(self, beta, ratios, scale=None):
        """−2 log-likelihood; σ² at its best if it is not given."""
        v, _ = self.relative(ratios)
        rest = self.y - self.x @ beta
        square = rest @ np.linalg.solve(v, rest)
        scale = square / len(self.y) if scale is None else scale
        return np.linalg.slogdet(v)[1] + len(self.y) * np.log(2 * np.pi * scale) + square / scale

    @property
    def v(self):
        return self.scale * self.relative(self.ratios)[0]

    def cov_fe(self):
        out = np.full((7, 7), np.nan)
        x = self.x[:, self.on]
        out[np.ix_(self.on, self.on)] = np.linalg.inv(x.T @ np.linalg.solve(self.v, x))
        return out

    def hessian(self):
        """Of the log-likelihood in (β, ratios), σ² profiled out."""
        at = np.concatenate([self.beta, self.ratios])
        k, h = len(at), 1e-3
        step = np.eye(k) * h

        def f(x):
            return -0.5 * self.deviance(x[:7], x[7:])

        return np.array(
            [
                [
                    (f(at + i + j) - f(at + i - j) - f(at - i + j) + f(at - i - j)) / (4 * h * h)
                    for j in step
                ]
                for i in step
            ]
        )

    def of_variances(self):
        """The ordinary fit whose variances these are."""
        frame = self.frame.copy()
        if self.kind == "held":
            return lmmcore.mixedlm(FORMULA, frame).fit(reml=False)
        frame["y"] -= self.x[:, self.penalized] @ self.beta[self.penalized]
        return lmmcore.mixedlm("y ~ f + (1 + t | id)", frame).fit(reml=False)

    def cov_params(self):
        if self.is_whole:
            return -np.linalg.inv(self.hessian())
        own = np.asarray(self.of_variances().cov_params())[-3:, -3:]
        slopes = np.zeros((7, 3))
        if self.kind == "held":  # how the selected coefficients move, their signs as they are
            x = self.x[:, self.on]
            pull = ALPHA / 2 * np.sign(self.beta[self.on]) * self.penalized[self.on]

            def selected(ratios):
                vx = np.linalg.solve(self.scale * self.relative(ratios)[0], x)
                return np.linalg.solve(vx.T @ x, vx.T @ self.y - pull)

            for j, e in enumerate(1e-5 * np.eye(3)):
                ends = selected(self.ratios + e), selected(self.ratios - e)
                slopes[self.on, j] = (ends[0] - ends[1]) / 2e-5
        out = np.block(
            [
                [np.nan_to_num(self.cov_fe()) + slopes @ own @ slopes.T, slopes @ own],
                [own @ slopes.T, own],
            ]
        )
        gone = np.setdiff1d(np.arange(7), self.on)
        out[gone] = out[:, gone] = np.nan
        return out

    def effects(self):
        _, g = self.relative(self.ratios)
        big = self.scale * np.kron(np.eye(30), g)
        inside = np.linalg.solve(self.v, self.z @ big)
        means = inside.T @ (self.y - self.x @ self.beta)
        return means.reshape(30, 2), big - big @ self.z.T @ inside, self.scale * g


def close(a, b, rtol=1e-6, atol=1e-7):
    np.testing.assert_allclose(np.asarray(a, dtype=float), b, rtol=rtol, atol=atol)


def certificate(fit, dense):
    assert fit.convergence.converged
    assert fit.reml is False
    assert fit.freepat is None
    if dense.kind == "plain":
        assert fit.convergence.newton_decrement < 1e-8
        return
    assert fit.df == pytest.approx(len(dense.on)) or (
        dense.kind == "smooth" and 3 < fit.df < len(dense.on)
    )
    if dense.kind == "smooth":
        assert np.isnan(fit.residual)
        assert np.isnan(fit.gap)
        return
    # Slopes of the criterion in the coefficients: the strength at those that are not zero, no more elsewhere.
    slopes = -2 * dense.x.T @ np.linalg.solve(dense.v, dense.y - dense.x @ dense.beta)
    if dense.kind == "held":
        allowed = np.where(dense.penalized, ALPHA, 0.0)
        close(slopes[dense.on], -(allowed * np.sign(dense.beta))[dense.on], 1e-5, 1e-5)
        assert np.all(np.abs(slopes) <= allowed + 1e-5)
    assert 0.0 <= fit.residual < 1e-5
    assert np.isnan(fit.gap) or 0.0 <= fit.gap < 1e-6
    if dense.kind == "joint":
        assert fit.rounds >= 1


def criterion(fit, dense):
    wanted = dense.deviance(dense.beta, dense.ratios, dense.scale)
    close([fit.criterion, -2 * fit.llf], wanted, 1e-9)
    parameters = (7 if dense.kind == "plain" else fit.df) + 3 + 1
    close(fit.aic, wanted + 2 * parameters, 1e-9)
    close(fit.bic, wanted + np.log(180) * parameters, 1e-9)
    if dense.kind != "held":
        close(wanted, dense.deviance(dense.beta, dense.ratios), 1e-9)


def coefficients(fit, dense):
    slope = dense.x.T @ np.linalg.solve(dense.v, dense.y - dense.x @ dense.beta)
    if dense.is_whole:
        close(slope, dense.ridge.deriv(dense.beta), 1e-4, 1e-4)
    else:
        limit = ALPHA / 2 / (np.sqrt(dense.scale) if dense.kind == "joint" else 1.0)
        wanted = limit * np.sign(dense.beta) * dense.penalized
        close(slope[dense.on], wanted[dense.on], 1e-4, 1e-5)
        assert np.all(np.abs(slope) <= limit + 1e-5)
        assert len(dense.on) < 7
        assert fit.gap < 1e-8
        assert fit.residual < 1e-7
        assert fit.df == len(dense.on)
    close(fit.params[:7], dense.beta)
    close(fit.params_object.fe_params, dense.beta)


def variances(fit, dense):
    """One σ²: matrices are relative ones times `scale`, and those of the right fit."""
    close(np.asarray(fit.cov_re_unscaled)[np.tril_indices(2)], dense.ratios)
    close(fit.params[7:], dense.ratios)
    close(fit.params_object.cov_re[np.tril_indices(2)], dense.ratios)
    root = np.zeros((2, 2))
    root[np.tril_indices(2)] = fit.theta
    close(root @ root.T, np.asarray(fit.cov_re_unscaled), 1e-6)
    shown = fit.varcorr.set_index(["term", "name", "with"]).variance.to_numpy()
    close(np.sort(shown), np.sort([*np.asarray(fit.cov_re)[np.tril_indices(2)], fit.scale]))
    assert len(fit.vcomp) == 0
    if dense.is_whole:
        at = np.concatenate([dense.beta, dense.ratios])
        for e in 1e-4 * np.eye(10)[7:]:
            slope = dense.deviance(dense.beta, (at + e)[7:]) - dense.deviance(
                dense.beta, (at - e)[7:]
            )
            assert abs(slope / 2e-4) < 1e-3
    else:
        own = dense.of_variances()
        close(fit.cov_re, own.cov_re)
        close(fit.scale, own.scale)


def errors_of_beta(fit, dense):
    close(fit.cov_fe, dense.cov_fe())
    close(fit.bse_fe, np.sqrt(np.diag(dense.cov_fe())))


def errors(fit, dense):
    cov = dense.cov_params()
    close(fit.cov_params(), cov, 1e-3, 1e-6)
    close(fit.normalized_cov_params, cov / dense.scale, 1e-3, 1e-6)
    se = np.sqrt(np.diag(cov))
    close(fit.bse, se, 1e-3)
    close(fit.bse_re, se[7:] * np.sqrt(dense.scale), 1e-3)
    if (
        dense.kind == "plain"
    ):  # asked for "z": tests of the fixed effects take the variances as known
        se[:7] = np.sqrt(np.diag(dense.cov_fe()))
    z = np.asarray(fit.params) / se
    close(fit.tvalues, z, 1e-3)
    close(fit.pvalues, 2 * norm.sf(np.abs(z)), 2e-2)
    reach = norm.ppf(0.95) * se
    limits = np.column_stack([fit.params - reach, fit.params + reach])
    close(fit.conf_int(0.1), limits, 1e-3, 1e-4)
    assert fit.cov_params_note == ""
    r = np.zeros(10)
    r[dense.on[:2]] = 1.0
    close(
        fit.cov_params(r_matrix=r),
        r[dense.on] @ cov[np.ix_(dense.on, dense.on)] @ r[dense.on],
        1e-3,
    )


def errors_of_variances(fit, dense):
    if dense.is_whole:  # σ² moves with the ratios by its slope, the rest is 2σ⁴/n
        h = 1e-5
        slope = np.zeros(3)
        for j, e in enumerate(h * np.eye(3)):
            v, w = dense.relative(dense.ratios + e)[0], dense.relative(dense.ratios - e)[0]
            rest = dense.y - dense.x @ dense.beta
            slope[j] = np.log(rest @ np.linalg.solve(v, rest) / (rest @ np.linalg.solve(w, rest)))
        slope /= 2 * h
        s = dense.scale
        to = np.vstack([np.eye(3), s * slope])
        joint = to @ dense.cov_params()[7:, 7:] @ to.T
        joint[3, 3] += 2 * s**2 / 180
        change = np.block(
            [[s * np.eye(3), dense.ratios[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]]
        )
        wanted = change @ joint @ change.T
    else:
        wanted = np.asarray(dense.of_variances().cov_variances)
    close(fit.cov_variances, wanted, 2e-3, 1e-6)
    close(fit.bse_variances, np.sqrt(np.diag(wanted)), 1e-3)
    shown = fit.covariance_parameters
    sd = shown.estimate[0]
    close(sd, np.sqrt(np.asarray(fit.cov_re)[0, 0]))
    close(shown.std_err[0], np.sqrt(wanted[0, 0]) / (2 * sd), 2e-3)


def random_effects(fit, dense):
    means, cov, marginal = dense.effects()
    close(fit.random_effects_frame, means, 1e-6)
    close(
        fit.random_effects_cov_frame,
        np.vstack([cov[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in range(30)]),
        1e-6,
    )
    close([fit.random_effects[i] for i in range(30)], means, 1e-6)
    blocks = [cov[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in range(30)]
    close(fit.random_effects_cov_frame, np.vstack(blocks), 1e-6)
    for i in range(30):
        mine = np.asarray(fit.random_effects_cov[i])
        close(mine, cov[2 * i : 2 * i + 2, 2 * i : 2 * i + 2], 1e-6)
        assert np.linalg.eigvalsh(np.asarray(fit.cov_re) - mine)[0] > 0
    close(fit.cov_re, marginal)


def rows(fit, dense):
    means, _, _ = dense.effects()
    fixed = dense.x @ dense.beta
    fitted = fixed + dense.z @ means.ravel()
    close(fit.fittedvalues, fitted)
    close(fit.resid, dense.y - fitted)
    close(fit.predict(), fixed)
    close(fit.predict(dense.frame[10:40]), fixed[10:40])
    close(fit.predict(dense.frame[10:40], random_effects=True), fitted[10:40])


def hypotheses(fit, dense):
    cov, beta = dense.cov_fe(), dense.beta
    found = fit.t_test("a - b = 1")
    i, j = dense.names.index("a"), dense.names.index("b")
    se = np.sqrt(cov[i, i] + cov[j, j] - 2 * cov[i, j])
    close([found.effect[0], found.sd[0]], [beta[i] - beta[j], se])
    close(found.statistic, (beta[i] - beta[j] - 1) / se)
    part = np.ix_([i, j], [i, j])
    wanted = beta[[i, j]] @ np.linalg.solve(cov[part], beta[[i, j]])
    close(fit.wald_test("a = 0, b = 0").statistic, wanted)
    close(fit.wald_test("a = 0, b = 0").pvalue, chi2.sf(wanted, 2))
    close(fit.f_test("a = 0, b = 0").statistic, wanted / 2)
    df = 7 if dense.kind == "plain" else fit.df
    assert fit.f_test("a = 0").df_denom == fit.df_resid == 180 - df
    terms = fit.wald_test_terms()
    gone = [dense.names[k] for k in np.setdiff1d(np.arange(7), dense.on)]
    assert list(terms.left_out) == gone
    assert list(terms.table.index) == [n for n in ("Intercept", "f", *"abcd") if n not in gone]
    close(terms.table.statistic["a"], beta[i] ** 2 / cov[i, i])
    at = [1, 2]
    close(terms.table.statistic["f"], beta[at] @ np.linalg.solve(cov[np.ix_(at, at)], beta[at]))
    pairs = fit.t_test_pairwise("f").result_frame
    close(pairs.coef, [beta[1], beta[2], beta[2] - beta[1]])
    ratio = fit.get_nlfun(lambda x: x[i] / x[j])
    full = dense.cov_params()[part]
    slope = np.array([1 / beta[j], -beta[i] / beta[j] ** 2])
    close(ratio.se_vectorized(), np.sqrt(slope @ full @ slope), 1e-4)
    if gone:
        assert f"the penalized fit has {', '.join(gone)} at zero" in str(terms)
        with pytest.warns(LmmcoreWarning, match=f"no standard errors of {gone[0]}"):
            both = fit.t_test(["a = 0", f"{gone[0]} = 0"])
        close(both.sd, [np.sqrt(cov[i, i]), np.nan])
        with pytest.raises(
            DataValueError, match="expected fixed effects that have standard errors"
        ):
            fit.wald_test(f"{gone[0]} = 0")
        with pytest.raises(DataValueError, match="a penalty has at zero"):
            fit.get_nlfun(lambda x: x[dense.names.index(gone[0])]).se_vectorized()


def analysis_of_variance(fit, dense):
    if dense.kind != "plain":
        return
    table = fit.anova(ddf="z").table
    cov, beta = dense.cov_fe(), dense.beta
    i = dense.names.index("a")
    close(table.F["a"], beta[i] ** 2 / cov[i, i])
    at = [1, 2]
    close(table.F["f"], beta[at] @ np.linalg.solve(cov[np.ix_(at, at)], beta[at]) / 2)


def marginal_means(fit, dense):
    if dense.kind != "plain":
        return
    pairs = fit.means("f", ddf="z").pairs("none").frame()
    close(-pairs.difference, [dense.beta[1], dense.beta[2], dense.beta[2] - dense.beta[1]])
    i = dense.names.index("a")
    close(fit.slopes("a").frame()[["slope", "se"]], [[dense.beta[i], dense.cov_fe()[i, i] ** 0.5]])


def variance_test(fit, dense):
    if dense.kind != "plain":
        return
    with pytest.raises(OptionError, match="has several coefficients"):
        fit.rlrt()
    row = fit.ranova().table.loc["t in (1 + t | id)"]
    without = lmmcore.mixedlm(FORMULA.replace("1 + t |", "1 |"), dense.frame).fit(reml=False)
    close(row.chisq, 2 * (fit.llf - without.llf), 1e-5)
    smaller = lmmcore.mixedlm(FORMULA.replace("d + ", ""), dense.frame).fit(reml=False)
    close(fit.drop1("chi2").table.llf["d"], smaller.llf, 1e-7)
    assert "(1 + t | id)" in fit.step().formula


def all_profiles(fit, dense):
    if dense.kind != "plain":
        return
    found = fit.profile(["a", "sigma"]).frame()
    wald = fit.conf_int().loc["a"].to_numpy()
    close(found.loc["a", ["lower", "upper"]].to_numpy(dtype=float), wald, 0.1, 0.02)
    close(found.estimate["sigma"], np.sqrt(dense.scale))


def kinds_of_residuals(fit, dense):
    if dense.kind != "plain":
        return
    close(fit.residuals(), fit.resid)
    close(fit.residuals("marginal"), dense.y - dense.x @ dense.beta)
    spread = np.sqrt(dense.scale * (1 - fit.hat_values))
    close(fit.residuals("standardized"), fit.resid / spread)
    assert fit.simulate(3, rng=1).shape == (180, 3)
    values = fit.resid / spread
    skewness = np.mean((values - values.mean()) ** 3) / np.std(values) ** 3
    close(fit.diagnostics().normality.skewness["residuals"], skewness)


def for_packages(fit, dense):
    if dense.kind != "plain":
        return
    close(fit.design_matrix(), dense.x)
    new = dense.frame.iloc[:5]
    close(fit.design_matrix(new) @ fit.fe_params, fit.predict(new))
    terms = fit.term_map()
    assert terms.term["f[T.v]"] == "f"
    assert terms.variables["a"] == ("a",)
    assert terms.variables["Intercept"] == ()
    grid = fit.reference_grid({"a": [0.0, 1.0]})
    assert len(grid) == 6
    close(grid.b, dense.frame.b.mean())


def deletions(fit, dense):
    if dense.kind != "plain":
        return
    found = fit.get_influence()
    rest = dense.frame[dense.frame.id != 3]
    again = lmmcore.mixedlm(FORMULA, rest).fit(reml=False)
    close(fit.fe_params - again.fe_params, found.dfbeta.loc[3], 1e-4, 1e-6)
    close(found.parameters.scale[3], again.scale, 1e-6)
    close(fit.scores().sum(), np.zeros(11), 1e-3, 1e-3)


def explained(fit, dense):
    if dense.kind != "plain":
        return
    fixed = np.var(dense.x @ dense.beta, ddof=1)
    z = np.column_stack([np.ones(len(dense.y)), dense.frame.t])
    random = np.mean(np.einsum("ia,ab,ib->i", z, np.asarray(fit.cov_re), z))
    close(fit.r_squared().marginal, fixed / (fixed + random + dense.scale))
    table = fit.anova(ddf="residual").table
    ratio = table.df_num * table.F / (len(dense.y) - 7)
    close(fit.partial_r_squared(ddf="residual"), ratio / (1 + ratio))
    close(fit.icc().adjusted, random / (random + dense.scale))
    k, n = 11, len(dense.y)
    close(fit.aicc, fit.aic + 2 * k * (k + 1) / (n - k - 1))
    square = np.sum(np.asarray(fit.resid) ** 2)
    own = n * np.log(2 * np.pi * dense.scale) + square / dense.scale
    close(fit.conditional_aic, own + 2 * (fit.effective_df + 1))


def errors_of_random_effects(fit, dense):
    if dense.kind != "plain":
        return
    one = fit.predict(
        table().iloc[:1].assign(t=0.0), random_effects="all", interval="confidence", ddf="z"
    )
    found = fit.random_effects_se
    assert found.shape == (30, 2)
    known_beta = np.sqrt([np.diag(c) for c in fit.random_effects_cov.values()])
    assert (found.to_numpy() > known_beta).all()
    assert found.to_numpy() == pytest.approx(known_beta, rel=0.6)
    assert np.isfinite(one.se).all()


def hess_diag(fit, dense):
    if dense.kind == "joint":
        with pytest.raises(OptionError, match="use cov_params"):
            fit.hess_diag  # noqa: B018
        return
    close(fit.hess_diag, np.diag(dense.hessian()), 1e-3, 1e-3)


def bootstrap(fit, dense):
    """The penalized fit is repeated: that of a response drawn here."""
    if dense.kind == "plain":  # drawn without rows: the same in distribution
        mean, sd, _ = fit.bootstrap(4000, rng=5, kind="parametric")
        se = np.sqrt(np.diag(dense.cov_fe()))
        assert (np.abs(mean[:7] - dense.beta) < 4 * se / np.sqrt(4000)).all()
        close(sd[:7] / se, 1.0, 0.06)
        tests = fit.permutation_test("f", 19, rng=1)
        at = [dense.names.index(name) for name in dense.names if name.startswith("f[")]
        b, cov = dense.beta[at], dense.cov_fe()[np.ix_(at, at)]
        close(tests.statistic, b @ np.linalg.solve(cov, b) / 2, 1e-4)
        return
    mean, sd, values = fit.bootstrap(3, rng=5, kind="parametric", store=True)
    close(fit.bootstrap_results, values)
    close(mean, values.mean(axis=0))
    close(sd, values.std(axis=0))
    rng = np.random.default_rng(np.random.SeedSequence(5).spawn(1)[0])  # of the first chunk
    for row in values:
        y = fit.model.get_distribution(fit.params_object, fit.scale).rvs(rng=rng)
        again = make(dense.kind, data=dense.frame.assign(y=y))
        close(row, np.asarray(again.params), 1e-5, 1e-6)
    by_group = fit.bootstrap(3, rng=1, fun=lambda r: [float(len(r.penalty) > 0), r.df])[2]
    assert (by_group[:, 0] == 1).all()


def refits(fit, dense):
    """Another response, by the same penalty: what a fresh model gives; `fit` stays as it is."""
    y = np.random.default_rng(8).permutation(dense.y)
    before, data = fit.params.copy(), dense.frame.assign(y=y)
    again = fit.refit(data)
    fresh = make(dense.kind, data=data)
    assert type(again) is type(fit)
    close(again.params, fresh.params, 1e-5, 1e-6)
    close(again.llf, fresh.llf, 1e-7)
    close(again.predict(data), fresh.predict(data), 1e-5)
    assert abs(again.llf - fit.llf) > 1
    close(fit.params, before, 0)


def profile(fit, dense):
    if not dense.is_whole:
        with pytest.raises(OptionError, match="profile"):
            fit.profile_re(0, "re")
        return
    found = fit.profile_re(0, "re", 1, 0.2, 1, 0.2)
    best = fit.llf - dense.ridge.func(dense.beta)
    close(found[1], [np.asarray(fit.cov_re)[0, 0], best], 1e-6)
    assert (found[[0, 2], 1] < best).all()
    ratio = (np.asarray(fit.cov_re)[0, 0] + 0.2) / fit.scale

    def objective(x):  # the other parameters at their best
        ratios = np.array([ratio, x[0], x[0] ** 2 / ratio + np.exp(x[1])])
        v = dense.relative(ratios)[0]
        vx = np.linalg.solve(v, dense.x)
        beta, scale = dense.beta, dense.scale
        for _ in range(60):
            beta = np.linalg.solve(
                vx.T @ dense.x / scale + 2 * np.diag(dense.ridge.weights), vx.T @ dense.y / scale
            )
            rest = dense.y - dense.x @ beta
            scale = rest @ np.linalg.solve(v, rest) / len(rest)
        return dense.deviance(beta, ratios) / 2 + dense.ridge.func(beta)

    start = [dense.ratios[1], np.log(dense.ratios[2] - dense.ratios[1] ** 2 / ratio)]
    other = optimize.minimize(objective, start, method="Nelder-Mead", options={"fatol": 1e-9})
    close(found[2, 1], -other.fun, 1e-7)


def names_and_numbers(fit, dense):
    assert (fit.nobs, fit.k_fe, fit.k_re, fit.k_re2, fit.k_vc) == (180, 7, 2, 3, 0)
    assert (fit.method, fit.converged, fit.k_constant, fit.k_constr) == ("ML", True, 1, 0)
    assert (fit.use_t, fit.use_sqrt, fit.df_modelwc, fit.hist) == (False, True, 10, None)
    assert fit.nfev > 0
    text = str(fit.summary())
    assert f"{fit.scale:.4f}" in text
    if dense.kind == "plain":
        return
    assert "lasso on 4 of 7" in fit.penalty or fit.penalty == "fixed effects by Ridge"
    assert fit.penalty in " ".join(text.split())


def influence(fit, dense):
    """Leverages, and the derivative in the weight of a row, by n × n algebra and by differences."""
    if dense.kind != "plain":
        return
    v, _ = dense.relative(dense.ratios)
    vi = np.linalg.inv(v)
    fixed = dense.x @ np.linalg.solve(dense.x.T @ vi @ dense.x, dense.x.T @ vi)
    hat = fixed + (v - np.eye(180)) @ vi @ (np.eye(180) - fixed)
    close(fit.hat_values, np.diag(hat))
    close(fit.effective_df, np.trace(hat))
    rest = dense.y - dense.x @ dense.beta
    for row in (0, 17, 179):
        ends = []
        for e in (1e-5, -1e-5):
            moved = dense.scale * (
                v + np.diag(np.where(np.arange(180) == row, 1 / (1 + e) - 1, 0.0))
            )
            ends.append(np.linalg.slogdet(moved)[1] + rest @ np.linalg.solve(moved, rest))
        close(np.asarray(fit.weight_derivative)[row], (ends[0] - ends[1]) / 2e-5, 1e-5, 1e-6)


def profile_of_beta(fit, dense):
    """With one coefficient held, the others as in a fit of what is left of the response."""
    if dense.kind != "plain":
        return
    for value, llf in fit.profile_fe("b", [-1.0, 0.0]):
        rest = dense.frame.assign(y=dense.y - value * dense.frame.b)
        close(llf, lmmcore.mixedlm("y ~ a + c + d + f + (1 + t | id)", rest).fit(reml=False).llf)
        assert llf < fit.llf


def _longest(x, seen, n):
    """Return whether an array with n rows can be reached from x."""
    if id(x) in seen:
        return False
    seen.add(id(x))
    if isinstance(x, (np.ndarray, pd.Series, pd.DataFrame, pd.Index)):
        return n in x.shape
    inside = list(x.values()) if isinstance(x, dict) else []
    inside += list(x) if isinstance(x, (list, tuple)) else []
    inside += list(getattr(x, "__dict__", {}).values())
    return any(_longest(y, seen, n) for y in inside)


def storage(fit, dense):
    fit = make(dense.kind, NUMERIC)
    dense = Dense(fit)
    again = pickle.loads(pickle.dumps(fit))
    assert _longest(again, set(), 180)
    again.remove_data()
    assert not _longest(again, set(), 180)
    close(again.fe_params, dense.beta)
    errors_of_beta(again, dense)
    random_effects(again, dense)
    close(again.predict(dense.frame[:5]), fit.predict(dense.frame[:5]))
    assert str(again.summary()) == str(fit.summary())
    for call in (lambda: again.fittedvalues, lambda: again.bootstrap(2)):
        with pytest.raises(DataRemovedError):
            call()


def files(fit, dense, tmp_path):
    other = make(dense.kind, NUMERIC)
    other.save(tmp_path / "fit.pickle", remove_data=True)
    found = type(fit).load(tmp_path / "fit.pickle")
    close(found.params, np.asarray(fit.params))
    assert not _longest(found, set(), 180)


def frames(fit, dense):
    if dense.kind != "plain":
        return
    rows = fit.tidy("fixed")
    close(rows["estimate"], dense.beta)
    assert fit.glance()["nobs"].iloc[0] == len(dense.y)
    shown = fit.augment()
    close(shown[".fitted"] + shown[".resid"], dense.y)


def pictures(fit, dense):
    if dense.kind != "plain":
        return
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    drawn = fit.plot.residuals()
    close(np.sort(drawn.lines[0].get_xdata()), np.sort(np.asarray(fit.fittedvalues)))


TABLE = {
    certificate: ["convergence", "reml", "freepat", "gap", "residual", "df", "rounds"],
    criterion: ["criterion", "llf", "aic", "bic"],
    coefficients: ["fe_params", "params", "params_object"],
    variances: ["cov_re", "cov_re_unscaled", "scale", "vcomp", "theta", "varcorr"],
    errors_of_beta: ["cov_fe", "bse_fe"],
    errors: [
        "cov_params", "normalized_cov_params", "bse", "bse_re", "tvalues", "pvalues", "conf_int",
        "cov_params_note",
    ],
    errors_of_variances: ["cov_variances", "bse_variances", "covariance_parameters"],
    random_effects: [
        "random_effects", "random_effects_cov", "random_effects_frame", "random_effects_cov_frame",
    ],
    rows: ["fittedvalues", "resid", "predict"],
    hypotheses: [
        "t_test", "wald_test", "f_test", "wald_test_terms", "t_test_pairwise", "get_nlfun", "df_resid",
    ],
    analysis_of_variance: ["anova"],
    marginal_means: ["means", "slopes"],
    deletions: ["get_influence", "scores"],
    for_packages: ["design_matrix", "term_map", "reference_grid"],
    kinds_of_residuals: ["residuals", "simulate", "diagnostics"],
    all_profiles: ["profile"],
    variance_test: ["rlrt", "ranova", "drop1", "step"],
    explained: ["r_squared", "partial_r_squared", "icc", "conditional_aic", "aicc"],
    errors_of_random_effects: ["random_effects_se"],
    hess_diag: ["hess_diag"],
    bootstrap: ["bootstrap", "permutation_test"],
    refits: ["refit"],
    profile: ["profile_re"],
    profile_of_beta: ["profile_fe"],
    influence: ["hat_values", "effective_df", "weight_derivative"],
    names_and_numbers: [
        "nobs", "k_fe", "k_re", "k_re2", "k_vc", "k_constant", "k_constr", "method", "converged",
        "nfev", "hist", "use_t", "use_sqrt", "df_modelwc", "penalty", "summary",
    ],
    storage: ["remove_data"],
    files: ["save", "load"],
    frames: ["tidy", "glance", "augment"],
    pictures: ["plot"],
}  # fmt: skip


ONLY = {
    "plain": {
        "tidy",
        "glance",
        "augment",
        "plot",
        "random_effects_se",
        "get_influence",
        "scores",
        "partial_r_squared",
        "drop1",
        "step",
        "permutation_test",
        "diagnostics",
        "design_matrix",
        "term_map",
        "reference_grid",
        "residuals",
        "simulate",
        "profile",
        "ranova",
        "rlrt",
        "r_squared",
        "icc",
        "conditional_aic",
        "aicc",
        "anova",
        "means",
        "slopes",
        "profile_fe",
        "hat_values",
        "effective_df",
        "weight_derivative",
    },
    "joint": {"rounds"},
}
OF_A_PENALTY = {"penalty", "gap", "residual", "df", "rounds"}


@pytest.fixture(scope="module", params=list(KINDS.values()))
def fit(request):
    return make(request.param)


def test_the_table_names_every_public_attribute():
    named = [name for names in TABLE.values() for name in names]
    assert len(named) == len(set(named))
    for results, kind in KINDS.items():
        others = set().union(*(names for other, names in ONLY.items() if other != kind))
        of_kind = set(named) - others - (OF_A_PENALTY if kind == "plain" else set())
        assert {name for name in dir(results) if not name.startswith("_")} == of_kind


@pytest.mark.parametrize("check", TABLE, ids=lambda check: check.__name__)
def test_every_method(fit, check, tmp_path):
    check(fit, Dense(fit), *([tmp_path] if check is files else []))
