"""Which covariance of the fixed effects and which degrees of freedom the tests of a fit use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..extension.inference import ReferenceDistribution
from ..plugin_host.guarded_ddf import GuardedDegreesOfFreedom
from ..plugin_host.manager import look_up, names
from .unidentified import cov_fe_of
from .wald import product

CHEAP_COLUMNS = (
    1500  # random effects up to which second derivatives of crossed models are exact and cheap
)


@dataclass(frozen=True, eq=False)
class Choice:
    """A covariance of the fixed effects, and degrees of freedom for it.

    Attributes
    ----------
    ddf : GuardedDegreesOfFreedom
        What gives the degrees of freedom, and the covariance matrix too if `vcov` is None.
    vcov : GuardedDegreesOfFreedom or None
        What gives the covariance matrix.
    is_default : bool
        Whether nobody asked for it.
    """

    ddf: GuardedDegreesOfFreedom
    vcov: GuardedDegreesOfFreedom | None = None
    is_default: bool = False

    @property
    def of_vcov(self) -> GuardedDegreesOfFreedom | None:
        """What was chosen by `vcov`, if anything."""
        return self.ddf if self.vcov is None and self.ddf.own_ddf else self.vcov

    @property
    def title(self) -> str:
        """What tables print, such as "Satterthwaite"."""
        if self.vcov is None:
            return self.ddf.title
        return f"{self.ddf.title}, covariance {self.vcov.title}"

    @property
    def note(self) -> str:
        """The title, empty for the default of statsmodels."""
        return "" if self.is_default and self.is_normal else self.title

    @property
    def is_normal(self) -> bool:
        """Whether it is the model's covariance with the normal distribution."""
        return self.vcov is None and getattr(self.ddf.method, "is_normal", False)

    def __call__(self, fit: Any, matrix: np.ndarray) -> ReferenceDistribution:
        """Return the reference distribution of the combinations in the rows of a matrix (m, p)."""
        matrix = np.atleast_2d(np.asarray(matrix, dtype=float))
        found = self.ddf(fit, matrix)
        if self.vcov is not None:
            covariance = self.vcov(fit, matrix).covariance
            found = ReferenceDistribution(covariance, found.df, found.scale)
        cov = cov_fe_of(fit)  # NaN where the data do not identify a standard error
        if np.isnan(cov).any():
            lost = np.isnan(product(matrix, cov, matrix))
            covariance = np.where(lost, np.nan, found.covariance)
            found = ReferenceDistribution(covariance, found.df, found.scale)
        return found

    def rows(self, fit: Any, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return standard errors (m,) and degrees of freedom (m,) of each row by itself."""
        found = [self(fit, row[None, :]) for row in np.atleast_2d(matrix)]
        se = np.sqrt([float(one.covariance[0, 0]) for one in found])
        return se, np.array([one.df for one in found])

    def bound(self, model: Any, fit: Any) -> Choice:
        """Return the choice for the rows of a model."""
        vcov = None if self.vcov is None else self.vcov.bound(model, fit)
        return Choice(self.ddf.bound(model, fit), vcov, self.is_default)


def choice_of(fit: Any, ddf: Any = None, vcov: Any = None) -> Choice:
    """Return what tests of a fit use, by the arguments `ddf` and `vcov` of a method.

    Parameters
    ----------
    ddf : str, DegreesOfFreedom or Choice, optional
        Name of a plugin or an object; by default what the fit was asked for, or its default.
    vcov : str or DegreesOfFreedom, optional
        What gives the covariance matrix, if not what gives the degrees of freedom.

    Raises
    ------
    OptionError
        An unknown name; a combination that has no meaning; a penalized fit.
    """
    if isinstance(ddf, Choice):
        return ddf
    if ddf is None and vcov is None:
        own: Choice | None = getattr(fit, "inference", None)
        return default_choice(fit) if own is None else own
    if not fit.is_plain:
        raise OptionError(
            f"ddf={ddf!r}, vcov={vcov!r}: a penalized fit has no such inference; expected neither. Its tests "
            "use the normal distribution"
        )
    chosen = chosen_choice(ddf, vcov, getattr(fit, "inference", None))
    for method in (chosen.ddf, chosen.vcov):
        if method is not None and method.needs_rows:
            raise OptionError(
                f"{method.label} needs the rows of the model; call the method of the results, not a "
                "function of their fit"
            )
    return chosen


def chosen_choice(ddf: Any, vcov: Any, of_fit: Choice | None = None) -> Choice:
    """Return the choice that names or objects stand for, not yet bound to rows.

    `ddf` alone keeps the covariance matrix that the fit was asked for, where the two go together. A method
    with a covariance of its own, such as Kenward and Roger's, replaces it.
    """
    if isinstance(ddf, Choice):
        return ddf
    if vcov is None:
        kept = None if of_fit is None else of_fit.of_vcov
        if kept is None:
            return Choice(_guarded(ddf, "ddf"))
        if isinstance(ddf, str) and ddf.lower() == kept.own_ddf:
            return Choice(kept)
        df = _guarded(ddf, "ddf")
        return Choice(df, kept) if df.of_design else Choice(df)
    covariance = _guarded(vcov, "vcov")
    if ddf is None or (isinstance(ddf, str) and ddf.lower() == covariance.own_ddf):
        return Choice(covariance)
    df = _guarded(ddf, "ddf")
    if not df.of_design and df.method is not covariance.method:
        raise OptionError(
            f"ddf={ddf!r} does not go with vcov={vcov!r}: these degrees of freedom are those of another "
            "covariance matrix. Leave ddf out, or use 'z', 'residual', 'between-within' or 'containment'"
        )
    return Choice(df, covariance)


def default_choice(fit: Any) -> Choice:
    """Return the default: Satterthwaite for a formula with bars where it is cheap, otherwise normal.

    Statsmodels' spelling (``groups=``) keeps statsmodels' default. Second derivatives cost little in a
    model with one grouping factor, and in one with several and at most 1,500 random effects.
    """
    of_formula = fit.spec.has_bars or getattr(fit, "residual", None) is not None
    cheap = fit.is_plain and of_formula and fit.spec.k_fe > 0
    if cheap and fit.is_crossed:
        cheap = fit.likelihood.engine.columns <= CHEAP_COLUMNS
    return Choice(_guarded("satterthwaite" if cheap else "z", "ddf"), None, True)


def by_name(name: str) -> Choice:
    """Return the choice of one method."""
    return Choice(_guarded(name, "ddf"))


def _guarded(given: Any, argument: str) -> GuardedDegreesOfFreedom:
    if isinstance(given, str):
        plugin = look_up("ddf", given.lower())
        return GuardedDegreesOfFreedom(plugin.implementation, plugin)
    if not callable(given) and not hasattr(given, "bind"):
        raise OptionError(
            f"{argument}={given!r}; expected one of {', '.join(names('ddf'))}, or a DegreesOfFreedom"
        )
    return GuardedDegreesOfFreedom(given, f"{argument} {type(given).__qualname__}")


def f_choice(fit: Any, ddf: Any = None, vcov: Any = None) -> Choice:
    """Return the choice for F tests: Satterthwaite's df where the default is normal."""
    choice = choice_of(fit, ddf, vcov)
    if choice.is_default and choice.is_normal:
        choice = choice_of(fit, "satterthwaite")
    return choice
