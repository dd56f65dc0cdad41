"""The summary of a fit with a residual structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..inference.choice import choice_of
from ..inference.contrasts import t_p_values, t_quantile
from ..inference.wald import level
from .parameters import covariance_parameters


class RepeatedSummary:
    """Tables of a fit: ``fixed`` and ``covariance`` are frames; printed, it is text."""

    def __init__(
        self, head: list[tuple[str, str]], fixed: pd.DataFrame, covariance: pd.DataFrame, end: str
    ) -> None:
        self.head, self.fixed, self.covariance, self.closing = head, fixed, covariance, end

    def as_text(self) -> str:
        """Return the summary as text."""
        width = max(len(name) for name, _ in self.head)
        lines = [f"{name.ljust(width)}  {value}" for name, value in self.head]

        def table(frame: pd.DataFrame) -> str:
            return frame.to_string(float_format=lambda x: f"{x:.4g}", na_rep="")

        return "\n".join([
            *lines, "", "Fixed effects", table(self.fixed), "", "Covariance parameters",
            self.covariance.to_string(index=False, float_format=lambda x: f"{x:.4g}", na_rep=""), "",
            self.closing,
        ])  # fmt: skip

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return f"{self.fixed.to_html(na_rep='')}{self.covariance.to_html(index=False, na_rep='')}"


def summary(
    results: Any, alpha: float = 0.05, *, intervals: str = "wald", ddf: Any = None, vcov: Any = None
) -> RepeatedSummary:
    """Return the summary of a fit.

    Parameters
    ----------
    alpha : float
        One minus the level of the intervals.
    intervals : {"wald", "profile"}
        Of the covariance parameters: from their standard errors (level 0.95), or from profile likelihoods.
    ddf, vcov : optional
        As for `t_test`.

    Raises
    ------
    OptionError
        Other intervals.
    """
    if intervals not in ("wald", "profile"):
        raise OptionError(f"intervals={intervals!r}; expected 'wald' or 'profile'")
    fit = results.fit
    choice, spec = choice_of(fit, ddf, vcov), fit.spec
    p = spec.k_fe
    se, df = choice.rows(fit, np.eye(p)) if p else (np.zeros(0), np.zeros(0))
    t = fit.beta / se
    reach = t_quantile(level(alpha), df) * se
    fixed = pd.DataFrame(
        {"estimate": fit.beta, "se": se, "df": df, "t": t, "p": t_p_values(t, df),
         f"[{alpha / 2:g}": fit.beta - reach, f"{1 - alpha / 2:g}]": fit.beta + reach},
        index=spec.exog_names,
    )  # fmt: skip
    k = fit.n_variances
    structure = fit.residual.structure
    groups = len(set(structure.positions.groups.tolist()))
    of_groups = "" if structure.term is None else f" in {groups} groups of residuals"
    head = [
        ("Formula", spec.formula or ""),
        ("Residuals", structure.title),
        ("Observations", f"{spec.nobs}{of_groups}"),
        ("Method", "REML" if fit.reml else "ML"),
        ("Log-likelihood", f"{-0.5 * fit.criterion:.4f}  (−2 log-likelihood {fit.criterion:.4f})"),
        ("Parameters", f"{p} fixed effects, {k} covariance parameters"),
        ("Degrees of freedom", choice.title),
    ]
    covariance = covariance_parameters(fit)
    if intervals == "profile":
        names = [
            name if term == "residual" else f"{name} {term}"
            for term, name in zip(covariance.term, covariance.parameter)
        ]
        limits = results.profile(names, 1.0 - alpha).frame()
        own = {"lower": limits.lower.to_numpy(), "upper": limits.upper.to_numpy()}
        covariance = covariance.assign(**own)
    return RepeatedSummary(head, fixed, covariance, str(fit.certificate))
