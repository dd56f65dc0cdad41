"""Whether the data can tell the covariance parameters apart: null directions of the information.

With M the projection orthogonal to X (ML: the identity), parameters cannot be told apart when a change of
σ²V leaves M(σ²V)M as it is. In the entries γ of the relative covariance matrices, σ² profiled out, these
changes are straight lines on which the criterion is constant, and null vectors of the expected
information tr(P V_c P V_d) − tr(P V_c) tr(P V_d)/m at every γ. The Hessian of the fit, which exists
anyway, tells whether a search is needed. The information gives the direction, and a move along it
verifies it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..likelihood.independent import _groups
from ..likelihood.profiled import Point, ProfiledLikelihood
from ..likelihood.state import State
from ..linalg.matrices import eigh, lower_indices, semidefinite_cholesky

SIGN = (
    1e-3  # curvature, as a part of that of a well-determined parameter, below which we look closer
)
NULL = 1e-8  # the same, of the expected information of a direction that may be flat
ZERO = 1e-8  # a variance this small beside its sampling error is on the boundary
PART = 1e-5  # part of the largest change below which a parameter does not move
COLUMNS = 1500  # columns of crossed factors up to which the expected information is formed

Spectra = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class NullDirection:
    """A change of the parameters that does not change the likelihood.

    Attributes
    ----------
    relative : tuple of arrays (k, k)
        Change of each G_t, for the columns of Z as given.
    absolute : tuple of arrays (k, k)
        Change of each σ²G_t, divided by σ².
    moves : tuple of bool arrays (k, k)
        Which entries of σ²G_t change, beyond rounding.
    relative_moves : tuple of bool arrays (k, k)
        Which entries of G_t change.
    residual : float
        Change of log σ²; zero where it does not change.
    fixed_cov : array (p, p)
        Change of the covariance matrix of the fixed effects in the basis, in units of σ̂².
    fixed_shift : array (p,)
        Change of the fixed effects in the basis.
    """

    relative: tuple[np.ndarray, ...]
    absolute: tuple[np.ndarray, ...]
    moves: tuple[np.ndarray, ...]
    relative_moves: tuple[np.ndarray, ...]
    residual: float
    fixed_cov: np.ndarray
    fixed_shift: np.ndarray

    @property
    def moves_fixed(self) -> bool:
        """Whether fixed effects or their covariance matrix change."""
        return bool(np.any(self.fixed_cov) or np.any(self.fixed_shift))


def null_directions(
    likelihood: ProfiledLikelihood, point: Point, spectra: Spectra, smallest: float
) -> list[NullDirection]:
    """Return the directions at an optimum in which the likelihood is constant.

    Parameters
    ----------
    spectra : sequence of (values, vectors)
        Of each G_t, ascending.
    smallest : float
        Smallest eigenvalue of the Hessian in the free θ; NaN without any.
    """
    if point.state is None or point.gamma_gradient is None:
        return []
    n, within, clear, sizes = likelihood.engine.n, [], np.inf, []
    for (values, _), term in zip(spectra, likelihood.terms):
        least = term.levels / n
        within.append(values.item(0) > ZERO * least)
        sizes.append(max(values.item(-1), least))
        clear = min(clear, sizes[-1] / term.levels)
    curved, inside = smallest * clear > SIGN, all(within)
    if curved and inside:
        return []
    pushes = [] if inside else list(_pushes(likelihood, point, spectra))
    if not pushes and (curved or _curved(likelihood, point, sizes, within)):
        return []
    return list(_directions(likelihood, point, pushes, sizes))


def _free(likelihood: ProfiledLikelihood, point: Point) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield term, number in θ and ∂G_t (k, k) of every parameter that moves G_t to first order."""
    at = 0
    parts = likelihood.parts(point.theta)
    for t, (term, structure) in enumerate(zip(likelihood.terms, likelihood.structures)):
        root = point.roots[t]
        size = float(np.abs(root).max())
        for slope in structure.factor_derivative(parts[t], term.k):
            g = slope @ root.T
            if np.abs(g + g.T).max() > 1e-8 * size * np.abs(slope).max():
                yield t, at, g + g.T
            at += 1


def _curved(
    likelihood: ProfiledLikelihood, point: Point, sizes: Sequence[float], within: Sequence[bool]
) -> bool:
    """Return whether the Hessian in θ is far from singular, each parameter in its natural unit.

    Near a singular G_t these units are large. What is left of the slope in G_t, which is rounding, then
    counts as curvature in θ, and is taken off.
    """
    free = list(_free(likelihood, point))
    if not free or point.hessian is None:
        return True
    assert point.gamma_gradient is not None
    index = [i for _, i, _ in free]
    unit, rounding = [], 0.0
    for t, _, g in free:
        term = likelihood.terms[t]
        change = float(np.abs(g).max())
        unit.append(sizes[t] / change / term.levels**0.5 if change else 0.0)
        if within[t]:
            rest = np.abs(point.gamma_gradient[term.coordinates]).max()
            rounding = max(rounding, 2.0 * term.k * rest * unit[-1] ** 2)
    scale = np.array(unit)
    values, _ = eigh(point.hessian[np.ix_(index, index)] * np.outer(scale, scale))
    return bool(values[0] - rounding > SIGN)


def _pushes(
    likelihood: ProfiledLikelihood, point: Point, spectra: Spectra
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield term and ∂G_t of the ways inside from a singular G_t along which the slope vanishes."""
    for t, (values, vectors) in enumerate(spectra):
        term, structure = likelihood.terms[t], likelihood.structures[t]
        least = term.levels / likelihood.engine.n
        null = vectors[:, values <= ZERO * least]
        if not null.shape[1]:
            continue
        assert point.gamma_gradient is not None
        slopes, turned = eigh(null.T @ term.matrix(point.gamma_gradient) @ null)
        for j in np.flatnonzero(np.abs(slopes) * least <= SIGN * term.levels):
            v = null @ turned[:, j]
            here = point.roots[t] @ point.roots[t].T
            root = structure.factor(structure.parameters(here + least * np.outer(v, v)), term.k)
            change = root @ root.T - here
            if np.abs(change).max() > 1e-6 * least:
                yield t, change


def _directions(
    likelihood: ProfiledLikelihood,
    point: Point,
    pushes: Sequence[tuple[int, np.ndarray]],
    sizes: Sequence[float],
) -> Iterator[NullDirection]:
    """Yield the null vectors of the information in the space where θ can go, each one proven."""
    terms, m = likelihood.terms, likelihood.engine.n_coordinates
    ways = [(t, g) for t, _, g in _free(likelihood, point)] + list(pushes)
    space = np.zeros((m, len(ways)))
    for j, (t, g) in enumerate(ways):
        space[terms[t].coordinates, j] = g[lower_indices(terms[t].k)]
    slopes, information, scale = _information(likelihood, point)
    space *= scale[:, None]
    space /= np.sqrt((space**2).sum(axis=0))
    left, singular, _ = np.linalg.svd(space, full_matrices=False)
    basis = left[:, singular > 1e-7 * singular[0]]  # θ may have parameters too many
    inner = information / np.outer(scale, scale)
    values, vectors = eigh(basis.T @ inner @ basis)
    flat = basis @ vectors[:, values <= NULL]
    if not flat.shape[1]:
        return
    # Changes of (log σ², σ²γ/σ²), reduced so that each one moves few parameters.
    of_scale = likelihood.log_scale_variance * likelihood.n_eff / 2.0  # 0 where σ² is held
    residual = -of_scale * (slopes / scale) @ flat / likelihood.n_eff
    gamma = np.concatenate([_packed(f @ f.T) for f in point.factors])
    absolute = flat + (scale * gamma)[:, None] * residual
    whole = _reduced(np.vstack([absolute, np.sqrt(likelihood.n_eff) * residual]))
    for column in whole.T:
        change = column[-1] / np.sqrt(likelihood.n_eff)
        found = _proven(likelihood, point, column[:-1] / scale - gamma * change, change, sizes)
        if found is not None:
            yield found


def _information(
    likelihood: ProfiledLikelihood, point: Point
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tr(P V_c), the information in γ with σ² profiled out, and a natural unit of each γ_c."""
    engine, state, reml = likelihood.engine, point.state, likelihood.reml
    assert state is not None
    exact = engine.columns <= COLUMNS
    weights = (1.0, -2.0 if reml else 0.0, 0.0)
    trace, quad, outer = engine.derivatives(point.factors, state, reml, weights, exact)
    slopes, information = _groups.assemble(trace, quad, outer, engine.p, reml, 0.0, 1.0, 0.0, 0.0)
    if exact:
        if likelihood.scale is None:
            information = information - np.outer(slopes, slopes) / likelihood.n_eff
    else:  # the average information has the same null vectors
        information = engine.gradient_hessian(point.factors, state, reml, likelihood.sigma2_held)[1]
    scale = np.empty(len(trace))
    for term in engine.terms:
        rows, cols = lower_indices(term.k)
        own = np.sqrt(np.maximum(trace[term.coordinates][rows == cols], 1e-300))
        scale[term.coordinates] = own[rows] * own[cols] / term.levels**0.5
    return slopes, information, scale


def _packed(g: np.ndarray) -> np.ndarray:
    out: np.ndarray = g[lower_indices(len(g))]
    return out


def _reduced(columns: np.ndarray) -> np.ndarray:
    """Return a basis of the same space by Gauss–Jordan elimination with pivots."""
    a = columns.copy()
    for j in range(a.shape[1]):
        rest = np.abs(a[:, j:])
        row, shift = np.unravel_index(int(np.argmax(rest)), rest.shape)
        a[:, (j, j + int(shift))] = a[:, (j + int(shift), j)]
        a[:, j] /= a[row, j]
        others = np.arange(a.shape[1]) != j
        a[:, others] -= np.outer(a[:, j], a[row, others])
    a[np.abs(a) < 1e-7 * np.abs(a).max(axis=0)] = 0.0
    return a


def _proven(
    likelihood: ProfiledLikelihood,
    point: Point,
    gamma: np.ndarray,
    residual: float,
    sizes: Sequence[float],
) -> NullDirection | None:
    """Return the direction if there is room to move along it and the criterion stays as it is."""
    changes = []
    for term in likelihood.terms:
        g = np.zeros((term.k, term.k))
        g[lower_indices(term.k)] = gamma[term.coordinates]
        changes.append(g + np.tril(g, -1).T)
    assert point.state is not None
    moved: tuple[np.ndarray, np.ndarray] | None = None
    fixed_cov, fixed_shift = _fixed(likelihood, point.state)
    for sign in (1.0, -1.0):
        found = _moved(likelihood, point, changes, sign, sizes)
        if found is None:
            continue
        state, factors = found
        if abs(likelihood.value_of(state, factors) - point.value) > 1e-6 + 1e-9 * abs(point.value):
            return None
        cov, shift = _fixed(likelihood, state)
        moved = moved or (cov - fixed_cov, shift - fixed_shift)
    if moved is None:
        return None
    size = np.sqrt(np.diag(fixed_cov))
    moved[0][np.abs(moved[0]) <= 1e-6 * np.outer(size, size)] = 0.0
    moved[1][np.abs(moved[1]) <= 1e-6 * size] = 0.0
    return _in_users_columns(likelihood, point, changes, residual, moved)


def _in_users_columns(
    likelihood: ProfiledLikelihood,
    point: Point,
    changes: Sequence[np.ndarray],
    residual: float,
    fixed: tuple[np.ndarray, np.ndarray],
) -> NullDirection:
    """Return a direction for the columns of Z as given, and what moves along it beyond rounding."""
    terms, n = likelihood.terms, likelihood.engine.n
    relative = [term.to_user(c) for term, c in zip(terms, changes)]
    absolute = [
        term.to_user(c + residual * (f @ f.T)) for term, c, f in zip(terms, changes, point.factors)
    ]
    # Multiples of the sampling variance of each coefficient.
    units = [np.sqrt(np.diag(t.basis @ t.basis.T) * t.levels / n) for t in terms]
    shares = [np.abs(a) / np.outer(u, u) for a, u in zip(absolute, units)]
    ratios = [np.abs(a) / np.outer(u, u) for a, u in zip(relative, units)]
    most = max(abs(residual), *(float(s.max()) for s in shares))
    return NullDirection(
        tuple(relative),
        tuple(absolute),
        tuple(s > PART * most for s in shares),
        tuple(s > PART * max(float(r.max()) for r in ratios) for s in ratios),
        residual if abs(residual) > PART * most else 0.0,
        *fixed,
    )


def _moved(
    likelihood: ProfiledLikelihood,
    point: Point,
    changes: Sequence[np.ndarray],
    sign: float,
    sizes: Sequence[float],
) -> tuple[State, list[np.ndarray]] | None:
    """Return state and factors as far along a direction as covariance matrices allow; None without room."""
    step = sign / max(float(np.abs(c).max()) / size for c, size in zip(changes, sizes))
    for _ in range(12):
        factors = []
        for factor, change, size in zip(point.factors, changes, sizes):
            g = factor @ factor.T + step * change
            if eigh(g)[0][0] < -1e-9 * size:
                break
            factors.append(semidefinite_cholesky(g))
        else:
            state = likelihood.engine.state(factors)
            if state is not None:
                return state, factors
        step *= 0.5
    return None


def _fixed(likelihood: ProfiledLikelihood, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance matrix of the fixed effects and these, in the basis."""
    p = likelihood.engine.p
    inverse = state.inverse[:p, :p]
    cov = likelihood.sigma2(state) * (inverse.T @ inverse)
    return cov, inverse.T @ state.root[p, :p]


def in_words(
    directions: Sequence[NullDirection], names: Sequence[Sequence[str]], groups: Sequence[str]
) -> list[str]:
    """Say which parameters cannot be told apart."""
    against_fixed: list[np.ndarray] | None = None  # moves with nothing but the fixed effects
    out = []
    for direction in directions:
        items = _items(direction.moves, names, groups)
        if direction.residual:
            items.append("the residual variance")
        of_terms = sum(bool(np.any(m)) for m in direction.moves)
        if direction.moves_fixed and of_terms == 1 and not direction.residual:
            moves = list(direction.moves)
            against_fixed = (
                moves if against_fixed is None else [a | b for a, b in zip(against_fixed, moves)]
            )
            continue
        if len(items) == 2:
            said = f"the data cannot tell {items[0]} from {items[1]}"
        elif len(items) > 2:
            said = f"the data cannot tell {', '.join(items[:-1])} and {items[-1]} from each other"
        else:
            said = f"the data say nothing about {items[0]}"
        out.append(said + (", nor from the fixed effects" if direction.moves_fixed else ""))
    if against_fixed is not None:
        out += [
            f"the data cannot tell {item} from the fixed effects"
            for item in _items(against_fixed, names, groups)
        ]
    return list(dict.fromkeys(out))


def _items(
    moves: Sequence[np.ndarray], names: Sequence[Sequence[str]], groups: Sequence[str]
) -> list[str]:
    """Name what moves of each term."""
    out = []
    for moved, columns, group in zip(moves, names, groups):
        own = [name for name, moves_it in zip(columns, np.diag(moved)) if moves_it]
        pairs = np.argwhere(np.tril(moved, -1)).tolist()
        if len(own) > 1 and pairs:
            listed = " + ".join("1" if name == group else name for name in columns)
            out.append(f"the variances and covariances of ({listed} | {group})")
        elif own:
            listed = " and ".join(shown(name, group) for name in own)
            out.append(f"the variance{'s' if len(own) > 1 else ''} of {listed}")
        if pairs and len(own) < 2:
            i, j = pairs[0]
            listed = f"{shown(columns[j], group)} and {columns[i]}"
            out.append(f"the covariance of {listed}")
    return out


def shown(name: str, group: str) -> str:
    """Return the name of a random coefficient for use in sentences."""
    return f"the random intercept of {group}" if name == group else f"{name} | {group}"
