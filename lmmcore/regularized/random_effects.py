"""Selection of random effects: a penalty on the rows of the Cholesky factors.

The norm of row i of Λ is the relative standard deviation of the i-th random coefficient. So a group penalty
with one group for each row can remove a coefficient and all its correlations. Source: Bondell, Krishna and
Ghosh (2010), *Biometrics* 66. A row of zeros is always a local minimum. So a path goes from the maximal
model down, and a smaller model is kept if its objective is lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ..design.components import Components
from ..design.design import Design
from ..errors import ConvergenceError, DesignError, OptionError, suggest
from ..likelihood.profiled import ProfiledLikelihood
from ..penalties.problem import PenalizedQuadratic, PenaltyTerms
from ..penalties.quadratic import Whitened
from ..results import MixedLMResults
from .fit import named_penalty
from .plots import plot_random

STEPS = 200
STATIONARY = 1e-7
LARGEST_WEIGHT = 1e4  # penalty weight of a row that is zero in the unpenalized fit


@dataclass(frozen=True, eq=False)
class RandomEffectsPath:
    """Random effects under a penalty on the rows of their Cholesky factors.

    Attributes
    ----------
    model : MixedLM
    penalty : str
    alphas : array (L,)
        Penalty strengths, from small to large, on the scale of ``fit_regularized``.
    sds : DataFrame (L, k)
        Penalized standard deviation of each random coefficient and variance component, with the σ² of the
        same strength.
    df : array (L,)
        Number of covariance parameters that are left.
    criterion : {"bic", "aic"}
    values : array (L,)
        The criterion of the ordinary fit of the random effects that are left, without the penalty.
    residuals : array (L,)
        Largest violation of the stationarity conditions, relative to the largest slope.
    """

    model: Any
    penalty: str
    alphas: np.ndarray
    sds: pd.DataFrame
    df: np.ndarray
    criterion: str
    values: np.ndarray
    residuals: np.ndarray
    _fits: dict[tuple[bool, ...], MixedLMResults | None] = field(repr=False)

    @property
    def best(self) -> int:
        """Position of the strength with the smallest criterion."""
        return int(np.argmin(self.values))

    @property
    def selected(self) -> list[str]:
        """Names of the random coefficients and components that are left where the criterion is smallest."""
        return [str(n) for n, sd in self.sds.iloc[self.best].items() if sd > 0]

    def refit(self, at: int | None = None) -> MixedLMResults:
        """Return the ordinary fit of the random effects that are left at a strength, by default at `best`.

        Raises
        ------
        DesignError
            No random effect is left.
        """
        i = self.best if at is None else int(at)
        found = self._fits[tuple((self.sds.iloc[i] > 0).tolist())]
        if found is None:
            raise DesignError(
                f"no random effect is left at alpha = {self.alphas[i]:.4g}. Fit a linear model, or choose "
                "the position of a smaller alpha"
            )
        return found

    def plot(self, ax: Any = None) -> Any:
        """Draw the standard deviations over the strengths; needs matplotlib (the extra ``plot``)."""
        return plot_random(self, ax)


def random_effects_path(
    model: Any,
    penalty: Any,
    criterion: str,
    alphas: Any,
    n_alphas: int,
    keep: Any,
    adaptive: bool,
    fit_kwargs: Mapping[str, Any],
) -> RandomEffectsPath:
    """Return the path; see ``MixedLM.select_random_effects``."""
    implementation, name = named_penalty(penalty)
    if criterion not in ("bic", "aic"):
        raise OptionError(f"criterion={criterion!r}; expected 'bic' or 'aic'")
    if not (isinstance(n_alphas, (int, np.integer)) and n_alphas > 1):
        raise OptionError(f"n_alphas={n_alphas!r}; expected a whole number above 1")
    plain = model.fit(**fit_kwargs)
    if plain.convergence.not_identified:
        raise DesignError(
            f"random effects cannot be selected if {'; '.join(plain.convergence.not_identified)}. Remove "
            "one of these from the model"
        )
    likelihood = model.equations.likelihood(plain.reml, None, model.equations.plain_engine)
    names = [*model.exog_re_names, *model.vcomp_names]
    row = _row_of_parameter(likelihood)
    start = likelihood.parameters(
        [t.to_engine(g) for t, g in zip(likelihood.terms, plain.fit.relative)]
    )
    start = likelihood.point(start).theta
    scale = _root_mean_squares(model, likelihood)
    norms = np.sqrt(np.bincount(row, start**2, len(names))) * scale
    weights = _weights_of_rows(norms, adaptive)
    weights[_kept(keep, names)] = 0.0
    size = np.bincount(row, minlength=len(names))
    terms = PenaltyTerms(
        tuple(f"{names[i]}[{j}]" for j, i in enumerate(row)),
        (weights * scale / np.sqrt(size))[row],
        row,
        np.ones(len(row)),
    )
    walk = _Walk(likelihood, terms, implementation, row)
    if alphas is None:
        largest = float(np.max(weights * norms, initial=0.0)) or 1.0
        given = _default_alphas(likelihood, terms, start, largest, int(n_alphas))
    else:
        given = np.sort(np.atleast_1d(np.asarray(alphas, dtype=float)))
        if not (np.isfinite(given) & (given >= 0)).all():
            raise OptionError(f"alphas={alphas!r}; expected finite numbers, zero or more")
    models = _Models(model, likelihood, size, criterion, fit_kwargs)
    theta, sds, df, values, residuals = start, [], [], [], []
    for alpha in given:
        theta, residual = walk.down(0.5 * float(alpha), theta)
        variances, sigma2 = _variances(likelihood, theta)
        count, value = models.count_and_criterion(variances > 0)
        sds.append(np.sqrt(sigma2 * variances))
        df.append(count)
        values.append(value)
        residuals.append(residual)
    return RandomEffectsPath(
        model, name, given, pd.DataFrame(np.array(sds), columns=names), np.array(df), criterion,
        np.array(values), np.array(residuals), models.fits,
    )  # fmt: skip


def _weights_of_rows(norms: np.ndarray, adaptive: bool) -> np.ndarray:
    """Return the penalty weight of each row, from the norms of the rows in the unpenalized fit."""
    if not adaptive:
        return np.ones(len(norms))
    largest = float(norms.max(initial=0.0)) or 1.0
    return np.asarray(1.0 / np.maximum(norms / largest, 1.0 / LARGEST_WEIGHT))


def _default_alphas(
    likelihood: ProfiledLikelihood, terms: PenaltyTerms, start: np.ndarray, largest: float, n: int
) -> np.ndarray:
    """Return rising alphas, from zero to one that usually removes all penalized rows.

    `largest` is the largest weighted norm of a row.
    """
    nothing = np.where(terms.weights > 0, 0.0, start)
    gain = max(likelihood.value(nothing) - likelihood.value(start), 1.0)
    return np.concatenate([[0.0], np.geomspace(1e-3, 4.0, n - 1) * gain / largest])


def _variances(likelihood: ProfiledLikelihood, theta: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the variance of each random coefficient relative to σ², and σ²."""
    point = likelihood.point(theta)
    assert point.state is not None
    relative = [np.diag(t.to_user(f @ f.T)) for t, f in zip(likelihood.terms, point.factors)]
    return np.concatenate(relative), likelihood.scale_at(point.state)


class _Models:
    """The ordinary fits of the models along a path, each fitted once.

    Parameters
    ----------
    size : int array
        Number of covariance parameters of each row.
    """

    def __init__(
        self,
        model: Any,
        likelihood: ProfiledLikelihood,
        size: np.ndarray,
        criterion: str,
        fit_kwargs: Mapping[str, Any],
    ) -> None:
        self.model, self.likelihood, self.size = model, likelihood, size
        self.price = 2.0 if criterion == "aic" else float(np.log(model.nobs))
        self.fit_kwargs = fit_kwargs
        self.fits: dict[tuple[bool, ...], MixedLMResults | None] = {}

    def count_and_criterion(self, left: np.ndarray) -> tuple[int, float]:
        """Return the number of covariance parameters and the criterion with the rows in `left`."""
        key = tuple(left.tolist())
        if key not in self.fits:
            self.fits[key] = _fit_of(self.model, left, self.fit_kwargs)
        fit = self.fits[key]
        if fit is None:
            count = int(self.size[left].sum())
            value = self.likelihood.value(np.zeros(int(self.size.sum())))
        else:
            count, value = fit.fit.likelihood.n_parameters, fit.criterion
        return count, value + self.price * count


class _Walk:
    """Minimizes ½ d(θ) + P(θ; λ) by proximal Newton steps, whose models are penalized quadratics."""

    def __init__(
        self, likelihood: ProfiledLikelihood, terms: PenaltyTerms, penalty: Any, row: np.ndarray
    ) -> None:
        self.likelihood, self.terms, self.penalty, self.row = likelihood, terms, penalty, row
        self.curvature: np.ndarray | None = None

    def down(self, strength: float, start: np.ndarray) -> tuple[np.ndarray, float]:
        """Return θ and its violation of stationarity; the start has at least as many nonzero rows."""
        best, value, residual = self._minimum(strength, start)
        while True:
            norms = np.sqrt(np.bincount(self.row, best**2))
            free = np.bincount(self.row, self.terms.weights, len(norms)) == 0.0
            rows = np.flatnonzero((norms > 0) & ~free)
            if not len(rows) or strength == 0.0:
                return best, residual
            smallest = rows[np.argmin(norms[rows])]
            other = np.where(self.row == smallest, 0.0, best)
            found = self._minimum(strength, other)
            if found[1] >= value - 1e-9 * abs(value):
                return best, residual
            best, value, residual = found

    def _minimum(self, strength: float, start: np.ndarray) -> tuple[np.ndarray, float, float]:
        theta = np.array(start, dtype=float)
        residual = np.inf
        for _ in range(STEPS):
            d, gradient, hessian = self.likelihood.value_gradient_hessian(theta)
            problem = self._model(theta, 0.5 * gradient, 0.5 * hessian)
            residual = problem.residual(theta, strength)
            value = 0.5 * d + self._penalty(problem, theta, strength)
            if residual <= STATIONARY:
                return theta, value, residual
            solution = problem.solve(strength, theta)
            step = problem.coefficients(solution) - theta
            length = 1.0
            while length > 1e-10:
                new = theta + length * step if length < 1.0 else problem.coefficients(solution)
                lower = 0.5 * self.likelihood.value(new) + self._penalty(problem, new, strength)
                if lower < value:
                    break
                length *= 0.5
            else:  # nothing is lower to rounding
                if residual <= 1e-4:
                    return theta, value, residual
                break
            theta = new
        raise ConvergenceError(
            f"the penalized random effects did not converge: the slopes are off by {residual:.1e} after "
            f"{STEPS} steps at alpha = {2 * strength:.4g}. Give other alphas"
        )

    def _model(
        self, theta: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
    ) -> PenalizedQuadratic:
        """Return the penalized quadratic that touches the objective at θ, made convex."""
        values, vectors = np.linalg.eigh(hessian)
        values = np.maximum(np.abs(values), 1e-6 * float(np.abs(values).max()))
        root = np.sqrt(values)[:, None] * vectors.T
        target = vectors.T @ (hessian_times(values, vectors, theta) - gradient)
        rows = Whitened(np.asfortranarray(root), target / np.sqrt(values))
        problem = PenalizedQuadratic(rows, self.terms, self.penalty, self.curvature)
        self.curvature = problem.curvature
        return problem

    def _penalty(self, problem: PenalizedQuadratic, theta: np.ndarray, strength: float) -> float:
        return float(problem.penalty.value(theta[problem.penalized], strength))


def hessian_times(values: np.ndarray, vectors: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return V diag(values) V' x."""
    return np.asarray(vectors @ (values * (vectors.T @ x)))


def _row_of_parameter(likelihood: ProfiledLikelihood) -> np.ndarray:
    """Return the random coefficient whose row of Λ each parameter is an entry of.

    Raises
    ------
    OptionError
        The parameters of a covariance structure are not entries of Λ.
    """
    out: list[int] = []
    first = 0
    for structure, term in zip(likelihood.structures, likelihood.terms):
        m = structure.n_parameters(term.k)
        theta = np.linspace(0.5, 1.0, m)
        moved = np.asarray(structure.factor_derivative(theta, term.k)) != 0.0
        if (
            structure.factor_second_derivative(theta, term.k) is not None
            or not (moved.sum(axis=(1, 2)) == 1).all()
        ):
            raise OptionError(
                "select_random_effects needs covariance structures whose parameters are the entries of a "
                "Cholesky factor; expected covariance='unstructured' or 'diagonal'"
            )
        out.extend(first + int(np.argmax(part.any(axis=1))) for part in moved)
        first += term.k
    return np.array(out)


def _root_mean_squares(model: Any, likelihood: ProfiledLikelihood) -> np.ndarray:
    """Return the root mean square of each column of Z as the engine has it."""
    n = model.nobs
    raw = [1.0 if c is None else float(np.sqrt(np.mean(np.square(c, dtype=float))))
           for c in model.design.random]  # fmt: skip
    own = model.design.components
    if own is not None:
        which = np.array([c for c, _ in own.labels], dtype=np.int64)[own.columns]
        raw += np.sqrt(np.bincount(which, own.values**2, len(own.names)) / n).tolist()
    scale = np.concatenate([np.diag(t.basis) for t in likelihood.terms])
    return np.array(raw) * scale


def _kept(keep: Any, names: list[str]) -> list[int]:
    listed = [keep] if isinstance(keep, str) else list(keep)
    unknown = [k for k in listed if k not in names]
    if unknown:
        raise OptionError(
            f"keep has {unknown[0]!r}, which is neither a random coefficient nor a variance component"
            f"{suggest(str(unknown[0]), names)}"
        )
    return [names.index(k) for k in listed]


def _fit_of(model: Any, left: np.ndarray, fit_kwargs: Mapping[str, Any]) -> MixedLMResults | None:
    """Return the ordinary fit with some of the random effects, None without any."""
    if not left.any():
        return None
    return (
        type(model)
        ._from_design(with_random(model.design, left), None, model.use_sqrt)
        .fit(**fit_kwargs)
    )


def with_random(design: Design, left: np.ndarray) -> Design:
    """Return the design with those random coefficients and components that `left` (k,) marks."""
    terms, random, at = [], [], 0
    for term in design.terms:
        on = left[at : at + len(term.names)]
        random += [c for c, use in zip(design.random[at : at + len(on)], on) if use]
        if on.any():
            terms.append(term if on.all() else term.take(np.flatnonzero(on)))
        at += len(on)
    own, formulas = design.components, design.component_info
    if own is not None:
        own = _components_with(own, left[at:])
    names = () if own is None else own.names
    formulas = tuple(formula for formula in formulas if formula.name in names)
    return replace(
        design, terms=tuple(terms), random=tuple(random), components=own, component_info=formulas
    )


def _components_with(own: Components, left: np.ndarray) -> Components | None:
    if not left.any():
        return None
    which = np.array([c for c, _ in own.labels], dtype=np.int64)
    stays = left[which[own.columns]]
    row = np.repeat(np.arange(len(own.indptr) - 1), np.diff(own.indptr))[stays]
    counts = np.bincount(row, minlength=len(own.indptr) - 1)
    number, column = np.cumsum(left) - 1, np.cumsum(left[which]) - 1
    return Components(
        tuple(n for n, use in zip(own.names, left) if use),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        column[own.columns[stays]],
        own.values[stays],
        tuple((int(number[c]), label) for c, label in own.labels if left[c]),
    )
