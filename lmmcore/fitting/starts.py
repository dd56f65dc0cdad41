"""Further starts, if the likelihood may have a better optimum than the one found.

As a function of the entries of G, the likelihood rarely has two optima, unless there are few rows for each
random effect. If a covariance structure is not a convex set of matrices (compound symmetry with an sd for
each column, one common factor), there may be several optima: some sds are zero, or the correlations have
another sign. Such starts are tried if they are cheap; `WORK` bounds the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..extension.protocols import CovarianceStructure
from ..likelihood.profiled import Point, ProfiledLikelihood
from ..likelihood.start import scored_covariances
from ..optimizers.newton import TrustRegionNewton

WORK = 40_000  # starts times levels times squared columns
PAIRS = 5  # columns up to which two of them are left out at a time
FEW_ROWS, SCARCE = (
    100,
    0.3,
)  # up to so many rows, with so many random effects for each, data are few
SINGULAR = 1e-3  # of a negligible variance
BETTER = 1e-6  # of the criterion
FEW = 6  # iterations after which it is seen where a start leads
IN_SIGHT = 2.0  # of the criterion: how far above the best optimum a start is given up after these
ALIKE = 0.03  # relative difference of covariance matrices that lead to one optimum
DESCENTS = 8  # twice the descents to the end
NEARLY_ZERO = 1e-3  # of an sd: a start inside, as zero itself is stationary

_convex: WeakKeyDictionary[Any, dict[int, bool]] = WeakKeyDictionary()

Covariances = list[np.ndarray]


def better_start(
    likelihood: ProfiledLikelihood, best: Point, descend: Callable[[np.ndarray], Point]
) -> np.ndarray | None:
    """Return θ at a lower optimum than the one found, or None if there is none.

    Parameters
    ----------
    best : Point
        The optimum that was found.
    descend : callable
        From θ to the optimum below it.
    """
    engine, terms = likelihood.engine, likelihood.terms
    curved = [t for t in range(len(terms)) if _is_doubtful(likelihood, best, t)]
    scarce = engine.n <= FEW_ROWS and sum(t.levels * t.k for t in terms) >= SCARCE * engine.n
    if not (curved or scarce) or not engine.is_exact:
        return None
    found = likelihood.covariances(best.theta)
    starts = list(_scaled(likelihood, found)) if scarce else []
    if curved:
        scored = scored_covariances(likelihood)
        for t in curved:
            least = terms[t].levels / engine.n
            starts += [[*found[:t], g, *found[t + 1 :]] for g in _pool(scored[t], found[t], least)]
    limit = WORK // sum(t.levels * t.k**2 for t in terms)
    thetas = [likelihood.parameters(g) for g in starts]
    if len(thetas) > limit:
        thetas = sorted(thetas, key=likelihood.value)[:limit]
    return _lowest(likelihood, best, _short(likelihood, thetas), descend)


def _short(
    likelihood: ProfiledLikelihood, thetas: Sequence[np.ndarray]
) -> list[tuple[float, np.ndarray]]:
    """Return value and θ after a few steps from each start, the lowest first."""
    newton, options = TrustRegionNewton(), {"maxiter": FEW, "tol": 1e-4}
    ends = [newton.minimize(likelihood, theta, options=options).theta for theta in thetas]
    return sorted(((likelihood.value(theta), theta) for theta in ends), key=lambda end: end[0])


def _lowest(
    likelihood: ProfiledLikelihood,
    best: Point,
    ends: Sequence[tuple[float, np.ndarray]],
    descend: Callable[[np.ndarray], Point],
) -> np.ndarray | None:
    """Go down to the end from where that leads to other optima; return θ of one that is better."""
    seen = [likelihood.covariances(best.theta)]
    value, out = best.value, None
    for near, theta in ends:
        here = likelihood.covariances(theta)
        if near > value + IN_SIGHT or len(seen) > DESCENTS:
            break
        if near >= value - BETTER and any(_alike(here, there) for there in seen):
            continue
        point = descend(theta)
        seen += [here, likelihood.covariances(point.theta)]
        if point.value < value - BETTER:
            value, out = point.value, point.theta
    return out


def _alike(one: Covariances, other: Covariances) -> bool:
    return all(
        np.abs(a - b).max() <= ALIKE * (np.abs(a).max() + np.abs(b).max())
        for a, b in zip(one, other)
    )


def _is_doubtful(likelihood: ProfiledLikelihood, best: Point, t: int) -> bool:
    """Whether a term's family is not convex, or its coordinates end at the boundary it is at."""
    structure, k, root = likelihood.structures[t], likelihood.terms[t].k, best.roots[t]
    if k == 1 or not is_convex(structure, k):
        return k > 1
    if getattr(structure, "closed_under", "nothing") != "nothing" or structure.n_parameters(k) == 1:
        return False
    return float(np.linalg.eigvalsh(root @ root.T)[0]) <= SINGULAR * likelihood.terms[t].levels / (
        likelihood.engine.n
    )


def is_convex(structure: CovarianceStructure, k: int) -> bool:
    """Whether the midpoint of two members of a family is a member."""
    if k == 1 or getattr(structure, "closed_under", "") == "shifting":
        return True
    inner = getattr(structure, "structure", structure)
    try:
        known = _convex.setdefault(inner, {})
    except TypeError:  # no hash or no weak reference
        known = {}
    if k not in known:
        m = structure.n_parameters(k)
        i = np.arange(m)
        one, other = (
            root @ root.T
            for root in (
                structure.factor(t, k) for t in (0.6 + 0.3 * np.cos(i), 0.7 - 0.4 * np.sin(i))
            )
        )
        middle = 0.5 * (one + other)
        root = structure.factor(structure.parameters(middle), k)
        known[k] = bool(np.abs(root @ root.T - middle).max() <= 1e-8 * np.abs(middle).max())
    return known[k]


def _scaled(likelihood: ProfiledLikelihood, found: Covariances) -> Iterator[Covariances]:
    """Where σ² is hardly identified: all variances large, or those of one term at the others' zero."""
    yield [30.0 * np.eye(len(g)) for g in found]
    for t in range(len(found)):
        yield [g if s == t else 1e-6 * np.eye(len(g)) for s, g in enumerate(found)]
        yield [3.0 * np.eye(len(g)) if s == t else g for s, g in enumerate(found)]


def _pool(g: np.ndarray, found: np.ndarray, least: float) -> Iterator[np.ndarray]:
    """From G of a term by moments and at the optimum to other ones.

    `least` is a variance that is negligible beside the sampling variance of one level.
    """
    k = len(g)
    sd = np.sqrt(np.maximum(g.diagonal(), least))
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    # Correlations of each sign, strong and weak, the same or falling with the distance.
    for c in (0.6**lag, (-0.6) ** lag, 0.95**lag, (-0.95) ** lag, np.where(lag, 0.7, 1.0)):
        yield c * np.outer(sd, sd)
    yield np.where(lag, -0.9 / (k - 1), 1.0) * np.outer(sd, sd)
    yield np.diag(sd**2)
    values, vectors = np.linalg.eigh(g)
    yield values[-1] * np.outer(vectors[:, -1], vectors[:, -1])
    # One or two columns that hardly vary, and the correlations of the others.
    for size in (1, 2) if k <= PAIRS else (1,):
        for out in combinations(range(k), size):
            keep = np.ones(k)
            keep[list(out)] = NEARLY_ZERO
            yield g * np.outer(keep, keep)
            if size == 1:  # strong correlations of the others, of each sign
                for c in (0.95**lag, (-0.95) ** lag):
                    yield c * np.outer(keep * sd, keep * sd)
    # The optimum with one column of its own.
    for j in range(k):
        moved = found.copy()
        moved[j] = moved[:, j] = 0.0
        moved[j, j] = sd[j] ** 2
        yield moved
