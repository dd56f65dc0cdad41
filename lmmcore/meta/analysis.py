"""The results of a meta-analysis: coefficients, heterogeneity, predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc, ndtr, ndtri, stdtr, stdtrit

from ..design.build import as_frame
from ..errors import OptionError
from ..inference.wald import level as checked_level
from ..model import MixedLM
from .heterogeneity import KnownEffects
from .profile import limits


@dataclass(frozen=True, eq=False)
class MetaAnalysis:
    """A fitted meta-analysis.

    Attributes
    ----------
    results : MixedLMResults or RepeatedResults
        The fitted model. Its residual variance is held, as sampling variances are known.
    effects : KnownEffects
        Effects, their columns and known covariances, in the rows used.
    labels : list
        Of the rows used.
    test : str
        "z", "t" or "knapp-hartung".
    by_row : bool
        Whether the random effect is one for each row: then `tau2` is its variance.
    level : float
        Of all intervals.
    """

    results: Any
    effects: KnownEffects
    labels: list[Any]
    test: str
    by_row: bool
    level: float

    # Coefficients

    @property
    def df(self) -> float:
        """Degrees of freedom of tests: k − p, infinite with ``test="z"``."""
        return float("inf") if self.test == "z" else float(self.effects.df)

    @cached_property
    def cov(self) -> np.ndarray:
        """Covariance matrix of the coefficients (p, p).

        With "knapp-hartung" it is multiplied by ``Σ w e²/(k − p)``, e the residuals from Xβ̂ and
        w = 1/(v + τ̂²) (Knapp and Hartung 2003, Statistics in Medicine 22, 2693–2710).
        """
        cov = np.asarray(self.results.cov_fe, dtype=float)
        if self.test != "knapp-hartung":
            return cov
        return cov * self.effects.q(self.tau2) / self.effects.df

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        """Estimates with standard errors, tests and intervals, a row for each coefficient."""
        estimate = np.asarray(self.results.fe_params, dtype=float)
        se = np.sqrt(np.diag(self.cov))
        statistic = estimate / se
        reach = self._quantile * se
        below = -np.abs(statistic)
        p = 2.0 * (ndtr(below) if self.test == "z" else stdtr(self.df, below))
        return pd.DataFrame(
            {
                "estimate": estimate, "se": se, "statistic": statistic, "df": self.df, "p": p,
                "lower": estimate - reach, "upper": estimate + reach,
            },
            index=self.results.fe_params.index,
        )  # fmt: skip

    @property
    def _quantile(self) -> float:
        part = 0.5 + 0.5 * self.level
        return float(ndtri(part) if self.test == "z" else stdtrit(self.df, part))

    # Heterogeneity

    @cached_property
    def variances(self) -> pd.Series:
        """The variance of each random effect of one coefficient, by term."""
        fit, out = self.results.fit, dict[str, float]()
        for term, g in zip(fit.layout.terms, fit.relative):
            if len(g) > 1:
                raise OptionError(
                    f"{term.title} has several random coefficients, and no single variance; expected terms "
                    "of one. `results` has the covariance matrix: cov_re, covariance_parameters"
                )
            out[term.title] = float(g[0, 0] * fit.scale)
        return pd.Series(out, dtype=float, name="variance")

    @property
    def tau2(self) -> float:
        """The variance between studies: the sum of `variances`; zero without random effects."""
        return float(self.variances.sum())

    @cached_property
    def se_tau2(self) -> float:
        """The standard error of τ² with a random effect for each row, from the expected information.

        Raises
        ------
        OptionError
            Other random effects: ``results.covariance_parameters`` has their standard errors.
        """
        if not self.by_row:
            raise OptionError(
                "se_tau2 is for one random effect for each row; results.covariance_parameters has standard "
                "errors of other models"
            )
        return float(self.effects.information(self.tau2, self.results.reml) ** -0.5)

    @cached_property
    def i2(self) -> float:
        """I²: the part of τ² in ``τ² + s²``, percent, where s² is the typical sampling variance."""
        return self.i2_of(self.tau2)

    @cached_property
    def i2_by_level(self) -> pd.Series:
        """The part of each variance in ``τ² + s²``, percent."""
        whole = self.tau2 + self.effects.typical_variance
        return (100.0 * self.variances / whole).rename("I²")

    def i2_of(self, tau2: float) -> float:
        """Return I² (percent) for a value of τ²."""
        return 100.0 * tau2 / (tau2 + self.effects.typical_variance)

    @property
    def h2(self) -> float:
        """H²: ``(τ² + s²)/s²``."""
        s2 = self.effects.typical_variance
        return (self.tau2 + s2) / s2

    @cached_property
    def q(self) -> pd.Series:
        """Cochran's test of heterogeneity: Q, df, p."""
        value, df = self.effects.q(), self.effects.df
        return pd.Series({"Q": value, "df": float(df), "p": float(chdtrc(df, value))})

    def tau2_interval(self, method: str = "q-profile", level: float | None = None) -> pd.DataFrame:
        """Return confidence limits of the variances.

        Parameters
        ----------
        method : {"q-profile", "profile"}
            "q-profile", for one random effect for each row (Viechtbauer 2007, Statistics in Medicine 26,
            37–52), or "profile": the profile of the (restricted) likelihood, for terms of one coefficient.
        level : float, optional

        Returns
        -------
        DataFrame
            estimate, lower, upper, for each term; with one random effect for each row also of τ, I² and H².

        Raises
        ------
        OptionError
            Another method; Q-profile limits of other models; no random effects.
        """
        level = self.level if level is None else 1.0 - checked_level(1.0 - level)
        if not len(self.variances):
            raise OptionError(
                "tau2_interval of a model without random effects; expected random effects"
            )
        if method == "q-profile":
            if not self.by_row:
                raise OptionError(
                    "Q-profile limits are for one random effect for each row; expected method='profile'"
                )
            found = [self.effects.q_profile(level)]
        elif method == "profile":
            found = [limits(self.results.fit, t, level) for t in range(len(self.variances))]
        else:
            raise OptionError(f"method={method!r}; expected 'q-profile' or 'profile'")
        rows: list[tuple[float, ...]] = [(v, *own) for v, own in zip(self.variances, found)]
        names = list(self.variances.index)
        if self.by_row:
            (row,) = rows
            s2 = self.effects.typical_variance
            rows = [
                row, tuple(np.sqrt(row)), tuple(self.i2_of(x) for x in row),
                tuple((x + s2) / s2 for x in row),
            ]  # fmt: skip
            names = ["tau2", "tau", "I2", "H2"]
        return pd.DataFrame(rows, index=names, columns=["estimate", "lower", "upper"])

    # Predictions

    def predict(self, data: Any = None) -> pd.DataFrame:
        """Return the mean effect with its confidence interval and the prediction interval of a true effect.

        The prediction interval has the variance ``x'Cov(β̂)x + τ²`` (Higgins, Thompson and Spiegelhalter 2009,
        J. R. Stat. Soc. A 172, 137–159, with normal quantiles for ``test="z"``).

        Parameters
        ----------
        data : DataFrame, optional
            Values of the moderators; not needed without moderators.

        Returns
        -------
        DataFrame
            estimate, se, lower, upper, prediction_lower, prediction_upper.

        Raises
        ------
        OptionError
            A model with moderators and no `data`.
        """
        if data is None:
            x = np.unique(self.effects.x, axis=0)
            if len(x) > 1:
                raise OptionError(
                    "predict() of a model with moderators; expected data with their values"
                )
            index: Any = ["mean effect"]
        else:
            frame = as_frame(data)
            x, index = np.asarray(self.results.design_matrix(frame), dtype=float), frame.index
        estimate = x @ np.asarray(self.results.fe_params, dtype=float)
        variance = np.einsum("ia,ab,ib->i", x, self.cov, x)
        reach, of_one = (
            self._quantile * np.sqrt(variance),
            self._quantile * np.sqrt(variance + self.tau2),
        )
        return pd.DataFrame(
            {
                "estimate": estimate, "se": np.sqrt(variance), "lower": estimate - reach,
                "upper": estimate + reach, "prediction_lower": estimate - of_one,
                "prediction_upper": estimate + of_one,
            },
            index=index,
        )  # fmt: skip

    def true_effects(self) -> pd.DataFrame:
        """Return empirical Bayes estimates of the true effects Xβ̂ + u of the rows, with standard errors.

        Raises
        ------
        OptionError
            A model with a covariance matrix of several rows, or without random effects.
        """
        if not isinstance(self.results.model, MixedLM):
            raise OptionError(
                "true_effects is for known variances and random effects; results.random_effects has the "
                "predictions of other models"
            )
        table: Any = self.results.model.design.table
        frame = table.iloc[self._used]
        found = self.results.predict(frame, random_effects="all", interval="confidence", ddf="z")
        z = float(ndtri(0.5 + 0.5 * self.level))
        fit, se = found["fit"].to_numpy(), found["se"].to_numpy()
        out = {"estimate": fit, "se": se, "lower": fit - z * se, "upper": fit + z * se}
        return pd.DataFrame(out, index=pd.Index(self.labels))

    @property
    def _used(self) -> np.ndarray:
        design = self.results.model.design
        n = len(design.table)
        return np.arange(n) if design.in_table is None else design.in_table

    # Display

    def summary(self) -> str:
        """Return the analysis as text."""
        fit = self.results.fit
        k, lines = len(self.effects.y), list[str]()
        kind = "Random-effects" if fit.layout.terms else "Common-effect"
        lines.append(f"{kind} meta-analysis of {k} effects ({'REML' if fit.reml else 'ML'})")
        lines.append(f"Formula: {fit.spec.formula}; {self.results.nobs} rows; test: {self.test}")
        lines.append("")
        if fit.layout.terms:
            if any(len(g) > 1 for g in fit.relative):
                lines.append(str(self.results.varcorr.to_string(index=False)))
            else:
                for name, value in self.variances.items():
                    lines.append(f"tau² {name}: {value:.4g} (SD {np.sqrt(value):.4g})")
                lines.append(f"I² {self.i2:.1f} %, H² {self.h2:.2f}")
        q = self.q
        lines.append(f"Q = {q['Q']:.2f}, df = {q['df']:.0f}, p = {q['p']:.3g}")
        lines.append("")
        lines.append(self.coefficients.to_string(float_format=lambda x: f"{x:.4f}"))
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<pre>{self.summary()}</pre>"

    def forest(self, ax: Any = None) -> Any:
        """Draw the effects with their intervals, the pooled effect and the prediction interval.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from .forest import forest

        return forest(self, ax)
