"""A penalized fit at many strengths: coefficients, degrees of freedom and criteria along the path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln

from ..errors import OptionError
from ..penalties.descent import Solution
from ..penalties.problem import PenalizedQuadratic, PenaltyTerms
from ..results import MixedLMResults
from .fit import Recipe, held_results, joint_results
from .plots import plot_path
from .results import RegularizedResults
from .selection import CrossValidation, StabilitySelection, cross_validate, stability
from .variances import Joint

CRITERIA = ("aic", "bic", "ebic")


@dataclass(frozen=True, eq=False)
class RegularizationPath:
    """Penalized fits at decreasing strengths.

    Attributes
    ----------
    model : MixedLM
    alphas : array (L,)
        Strengths, on the scale of ``fit_regularized``.
    coefficients : DataFrame (L, k_fe)
        Coefficients in the original units of the columns, one row for each strength.
    df : array (L,)
        Degrees of freedom of the fixed effects, including the unpenalized ones.
    deviance : array (L,)
        −2 log-likelihood. With variances held, it is that of ML, and σ² follows the coefficients. With
        joint variances, it is the criterion of the fit that estimated them.
    gaps : array (L,)
        Duality gap relative to the objective; NaN for nonconvex penalties.
    residuals : array (L,)
        Largest violation of the stationarity conditions, relative to the largest slope at β = 0.
    note : str
        Why the path ends before the last strength, if it does: with variances estimated jointly, the
        selected columns may reproduce the response.
    """

    model: Any
    alphas: np.ndarray
    coefficients: pd.DataFrame
    df: np.ndarray
    deviance: np.ndarray
    gaps: np.ndarray
    residuals: np.ndarray
    _recipe: Recipe = field(repr=False)
    _held: tuple[MixedLMResults, PenalizedQuadratic, list[Solution]] | None = field(repr=False)
    _joint: list[Joint] | None = field(default=None, repr=False)
    note: str = ""

    def __len__(self) -> int:
        return len(self.alphas)

    @property
    def penalty(self) -> str:
        """The name of the penalty."""
        return self._recipe.name

    @property
    def terms(self) -> PenaltyTerms:
        """What was penalized: names, penalty weights, groups and scales of the coefficients."""
        return self._recipe.terms

    @cached_property
    def criteria(self) -> pd.DataFrame:
        """AIC, BIC and EBIC (γ = 1) at each strength, with alpha and df (L, 5)."""
        return pd.DataFrame(
            {
                "alpha": self.alphas, "df": self.df,
                **{name: self.criterion(name) for name in CRITERIA},
            }
        )  # fmt: skip

    def criterion(self, name: str, gamma: float = 1.0) -> np.ndarray:
        """Return an information criterion at each strength (L,).

        Parameters
        ----------
        name : {"aic", "bic", "ebic"}
            AIC is deviance + 2 df, BIC is deviance + df log n, and EBIC is BIC + 2 γ log (p choose df),
            where p is the number of penalized coefficients (Chen and Chen 2008, *Biometrika* 95).
        gamma : float
            γ of EBIC, from 0 (BIC) to 1.
        """
        if name not in CRITERIA:
            raise OptionError(f"criterion={name!r}; expected one of {', '.join(CRITERIA)}")
        price = 2.0 if name == "aic" else float(np.log(self.model.nobs))
        out = self.deviance + price * self.df
        if name == "ebic":
            p = int((self.terms.weights > 0).sum())
            chosen = np.clip(self.df - float((self.terms.weights == 0).sum()), 0.0, p)
            out = out + 2.0 * gamma * (
                gammaln(p + 1.0) - gammaln(chosen + 1.0) - gammaln(p - chosen + 1.0)
            )
        return out

    def best(self, criterion: str = "bic", gamma: float = 1.0) -> int:
        """Return the position of the strength that a criterion chooses; see `criterion`."""
        return int(np.argmin(self.criterion(criterion, gamma)))

    def select(self, criterion: str = "bic", gamma: float = 1.0) -> RegularizedResults:
        """Return the fit that an information criterion chooses; see `criterion`."""
        return self.fit(self.best(criterion, gamma))

    def _index(self, at: Any) -> int:
        if isinstance(at, (int, np.integer)) and -len(self) <= at < len(self):
            return int(at) % len(self)
        raise OptionError(f"at={at!r}; expected the position of a strength, 0 to {len(self) - 1}")

    def fit(self, at: int) -> RegularizedResults:
        """Return the results at the strength with the given position."""
        i = self._index(at)
        recipe = replace(self._recipe, strength=0.5 * float(self.alphas[i]))
        if self._joint is not None:
            return joint_results(self.model, self._joint[i], recipe)
        assert self._held is not None
        plain, problem, solutions = self._held
        return held_results(self.model, plain, problem, solutions[i], recipe)

    def refit(self, at: int | None = None, **fit_kwargs: Any) -> MixedLMResults:
        """Return the ordinary fit of the columns that are not zero at a strength, without a penalty.

        Its standard errors and tests treat the columns as chosen beforehand, so they do not have their
        nominal level.

        Parameters
        ----------
        at : int, optional
            Position of the strength; by default that with the smallest BIC.
        **fit_kwargs
            Arguments of ``MixedLM.fit``.
        """
        i = self.best() if at is None else self._index(at)
        beta = self.coefficients.to_numpy()[i]
        return refit_columns(self.model, (beta != 0.0) | (self.terms.weights == 0.0), fit_kwargs)

    def cross_validate(
        self, folds: Any = 10, rng: Any = None, scale: str = "deviance"
    ) -> CrossValidation:
        """Cross-validate over whole groups, at the variances of the fit.

        One pass over the rows gives the cross-products of every fold, for all strengths and penalties.

        Parameters
        ----------
        folds : int, or array (n_groups,)
            Number of folds, to which groups are assigned at random, or the fold of each group.
        rng : Generator or int, optional
        scale : {"deviance", "squares"}
            The loss, which is averaged over the rows left out. "deviance": (y − Xβ)'V⁻¹(y − Xβ)/σ², which
            is the part of −2 log-likelihood that depends on β. "squares": plain squares of y − Xβ.
        """
        return cross_validate(self, folds, rng, scale)

    def stability(
        self,
        n_pairs: int = 50,
        threshold: float = 0.75,
        expected_false: float = 1.0,
        n_alphas: int = 25,
        rng: Any = None,
    ) -> StabilitySelection:
        """Select the columns that most subsamples select, each of half of the groups.

        Parameters
        ----------
        n_pairs : int
            Number of pairs of subsamples: a random half of the groups, and its complement (Shah and
            Samworth 2013, *JRSS B* 75).
        threshold : float
            Share of subsamples in which a selected coefficient must be nonzero; above one half.
        expected_false : float
            Bound on the expected number of false selections. It limits how many columns one subsample may
            select.
        n_alphas : int
            Number of strengths of the path that are tried.
        rng : Generator or int, optional
        """
        return stability(self, n_pairs, threshold, expected_false, n_alphas, rng)

    def plot(self, ax: Any = None, against: str = "alpha", labels: int = 10) -> Any:
        """Draw the coefficients over the path; needs matplotlib (the extra ``plot``).

        Parameters
        ----------
        ax : matplotlib Axes, optional
        against : {"alpha", "df"}
        labels : int
            Number of coefficients to label: the largest ones at the end of the path.

        Returns
        -------
        matplotlib Axes
        """
        return plot_path(self, ax, against, labels)

    # For the choice of a strength

    @property
    def joint(self) -> bool:
        """Whether variances were estimated together with the coefficients, at each strength."""
        return self._joint is not None

    @property
    def reference_fit(self) -> MixedLMResults:
        """The fit whose variances cross-validation and stability selection use.

        If variances were estimated jointly, it is the one with the smallest BIC.
        """
        if self._joint is not None:
            return self._joint[self.best()].variances
        assert self._held is not None
        return self._held[0]


def refit_columns(model: Any, keep: np.ndarray, fit_kwargs: Mapping[str, Any]) -> MixedLMResults:
    """Return the ordinary fit of some columns of a model."""
    design = model.design.take_fixed(model.spec.kept[keep])
    return type(model)._from_design(design, None, model.use_sqrt).fit(**fit_kwargs)
