"""Choosing the strength of a penalty: cross-validation over groups and stability selection.

Groups are independent, so whitened cross-products add up: those of a training set are the sum over the
folds in it, and no strength needs the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import qr

from ..arguments import generator
from ..errors import DataValueError, OptionError
from ..penalties.problem import PenalizedQuadratic
from ..penalties.quadratic import Whitened
from .plots import plot_cv, plot_stability
from .quadratic import whitened_rows
from .variances import quadratic_at

BUNDLES = 100  # into which groups are put for subsamples


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Losses for groups that were left out.

    Attributes
    ----------
    alphas : array (L,)
    losses : array (n_folds, L)
        Mean loss over the rows of each fold.
    mean : array (L,)
        Over all rows.
    se : array (L,)
        Standard error of the mean, from the spread of the folds.
    folds : int array (n_groups,)
        The fold of each group, in the order of ``model.group_labels``.
    scale : str
    """

    alphas: np.ndarray
    losses: np.ndarray
    mean: np.ndarray
    se: np.ndarray
    folds: np.ndarray
    scale: str
    _path: Any = field(repr=False)

    @property
    def best(self) -> int:
        """Position of the strength with the smallest mean loss."""
        return int(np.argmin(self.mean))

    @property
    def one_se(self) -> int:
        """Position of the largest strength whose loss is within one standard error of the smallest."""
        best = self.best
        return int(np.argmax(self.mean <= self.mean[best] + self.se[best]))

    def select(self, rule: str = "one_se") -> Any:
        """Return the fit to all groups that a rule chooses: "one_se" or "best"."""
        if rule not in ("one_se", "best"):
            raise OptionError(f"rule={rule!r}; expected 'one_se' or 'best'")
        return self._path.fit(getattr(self, rule))

    def plot(self, ax: Any = None) -> Any:
        """Draw mean losses and their standard errors; needs matplotlib (the extra ``plot``)."""
        return plot_cv(self, ax)


@dataclass(frozen=True, eq=False)
class StabilitySelection:
    """How often each coefficient is selected in random halves of the groups.

    Attributes
    ----------
    alphas : array (L,)
    frequencies : DataFrame (L, number of penalized columns)
        Share of the subsamples that select a coefficient at this strength or a larger one. A subsample
        stops before it would select more than `most`.
    probability : Series
        The frequencies at the last strength.
    selected : list of str
        Columns whose probability is at least the threshold.
    expected_false : float
        Bound on the expected number of columns selected by chance: q²/((2t − 1) p), where t is the
        threshold, p the number of penalized columns, and q the mean number that a subsample selects
        (Meinshausen and Bühlmann 2010, *JRSS B* 72).
    most : int
    threshold : float
    """

    alphas: np.ndarray
    frequencies: pd.DataFrame
    probability: pd.Series
    selected: list[str]
    expected_false: float
    most: int
    threshold: float

    def plot(self, ax: Any = None) -> Any:
        """Draw the frequencies over the strengths; needs matplotlib (the extra ``plot``)."""
        return plot_stability(self, ax)


def _fold_of_groups(n_groups: int, folds: Any, rng: Any) -> np.ndarray:
    if isinstance(folds, (int, np.integer)):
        if not 2 <= folds <= n_groups:
            raise OptionError(f"folds={folds!r}; expected 2 to {n_groups}, the number of groups")
        return generator(rng).permutation(np.arange(n_groups) % int(folds))
    given = np.asarray(folds)
    if given.shape != (n_groups,):
        raise DataValueError(
            f"folds has shape {given.shape}; expected a number of folds, or the fold of each of the "
            f"{n_groups} groups"
        )
    out = np.unique(given, return_inverse=True)[1]
    if out.max() < 1:
        raise OptionError("folds puts all groups into one fold; expected two or more folds")
    return out


def _parts(path: Any, part_of_group: np.ndarray) -> list[Whitened]:
    """Return one quadratic for each part of the groups, each with at most p + 1 rows."""
    model, fit = path.model, path.reference_fit
    part_of_row = part_of_group[model.design.grouping.codes]
    out = []
    for k in range(int(part_of_group.max()) + 1):
        rows = whitened_rows(
            model.design, model.spec.kept.tolist(), fit.fit.relative, fit.scale, part_of_row == k
        )
        out.append(_compressed(rows))
    if "crossproducts" in model.__dict__:
        whole = quadratic_at(model, fit).diagonal
        if not np.allclose(sum(q.diagonal for q in out), whole, rtol=1e-6):
            raise OptionError(
                "the groups are not independent, because they share random effects other "
                f"than those of {model.group_name!r}. Use path.select() instead"
            )
    return out


def _compressed(rows: Whitened) -> Whitened:
    """Return rows with the same products; a triangle if it has fewer rows."""
    m, p = rows.x.shape
    if m <= p + 1:
        return rows
    whole = np.column_stack([rows.x, rows.y])
    r = qr(whole, mode="r", overwrite_a=True, check_finite=False)[0][: p + 1]
    return Whitened(np.asfortranarray(r[:, :-1]), np.ascontiguousarray(r[:, -1]), rows.rest)


def _joined(parts: Sequence[Whitened]) -> Whitened:
    x = np.asfortranarray(np.vstack([q.x for q in parts]))
    return Whitened(x, np.concatenate([q.y for q in parts]), sum(q.rest for q in parts))


def _solutions(
    path: Any, quadratic: Whitened, alphas: np.ndarray
) -> tuple[PenalizedQuadratic, np.ndarray]:
    """Return the coefficients (L, k_fe) of the path's penalty for other data."""
    terms = path.terms
    if path.joint:  # a penalty of β/σ
        terms = replace(terms, scales=terms.scales / np.sqrt(path.reference_fit.scale))
    problem = PenalizedQuadratic(quadratic, terms, path._recipe.penalty)
    found = problem.path(0.5 * alphas, 1e-9, path._recipe.maxit)
    return problem, np.array([problem.coefficients(s) for s in found])


def cross_validate(path: Any, folds: Any, rng: Any, scale: str) -> CrossValidation:
    """Return the losses of a path; see ``RegularizationPath.cross_validate``."""
    if scale not in ("deviance", "squares"):
        raise OptionError(f"scale={scale!r}; expected 'deviance' or 'squares'")
    model = path.model
    fold = _fold_of_groups(model.n_groups, folds, rng)
    parts = _parts(path, fold)
    n_folds = len(parts)
    rows = np.bincount(fold, weights=model.group_sizes, minlength=n_folds)
    losses = np.empty((n_folds, len(path)))
    plain = [_plain_rows(path, fold == k) for k in range(n_folds)] if scale == "squares" else parts
    for k in range(n_folds):
        _, beta = _solutions(path, _joined(parts[:k] + parts[k + 1 :]), path.alphas)
        left_out = plain[k]
        error = left_out.y[:, None] - left_out.x @ beta.T
        losses[k] = (np.einsum("il,il->l", error, error) + left_out.rest) / rows[k]
    mean = rows @ losses / rows.sum()
    spread = np.sqrt((rows @ (losses - mean) ** 2) / rows.sum() / (n_folds - 1))
    return CrossValidation(path.alphas, losses, mean, spread, fold, scale, path)


def _plain_rows(path: Any, groups: np.ndarray) -> Whitened:
    """Return the rows of some groups as they are, as a quadratic with V = I."""
    design = path.model.design
    nothing = [np.zeros_like(g) for g in path.reference_fit.fit.relative]
    columns = path.model.spec.kept.tolist()
    rows = whitened_rows(design, columns, nothing, 1.0, groups[design.grouping.codes])
    return _compressed(rows)


def stability(
    path: Any,
    n_pairs: int,
    threshold: float,
    expected_false: float,
    n_alphas: int,
    rng: Any,
) -> StabilitySelection:
    """Return selection frequencies; see ``RegularizationPath.stability``."""
    if not (isinstance(n_pairs, (int, np.integer)) and n_pairs > 0):
        raise OptionError(f"n_pairs={n_pairs!r}; expected a positive whole number")
    if not 0.5 < threshold <= 1.0:
        raise OptionError(f"threshold={threshold!r}; expected a number above 0.5, at most 1")
    if not (isinstance(n_alphas, (int, np.integer)) and n_alphas > 0):
        raise OptionError(f"n_alphas={n_alphas!r}; expected a positive whole number")
    if not expected_false > 0:
        raise OptionError(f"expected_false={expected_false!r}; expected a positive number")
    random = generator(rng)
    model = path.model
    bundles = min(BUNDLES, model.n_groups)
    if bundles < 4:
        raise OptionError(
            f"there are {model.n_groups} groups; stability selection needs at least four"
        )
    bundle = random.permutation(np.arange(model.n_groups) % bundles)
    parts = _parts(path, bundle)
    at = np.unique(np.linspace(0, len(path) - 1, int(n_alphas)).round().astype(int))
    alphas = path.alphas[at]
    penalized = path.terms.weights > 0
    p = int(penalized.sum())
    most = max(1, int(np.sqrt(expected_false * (2.0 * threshold - 1.0) * p)))
    counts = np.zeros((len(at), p))
    together = 0.0
    for _ in range(int(n_pairs)):
        order = random.permutation(bundles)
        half = bundles // 2
        for chosen in (order[:half], order[half : 2 * half]):
            _, beta = _solutions(path, _joined([parts[i] for i in chosen]), alphas)
            ever = np.logical_or.accumulate(beta[:, penalized] != 0.0, axis=0)
            ever &= ever.sum(axis=1, keepdims=True) <= most
            ever = np.logical_or.accumulate(ever, axis=0)
            counts += ever
            together += float(ever[-1].sum())
    names = [n for n, p in zip(path.terms.names, penalized) if p]
    frequencies = pd.DataFrame(counts / (2 * n_pairs), columns=names)
    probability = frequencies.iloc[-1]
    q = together / (2 * n_pairs)
    return StabilitySelection(
        alphas, frequencies, probability, [n for n in names if probability[n] >= threshold],
        q**2 / ((2.0 * threshold - 1.0) * p), most, float(threshold),
    )  # fmt: skip
