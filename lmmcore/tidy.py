"""Results as data frames, with the columns of R's broom.mixed: `tidy`, `glance`, `augment`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .errors import OptionError
from .inference.wald import level as checked_level

EFFECTS = ("fixed", "ran_pars", "ran_vals")
Row = tuple[Any, ...]


def tidy(
    results: Any,
    effects: str | Sequence[str] = ("fixed", "ran_pars"),
    *,
    conf_int: bool = False,
    conf_level: float = 0.95,
    ddf: Any = None,
    vcov: Any = None,
) -> pd.DataFrame:
    """Return estimates as a frame, one row for each parameter.

    Parameters
    ----------
    effects : str or sequence of {"fixed", "ran_pars", "ran_vals"}
        Fixed effects; standard deviations and correlations; the random effects themselves (BLUPs, with
        conditional standard deviations).
    conf_int : bool
        Whether to add the columns conf.low and conf.high, of fixed effects and random effects.
    conf_level : float
    ddf, vcov : optional
        As for `t_test`.

    Returns
    -------
    DataFrame
        The columns of broom.mixed: effect, group, (level,) term, estimate, std.error, statistic, df, p.value.
        Parameters of random effects are called sd__x, cor__x.z and sd__Observation.

    Raises
    ------
    OptionError
        Other effects.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> fit.tidy()[["effect", "group", "term"]].values.tolist()[2:4]
    [['ran_pars', 'Subject', 'sd__Intercept'], ['ran_pars', 'Subject', 'sd__Days']]
    """
    asked = [effects] if isinstance(effects, str) else list(effects)
    for name in asked:
        if name not in EFFECTS:
            raise OptionError(f"effects has {name!r}; expected some of {', '.join(EFFECTS)}")
    alpha = checked_level(1.0 - conf_level)
    parts = []
    if "fixed" in asked:
        parts.append(_fixed(results, alpha, ddf, vcov))
    if "ran_pars" in asked:
        columns = ["group", "term", "estimate", "std.error"]
        rows = pd.DataFrame(list(_parameters(results)), columns=columns)
        parts.append(rows.assign(effect="ran_pars"))
    if "ran_vals" in asked:
        parts.append(_values(results, alpha))
    columns = [
        "effect",
        "group",
        "level",
        "term",
        "estimate",
        "std.error",
        "statistic",
        "df",
        "p.value",
    ]
    whole = pd.concat([p.astype(object) for p in parts], ignore_index=True)
    if conf_int:
        columns += ["conf.low", "conf.high"]
    if "ran_vals" not in asked:
        columns.remove("level")
    out = whole.reindex(columns=columns)
    texts = ("effect", "group", "level", "term")
    numbers = {c: out[c].astype(float) for c in columns if c not in texts}
    return out.assign(**numbers, group=out["group"].where(out["group"].notna(), None))


def _fixed(results: Any, alpha: float, ddf: Any, vcov: Any) -> pd.DataFrame:
    fit = results.fit
    names = list(fit.spec.exog_names)
    if not names:
        return pd.DataFrame({"term": []})
    test = results.t_test(np.eye(len(names)), ddf=ddf, vcov=vcov)
    limits = test.conf_int(alpha)
    return pd.DataFrame(
        {
            "effect": "fixed", "term": names, "estimate": np.ravel(test.effect),
            "std.error": np.ravel(test.sd), "statistic": np.ravel(test.statistic),
            "df": np.broadcast_to(test.df_denom, len(names)), "p.value": np.ravel(test.pvalue),
            "conf.low": limits[:, 0], "conf.high": limits[:, 1],
        }
    )  # fmt: skip


def _parameters(results: Any) -> Iterator[Row]:
    """Yield group, name, estimate and standard error of standard deviations and correlations."""
    fit, table = results.fit, results.covariance_parameters
    known = {
        (t, p): (e, s) for t, p, e, s in table[["term", "parameter", "estimate", "std_err"]].values
    }
    for term, g in zip(fit.layout.terms, fit.relative):
        sd = np.sqrt(np.maximum(np.diag(g) * fit.scale, 0.0))
        own = [x or term.group for x in term.shown]
        for i, name in enumerate(own):
            error = known.get((term.title, f"sd({name})"), (0, np.nan))[1]
            yield term.group, f"sd__{name}", float(sd[i]), error
        for i in range(len(own)):
            for j in range(i):
                with np.errstate(invalid="ignore", divide="ignore"):
                    r = g[i, j] / np.sqrt(g[i, i] * g[j, j])
                error = known.get((term.title, f"corr({own[j]}, {own[i]})"), (0, np.nan))[1]
                yield term.group, f"cor__{own[j]}.{own[i]}", float(r), error
    for (title, name), (estimate, error) in known.items():
        if title == "residual" and name != "sigma":
            yield "Residual", name, estimate, error
    error = known.get(("residual", "sigma"), (0, np.nan))[1]
    yield "Residual", "sd__Observation", float(np.sqrt(fit.scale)), error


def _values(results: Any, alpha: float) -> pd.DataFrame:
    from scipy.special import ndtri

    fit = results.fit
    if not fit.layout.terms or fit.spec.has_components:
        raise OptionError(
            "effects='ran_vals' of a model without bars; expected random effects as bars, such as (1 | g)"
        )
    parts = []
    for name, means, sds in random_effects_of_factors(results):
        q, k = means.shape
        terms = np.array(["Intercept" if c == name else c for c in means.columns], dtype=object)
        parts.append(
            pd.DataFrame(
                {
                    "effect": "ran_vals", "group": name,
                    "level": np.repeat(means.index.astype(str).to_numpy(dtype=object), k),
                    "term": np.tile(terms, q),
                    "estimate": means.to_numpy().ravel(), "std.error": sds.ravel(),
                }
            )
        )  # fmt: skip
    out = pd.concat(parts, ignore_index=True)
    reach = float(ndtri(1.0 - alpha / 2.0)) * out["std.error"]
    limits = {"conf.low": out["estimate"] - reach, "conf.high": out["estimate"] + reach}
    return out.assign(**limits)


def random_effects_of_factors(results: Any) -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    """Yield each grouping factor, its BLUPs (q, k) and their conditional standard deviations (q, k)."""
    from .random_effects import crossed_effects_of, independent_effects

    fit, spec = results.fit, results.fit.spec
    if fit.is_crossed:
        found: Any = crossed_effects_of(fit)
        covariances = found.covariances
        frames = results.random_effects
        for factor, own in zip(found.factors, covariances):
            sds = np.sqrt(fit.scale * np.diagonal(own, axis1=1, axis2=2))
            yield factor.name, frames[factor.name], sds
        return
    names = list(fit.layout.coefficient_names)
    q, k = spec.factors[0].n_levels, len(names)
    one = independent_effects(fit)
    index = pd.Index(spec.factors[0].labels)
    means = pd.DataFrame(one.means(q, k), index=index, columns=names)
    yield (
        spec.factors[0].name,
        means,
        np.sqrt(fit.scale * np.diagonal(one.covariances(q, k), axis1=1, axis2=2)),
    )


def glance(results: Any) -> pd.DataFrame:
    """Return one row of facts about a fit.

    Returns
    -------
    DataFrame
        The columns of broom.mixed: nobs, sigma, logLik, AIC, BIC, REMLcrit or deviance, df.residual (rows
        less all parameters). BIC takes the logarithm of the number of rows, as R does.
    """
    fit = results.fit
    k, n = fit.spec.k_fe + fit.n_variances, fit.spec.nobs
    value = {"REMLcrit" if fit.reml else "deviance": fit.criterion}
    row = {
        "nobs": n, "sigma": float(np.sqrt(fit.scale)), "logLik": -0.5 * fit.criterion,
        "AIC": fit.criterion + 2.0 * k, "BIC": fit.criterion + k * float(np.log(n)), **value,
        "df.residual": n - k,
    }  # fmt: skip
    return pd.DataFrame([row])


def augment(results: Any, data: Any = None) -> pd.DataFrame:
    """Return the rows of a model with fitted values and residuals.

    Parameters
    ----------
    data : DataFrame, optional
        Rows to predict; by default those of the model.

    Returns
    -------
    DataFrame
        The table of the model, or `data`, with the columns of broom.mixed: .fitted (with random effects),
        .fixed (without), and for the rows of the model .resid and, where they are known, .hat (leverages).

    Raises
    ------
    OptionError
        A model of arrays, which has no table, and no `data`.
    """
    if data is not None:
        from .design.build import as_frame

        frame = as_frame(data).copy()
        levels = bool(results.fit.layout.terms)
        both = {"random_effects": True, "new_groups": "zero"} if levels else {}
        fitted = np.asarray(results.predict(frame, **both), dtype=float)
        fixed = np.asarray(results.predict(frame), dtype=float)
        return frame.assign(**{".fitted": fitted, ".fixed": fixed})
    design = results.model.design
    table = design.table
    if table is None:
        raise OptionError("augment of a model of arrays, which has no table; expected data=")
    frame = (table if design.in_table is None else table.iloc[design.in_table]).copy()
    fixed = np.asarray(results.model.exog, dtype=float) @ results.fit.beta
    frame[".fitted"] = np.asarray(results.fittedvalues, dtype=float)
    frame[".resid"] = np.asarray(results.resid, dtype=float)
    frame[".fixed"] = fixed if design.offset is None else fixed + design.offset
    if hasattr(type(results), "hat_values"):
        frame[".hat"] = np.asarray(results.hat_values, dtype=float)
    return frame
