"""Tests of a single variance by the exact null distribution of the likelihood ratio, simulated.

With one variance component and M the projection orthogonal to X, the restricted likelihood ratio is
distributed under a variance of zero as

    sup_λ (n − p) log(Σ w² / D(λ)) − Σ_s log(1 + λμ_s),    D(λ) = Σ_s w_s²/(1 + λμ_s) + Σ_rest w²,

for independent standard normal w and the eigenvalues μ_s of Z'MZ. For the likelihood ratio, n stands for
n − p before the logarithm, and the eigenvalues of Z'Z in the last sum (Crainiceanu and Ruppert 2004, J. R.
Stat. Soc. B 66, 165–185). With other variances, the other random effects are left out of the simulation, an
approximation (Greven, Crainiceanu, Küchenhoff and Peters 2008, J. Comput. Graph. Stat. 17, 870–891).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import generator, whole_number
from ..crossproducts.crossed import CrossedProducts
from ..design.held_scale import refuse_held
from ..errors import OptionError, suggest
from ..fitting.estimate import estimate
from ..fitting.fit import Fit
from ..fitting.options import chosen_optimizers
from ..linalg.matrices import symmetric

LARGEST = 5000  # levels whose eigenvalues are computed
GRID = 300  # values of λ
AT_ONCE = 4_000_000  # random numbers that are held at a time


@dataclass(frozen=True)
class VarianceTest:
    """A test that one variance is zero.

    Attributes
    ----------
    term : str
    statistic : float
        Twice the difference of the log-likelihoods (REML: restricted), 0 or more.
    pvalue : float
    mc_error : float
        Monte Carlo standard error of the p-value.
    nsim : int
    note : str
        What the p-value is: exact, or an approximation.
    """

    term: str
    statistic: float
    pvalue: float
    mc_error: float
    nsim: int
    note: str

    def __str__(self) -> str:
        return (
            f"{self.term}: {self.note} of a variance of zero\n"
            f"statistic {self.statistic:.4f}, p = {self.pvalue:.4g} (Monte Carlo error {self.mc_error:.1g}, "
            f"{self.nsim:,} draws)"
        )

    def __repr__(self) -> str:
        return str(self)


class Absent:
    """The covariance structure of a term that is left out: G = 0."""

    def n_parameters(self, k: int) -> int:
        return 0

    def parameters(self, g: np.ndarray) -> np.ndarray:
        return np.zeros(0)

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        return np.zeros((k, 1))

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        return np.zeros((0, k, 1))

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        return {}


def rlrt(fit: Fit, term: str | None = None, nsim: int = 10_000, rng: Any = None) -> VarianceTest:
    """Test that the variance of a term with one coefficient is zero.

    After a fit by REML the statistic is the restricted likelihood ratio, after ML the likelihood ratio. Its
    null distribution is simulated. It is exact if the model has no other random effects; otherwise
    it is approximated by leaving those out.

    Parameters
    ----------
    term : str, optional
        A random-effects term such as "(1 | batch)", or its grouping factor. May be left out if there is
        only one.
    nsim : int
        Number of draws.
    rng : Generator, RandomState or int, optional

    Returns
    -------
    VarianceTest

    Raises
    ------
    OptionError
        Another term; a term with several coefficients; more than 5,000 levels.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_dyestuff()
    >>> fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit()
    >>> test = fit.rlrt(rng=1)
    >>> round(test.statistic, 4), test.pvalue < 0.01
    (6.369, True)
    """
    nsim = whole_number(nsim, "nsim", 100)
    refuse_held(fit.likelihood.scale, "rlrt")
    t = _term(fit, term)
    name = fit.layout.terms[t].title
    statistic = max(0.0, _without(fit, t) - fit.criterion)
    kind = "restricted likelihood ratio test" if fit.reml else "likelihood ratio test"
    exact = len(fit.layout.terms) == 1
    note = f"exact {kind}" if exact else f"approximate {kind} (other random effects left out)"
    if statistic <= 1e-10 * abs(fit.criterion):
        return VarianceTest(name, 0.0, 1.0, 0.0, nsim, note)
    inside, plain = _eigenvalues(fit, t)
    drawn = _simulated(fit, inside, inside if fit.reml else plain, nsim, generator(rng))
    p = float(np.mean(drawn >= statistic))
    return VarianceTest(name, statistic, p, float(np.sqrt(p * (1.0 - p) / nsim)), nsim, note)


def _term(fit: Fit, given: str | None) -> int:
    terms = fit.layout.terms
    titles = [term.title for term in terms]
    groups = list(fit.layout.groups)
    if given is None and len(terms) == 1:
        found = [0]
    else:
        asked = "".join(str(given).split()).replace("(0+", "(")
        found = [
            t for t in range(len(terms))
            if asked in ("".join(titles[t].split()), "".join(str(groups[t]).split()))
        ]  # fmt: skip
    if len(found) != 1:
        what = "names several terms" if found else "names no random-effects term"
        raise OptionError(
            f"term={given!r} {what}{suggest(str(given), titles)}; expected one of {', '.join(titles)}"
        )
    if fit.likelihood.terms[found[0]].k != 1 or fit.spec.has_components:
        raise OptionError(
            f"term={titles[found[0]]!r} has several coefficients, or the model has components of vc_formula; "
            "expected a term in bars with one coefficient. Use lmmcore.anova(m1, m2, test='bootstrap')"
        )
    return found[0]


def _without(fit: Fit, t: int) -> float:
    """Return the criterion of the model without a term."""
    if len(fit.layout.terms) == 1:
        return float(fit.likelihood.value_without_effects)
    structures = list(fit.likelihood.structures)
    structures[t] = Absent()
    engine = fit.equations.plain_engine
    restricted = fit.equations.likelihood(fit.reml, structures, engine)
    optimizers, options = chosen_optimizers(None, {})
    found = estimate(restricted, optimizers, fit.layout.names, fit.layout.groups, None, options)
    return float(found.point.value)


def _eigenvalues(fit: Fit, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of Z'MZ and of Z'Z for the columns of one term."""
    cp = fit.equations.crossproducts
    kept = cp.basis.kept
    term = fit.spec.terms[t]
    if isinstance(cp, CrossedProducts):
        factor = cp.factors[term.factor]
        column = factor.terms.index(t)
        at = sum(factor.sizes[:column])
        squares, zx = factor.s[:, at, at], factor.w[:, at][:, kept]
    else:
        at = sum(fit.likelihood.terms[u].k for u in range(t))
        squares = np.concatenate([b.s[:, at, at] for b in cp.blocks])
        zx = np.concatenate([b.w[:, at][:, kept] for b in cp.blocks])
    if len(squares) > LARGEST:
        raise OptionError(
            f"{fit.layout.terms[t].title} has {len(squares):,} levels; expected {LARGEST:,} at most. With so "
            "many, use lmmcore.anova(m1, m2, test='mixture')"
        )
    gram = symmetric(cp.total)[np.ix_(kept, kept)]
    inside = np.diag(squares) - zx @ np.linalg.solve(gram, zx.T) if len(kept) else np.diag(squares)
    values = np.linalg.eigvalsh(inside)
    return np.maximum(values, 0.0), squares


def _simulated(fit: Fit, inside: np.ndarray, plain: np.ndarray, nsim: int, rng: Any) -> np.ndarray:
    """Return draws of the statistic (nsim,)."""
    mu = inside[inside > 1e-10 * inside.max()]
    n, p = fit.spec.nobs, fit.spec.k_fe
    rest, m = n - p - len(mu), fit.n_eff
    grid = np.append(0.0, np.exp(np.linspace(-9.0, 9.0, GRID)) / mu.mean())
    shrink = 1.0 / (1.0 + np.multiply.outer(mu, grid))  # (K, grid)
    price = np.sum(np.log1p(np.multiply.outer(plain, grid)), axis=0)
    out = []
    step = max(1, AT_ONCE // max(len(mu), GRID))
    for start in range(0, nsim, step):
        r = min(step, nsim - start)
        square = rng.standard_normal((r, len(mu))) ** 2
        other = rng.chisquare(rest, r) if rest > 0 else np.zeros(r)
        total = square.sum(axis=1) + other
        inner = square @ shrink + other[:, None]
        found = m * np.log(total[:, None] / inner) - price
        out.append(found.max(axis=1))
    return np.concatenate(out)
