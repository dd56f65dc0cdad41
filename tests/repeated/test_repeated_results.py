"""Results of models with residual structures: what they offer, and what they refuse."""

import pickle

import numpy as np
import pandas as pd
import pytest
from reference_models import frame, inference_reference

import lmmcore
from lmmcore.errors import (
    DataValueError,
    DesignError,
    FormulaError,
    LmmcoreError,
    NameNotFoundError,
    NotIdentifiedWarning,
    OptionError,
)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    g, t = np.repeat(np.arange(40), 5), np.tile(np.arange(5), 40)
    out = pd.DataFrame({"g": g, "t": t, "x": rng.standard_normal(200)})
    out["arm"] = np.where(g % 2, "b", "a")
    noise = rng.standard_normal((40, 5))
    for j in range(1, 5):
        noise[:, j] = 0.6 * noise[:, j - 1] + 0.8 * noise[:, j]
    out["y"] = 1 + out.x + 0.7 * rng.standard_normal(40)[g] + noise.ravel()
    out["visit"] = pd.Categorical(t)
    return out


@pytest.fixture(scope="module")
def fit(data):
    return lmmcore.mixedlm("y ~ x + arm + (1 | g)", data, residual="ar1(t | g)").fit()


def test_compound_symmetry_is_a_random_intercept():
    data = lmmcore.datasets.load_orthodont()
    marginal = lmmcore.gls("distance ~ age * Sex", data, "cs(1 | Subject)")
    mixed = lmmcore.mixedlm("distance ~ age * Sex + (1 | Subject)", data)
    for reml in (True, False):
        a, b = marginal.fit(reml=reml), mixed.fit(reml=reml)
        assert a.llf == pytest.approx(b.llf, abs=1e-8)
        np.testing.assert_allclose(a.bse_fe, b.bse_fe, rtol=1e-5)
        between = float(b.cov_re.iloc[0, 0])
        assert a.scale == pytest.approx(between + b.scale, rel=1e-5)
        rho = a.covariance_parameters.set_index("parameter").estimate["rho"]
        assert rho == pytest.approx(between / (between + b.scale), rel=1e-5)
        one, two = (f.t_test(np.eye(4)) for f in (a, b))
        np.testing.assert_allclose(one.df_denom, two.df_denom, rtol=1e-4)
        assert a.aic == pytest.approx(b.aic, nan_ok=True) if not reml else True
        columns = ["df_num", "df_denom", "F", "pvalue"]
        pd.testing.assert_frame_equal(
            a.anova().table[columns], b.anova().table[columns], rtol=1e-3, check_dtype=False
        )


def test_satterthwaite_knows_of_the_correlation(data):
    """Beside differences of the covariance of β̂ and of the likelihood in all parameters."""
    fit = lmmcore.mixedlm(
        "y ~ x + arm + (1 | g)", data, residual="ar1(t | g)", variance="by(arm)"
    ).fit()
    from lmmcore.repeated.likelihood import JointLikelihood

    residual = fit.fit.residual
    joint = JointLikelihood(fit.model.equations, residual.products, True)
    psi = np.concatenate([fit.fit.point.theta, residual.u])
    L = np.array([0.3, 1.0, -0.5])

    def variance(at):
        inner = joint.inner(at[joint.m_theta :]).likelihood
        state = inner.point(at[: joint.m_theta].copy()).state
        coordinates = inner.coordinates
        return L @ coordinates.covariance(state, inner.scale_at(state)) @ L

    steps = 1e-4 * np.eye(len(psi))
    slope = np.array([(variance(psi + e) - variance(psi - e)) / 2e-4 for e in steps])
    hessian = np.array(
        [
            (joint.value_and_gradient(psi + e)[1] - joint.value_and_gradient(psi - e)[1]) / 2e-4
            for e in steps
        ]
    )
    f = variance(psi)
    spread = slope @ (2 * np.linalg.inv(hessian)) @ slope + 2 * f**2 / fit.fit.n_eff
    assert fit.t_test(L).df_denom == pytest.approx(2 * f**2 / spread, rel=1e-4)
    assert fit.t_test(L).sd == pytest.approx(np.sqrt(f), rel=1e-8)


def test_what_results_offer(data, fit):
    assert fit.converged
    table = fit.covariance_parameters
    assert list(table.parameter) == ["sd(Intercept)", "rho", "sigma"]
    assert (table.std_err > 0).all()
    rho = table.estimate[1]
    correlation = fit.residual_correlation(3)
    np.testing.assert_allclose(correlation.iloc[0], rho ** np.arange(5), rtol=1e-10)
    np.testing.assert_allclose(np.diag(fit.residual_covariance()), fit.scale)
    fitted = fit.predict(data, random_effects=True)
    np.testing.assert_allclose(fit.fittedvalues, fitted)
    np.testing.assert_allclose(fit.resid, data.y - fitted)
    np.testing.assert_allclose(fit.residuals("marginal"), data.y - fit.predict())
    np.testing.assert_allclose(fit.residuals("pearson"), fit.resid / np.sqrt(fit.scale))
    root = np.linalg.cholesky(fit.residual_correlation(7))
    own = np.linalg.solve(root, fit.residuals("pearson")[data.g == 7])
    np.testing.assert_allclose(fit.residuals("normalized")[data.g == 7], own)
    assert fit.means("arm").frame().shape[0] == 2
    assert fit.conf_int().shape == (3, 2)
    np.testing.assert_allclose(fit.tvalues, fit.fe_params / fit.bse_fe)
    assert (fit.pvalues < 1).all()
    text = str(fit.summary())
    for words in ("ar1(t | g)", "Satterthwaite", "rho", "Covariance parameters", "Converged"):
        assert words in text
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_allclose(again.t_test(np.eye(3)).df_denom, fit.t_test(np.eye(3)).df_denom)


def test_simulated_responses_have_the_covariance(data, fit):
    drawn = fit.simulate(4000, rng=1)
    own = (drawn - np.asarray(fit.predict())[:, None])[:5]
    expected = fit.residual_covariance().to_numpy() + float(fit.cov_re.iloc[0, 0])
    assert np.abs(own @ own.T / 4000 - expected).max() < 6 * expected.max() / np.sqrt(4000)


def test_weights_and_variances(data):
    weighted = data.assign(
        w=np.where(data.arm == "b", 4.0, 1.0), v=np.where(data.arm == "b", 0.25, 1.0)
    )
    one = lmmcore.gls("y ~ x", weighted, "cs(1 | g)", weights="w").fit()
    two = lmmcore.gls("y ~ x", weighted, "cs(1 | g)", "fixed(v)").fit()
    assert one.llf == pytest.approx(two.llf, abs=1e-8)
    np.testing.assert_allclose(one.fe_params, two.fe_params, rtol=1e-6)
    both = lmmcore.gls("y ~ x", data, "ar1(visit | g)", "by(visit)").fit()
    same = lmmcore.gls("y ~ x", data, "ar1h(visit | g)").fit()
    assert both.llf == pytest.approx(same.llf, abs=1e-7)


def test_objects_mean_the_same_as_text(data):
    one = lmmcore.gls("y ~ x", data, "matern(t | g, nu=1.5)").fit()
    term = lmmcore.residual_structure("matern", "t", groups="g", nu=1.5)
    assert str(term) == "matern(t | g, nu=1.5)"
    assert lmmcore.gls("y ~ x", data, term).fit().llf == one.llf


def test_what_is_not_identified_is_said(data):
    with pytest.warns(NotIdentifiedWarning, match=r"rho of cs\(1 \| g\)"):
        fit = lmmcore.mixedlm("y ~ x + (1 | g)", data, residual="cs(1 | g)").fit()
    assert not fit.convergence.identified
    assert fit.covariance_parameters.std_err.isna().all()


def gaps(data):
    return data.drop(index=[3, 11, 12])


def tied(data):
    return data.assign(t=np.where(data.index == 7, 1, data.t))


QUESTIONS = {
    "a stratum that varies within groups": (
        lambda d: lmmcore.gls("y ~ x", d.assign(s=d.t % 2), "ar1(t | g, by=s)"), DataValueError,
        "s varies within the group 0"),
    "strata that are none": (
        lambda d: lmmcore.gls("y ~ x", d.assign(s=1), "ar1(t | g, by=s)"), DataValueError, "one level 1"),
    "no residuals at all": (lambda d: lmmcore.gls("y ~ x", d), OptionError, "is least squares"),
    "bars in gls": (lambda d: lmmcore.gls("y ~ x + (1 | g)", d, "cs(1 | g)"), FormulaError, "mixedlm"),
    "no structure": (lambda d: lmmcore.gls("y ~ x", d, "ar2(t | g)"), OptionError, "'ar2'"),
    "no form": (lambda d: lmmcore.gls("y ~ x", d, "ar1"), OptionError, "expected text such as"),
    "no column": (lambda d: lmmcore.gls("y ~ x", d, "ar1(tt | g)"), NameNotFoundError, "did you mean 't'"),
    "no group": (lambda d: lmmcore.gls("y ~ x", d, "ar1(t | gg)"), LmmcoreError, "'gg'"),
    "an unknown option": (lambda d: lmmcore.gls("y ~ x", d, "ar1(t | g, p=2)"), OptionError, "no option 'p'"),
    "an option of no number": (lambda d: lmmcore.gls("y ~ x", d, "arma(t | g, p=x)"), OptionError, "p=x"),
    "equal times": (
        lambda d: lmmcore.gls("y ~ x", tied(d), "ar1(t | g)"), DataValueError,
        r"rows 6 and 7 of the group 1 have the same t \(1\)"),
    "equal positions": (
        lambda d: lmmcore.gls("y ~ x", d.assign(z=0.0), "exp(z | g)"), DataValueError, "the same z"),
    "times that are no whole numbers": (
        lambda d: lmmcore.gls("y ~ x", d.assign(t=d.t + 0.5 * (d.index == 3)), "ar1(t | g)"), DataValueError,
        "3.5 in row 3.*car1"),
    "a missing coordinate": (
        lambda d: lmmcore.gls("y ~ x", d.assign(t=d.t.where(d.index != 9)), "car1(t | g)"), DataValueError,
        r"t is missing in row 9 \(group 1\)"),
    "visits that are numbers": (
        lambda d: lmmcore.mmrm("y ~ x", d, "un(t | g)"), OptionError,
        r"categorical variable, such as C\(visit\)"),
    "groups of one row": (lambda d: lmmcore.gls("y ~ x", d.assign(i=d.index), "ar1(t | i)"), DesignError,
                          "every group has one row"),
    "groups to choose": (
        lambda d: lmmcore.mixedlm("y ~ x + (1 | g) + (1 | t)", d, residual="ar1(t)"), DesignError,
        "several grouping factors"),
    "a power of zero": (lambda d: lmmcore.gls("y ~ x", d, variance="power(t)"), DataValueError,
                        "t is 0 in row 0"),
    "one stratum": (lambda d: lmmcore.gls("y ~ x", d.assign(s=1), variance="by(s)"), DataValueError,
                    "one level 1"),
    "a variance of no form": (lambda d: lmmcore.gls("y ~ x", d, variance="sqrt(t)"), OptionError,
                              r"by\(sex\)"),
    "no optimizer": (lambda d: lmmcore.gls("y ~ x", d, "cs(1 | g)").fit(method="nowton"), OptionError,
                     "nowton"),
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_bad_input(data, question):
    ask, error, words = QUESTIONS[question]
    with pytest.raises(error, match=words):
        ask(data)


def test_methods_that_are_not_offered_say_so(fit):
    for name in ("ranova", "rlrt", "fit_regularized"):
        with pytest.raises(AttributeError, match=name):
            getattr(fit, name)
    with pytest.raises(AttributeError, match="loglike"):
        getattr(fit.model, "loglike")  # noqa: B009
    with pytest.raises(OptionError, match="group=99"):
        fit.residual_covariance(99)
    with pytest.raises(OptionError, match="kind='deviance'"):
        fit.residuals("deviance")


def test_missing_visits_and_unsorted_rows(data):
    some = gaps(data)
    mixed = some.sample(frac=1.0, random_state=3)
    for residual in ("ar1(t | g)", "un(visit | g)", "toeph(visit | g)"):
        one, two = (lmmcore.gls("y ~ x", d, residual).fit() for d in (some, mixed))
        assert one.llf == pytest.approx(two.llf, abs=1e-8)
    # A row whose response is missing is a missing visit.
    hole = data.assign(y=data.y.where(~data.index.isin([3, 11, 12])))
    assert lmmcore.gls("y ~ x", hole, "ar1(t | g)").fit().llf == pytest.approx(
        lmmcore.gls("y ~ x", some, "ar1(t | g)").fit().llf, abs=1e-8
    )


def test_fev_has_no_false_optimum():
    data = frame("fev")
    best = lmmcore.mmrm("FEV1 ~ ARMCD * AVISIT", data, "un(AVISIT | USUBJID)").fit()
    other = lmmcore.mmrm("FEV1 ~ ARMCD * AVISIT", data, "un(AVISIT | USUBJID)").fit(method="bfgs")
    assert best.criterion == pytest.approx(other.criterion, abs=1e-5)


def test_likelihood_ratio_tests(data):
    plain = lmmcore.mixedlm("y ~ x + (1 | g)", data)
    ar1 = lmmcore.mixedlm("y ~ x + (1 | g)", data, residual="ar1(visit | g)")
    heterogeneous = lmmcore.mixedlm("y ~ x + (1 | g)", data, residual="ar1h(visit | g)")
    fits = [m.fit() for m in (plain, ar1, heterogeneous)]
    found = lmmcore.anova(*fits)
    table = found.table
    assert found.note.startswith("Restricted likelihoods")
    assert table.npar.tolist() == [4, 5, 9]
    assert table.chisq[1] == pytest.approx(2 * (fits[1].llf - fits[0].llf))
    assert table["df"][2] == 4
    small = lmmcore.mixedlm("y ~ 1 + (1 | g)", data, residual="ar1(visit | g)").fit()
    both = lmmcore.anova(small, fits[1])
    assert both.note.startswith("Likelihoods (ML)")
    ml = [m.fit(reml=False).llf for m in (small.model, ar1)]
    assert both.table.chisq[1] == pytest.approx(2 * (ml[1] - ml[0]), rel=1e-6)
    other = lmmcore.mixedlm("y ~ x + (1 | g)", data, residual="car1(t | g)").fit()
    with pytest.raises(DataValueError, match="not known to be a special case"):
        lmmcore.anova(fits[2], other)
    with pytest.raises(OptionError, match="test='bootstrap' of models with residual structures"):
        lmmcore.anova(*fits[:2], test="bootstrap")


def test_bioequivalence_with_a_residual_variance_for_each_formulation():
    """Beside SAS PROC MIXED, TYPE=FA0(2) and GROUP=formulation; the correlation is at one."""
    known = inference_reference("small_sample")["bioequivalence_homogeneous"]
    formula = known["formula"].replace("(1|subject)", "(0+formulation|subject)")
    fit = lmmcore.mixedlm(formula, pd.DataFrame(known["data"]), variance="by(formulation)").fit()
    test = fit.t_test(np.eye(6))
    j = int(np.argmin(np.abs(test.effect + 0.14546432188337)))
    assert test.sd[j] == pytest.approx(0.04650122835376, rel=1e-5)
    assert test.df_denom[j] == pytest.approx(207.734976426463, rel=1e-5)
    ratio = fit.covariance_parameters.set_index("parameter").estimate["sd(T) / sd(R)"]
    assert fit.scale == pytest.approx(0.20211804636322, rel=1e-5)
    assert fit.scale * ratio**2 == pytest.approx(0.11739413358478, rel=1e-5)
    assert fit.convergence.boundary


def test_parameters_of_each_arm_are_two_separate_fits(data):
    """With separate fixed effects, the likelihood is that of two fits."""
    both = lmmcore.gls("y ~ 0 + arm + arm:x", data, 'cs(1 | g, by="arm")')
    parts = [lmmcore.gls("y ~ x", data[data.arm == a], "cs(1 | g)").fit(reml=False) for a in "ab"]
    fit = both.fit(reml=False)
    assert fit.llf == pytest.approx(sum(p.llf for p in parts), abs=1e-7)
    table = fit.covariance_parameters.set_index("parameter").estimate
    for arm, part in zip("ab", parts):
        rho = part.covariance_parameters.set_index("parameter").estimate["rho"]
        assert table[f"{arm}: rho"] == pytest.approx(rho, rel=1e-5)
    ratio = np.sqrt(parts[1].scale / parts[0].scale)
    assert table["sd(b) / sd(a)"] == pytest.approx(ratio, rel=1e-5)
    correlation = fit.residual_correlation(1)
    assert correlation.iloc[0, 1] == pytest.approx(table["b: rho"])
    assert np.isfinite(both.fit().t_test(np.eye(4), ddf="kenward-roger-second").df_denom).all()


@pytest.mark.parametrize(
    ("formula", "residual"),
    [
        ("y ~ x + (1 | g)", "ar1(t | g)"), ("y ~ x", "ar1(t | g)"), ("y ~ x", "un(visit | g)"),
        ("y ~ x", "exp(t | g, nugget=True)"), ("y ~ x", "toeph(visit | g)"),
    ],
)  # fmt: skip
def test_predictions_use_the_correlation_within_a_group(data, formula, residual):
    """Beside Cov(new, old) V⁻¹ (y − Xβ̂) in n × n matrices."""
    kept = data[~((data.t == 3) & (data.g < 5))]
    new = pd.concat([data[(data.t == 3) & (data.g < 5)], data.iloc[-1:].assign(g=99)])
    if "|" in formula:
        fit = lmmcore.mixedlm(formula, kept, residual=residual).fit()
        between = float(fit.cov_re.iloc[0, 0])
    else:
        fit, between = lmmcore.gls(formula, kept, residual).fit(), 0.0
    options = {"random_effects": "|" in formula, "correlated": True, "new_groups": "zero"}
    found = fit.predict(new, **options)
    everything = pd.concat([kept, new])
    g, t = everything.g.to_numpy(), everything.t.to_numpy()
    r = fit.residual_covariance(39).to_numpy()[np.ix_(t, t)]
    if "nugget" in residual:  # the same position is another residual
        r = np.where(np.arange(len(t))[:, None] == np.arange(len(t)), np.diag(r)[0], r)
    v = (r + between) * (g[:, None] == g[None, :])
    n = len(kept)
    e = kept.y - fit.predict(kept)
    expected = fit.predict(new) + v[n:, :n] @ np.linalg.solve(v[:n, :n], e)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(OptionError, match="expected new rows"):
        fit.predict(correlated=True)
    with pytest.raises(NameNotFoundError, match=r"needs the column '(t|visit)'"):
        fit.predict(new.drop(columns=["t", "visit"]), **options)


def test_predictions_that_cannot_use_the_correlation(data):
    fit = lmmcore.gls("y ~ x", data, "ar1(t | g)", "by(arm)").fit()
    with pytest.raises(OptionError, match="no variance function"):
        fit.predict(data, correlated=True)
    visits = lmmcore.gls("y ~ x", data, "un(visit | g)").fit()
    with pytest.raises(DataValueError, match="has the level '9'"):
        visits.predict(data.assign(visit="9"), correlated=True)
    mixed = lmmcore.mixedlm("y ~ x + (1 | g)", data, residual="ar1(t | g)").fit()
    with pytest.raises(OptionError, match="random_effects=False"):
        mixed.predict(data, correlated=True)
