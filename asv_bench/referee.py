"""A referee for fits: a dense likelihood and ten random starts, which shares nothing with lmmcore.

n × n matrices, parameters of its own (loadings, variances, correlations within bounds), gradients by
hand, L-BFGS-B.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg, optimize

STARTS = 10
NO_RESIDUAL = 1e-6  # residual variance, beside that without random effects
FULL, BOUNDED = (-np.inf, np.inf), (0.0, np.inf)
Bounds = list[tuple[float, float]]
Covariance = tuple[np.ndarray, np.ndarray]  # G (k, k) and its derivatives (m, k, k)


# Families of covariance matrices in the referee's parameters


class Loadings:
    """G = L L' + diag(ψ): L lower triangular (r = k), or full (k, r); ψ none or bounded by zero."""

    def __init__(self, k: int, r: int, own: bool = False) -> None:
        self.k, self.r, self.own = k, r, own
        self.at = np.tril_indices(k) if r == k else tuple(np.indices((k, r)).reshape(2, -1))
        m = len(self.at[0])
        self.bounds: Bounds = [FULL] * m + [BOUNDED] * (k if own else 0)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        sd = draw_sd(rng, self.k)
        loadings = np.zeros((self.k, self.r))
        loadings[self.at] = rng.standard_normal(len(self.at[0]))
        loadings *= (sd / np.linalg.norm(loadings, axis=1))[:, None]
        if not self.own:
            return loadings[self.at]
        share = rng.uniform(0.05, 0.95, self.k)
        loadings *= np.sqrt(1.0 - share)[:, None]
        return np.concatenate([loadings[self.at], share * sd**2])

    def covariance(self, x: np.ndarray) -> Covariance:
        k, m = self.k, len(self.at[0])
        loadings = np.zeros((k, self.r))
        loadings[self.at] = x[:m]
        slopes = np.zeros((len(x), k, k))
        i = np.arange(m)
        slopes[i, self.at[0]] = loadings.T[self.at[1]]
        slopes = slopes + slopes.swapaxes(1, 2)
        g = loadings @ loadings.T
        if self.own:
            j = np.arange(k)
            g[j, j] += x[m:]
            slopes[m + j, j, j] = 1.0
        return g, slopes


class Independent:
    """One variance, or a variance for each column."""

    def __init__(self, k: int, single: bool = False) -> None:
        self.patterns = np.zeros((k, k, k))
        self.patterns[np.arange(k), np.arange(k), np.arange(k)] = 1.0
        if single:
            self.patterns = self.patterns.sum(axis=0)[None]
        self.bounds: Bounds = [BOUNDED] * len(self.patterns)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return draw_sd(rng, len(self.bounds)) ** 2

    def covariance(self, x: np.ndarray) -> Covariance:
        return np.tensordot(x, self.patterns, 1), self.patterns


class Correlated:
    """One variance or a sd for each column, and a matrix of correlations of few parameters."""

    def __init__(self, k: int, kind: str, own: bool) -> None:
        self.k, self.kind, self.own = k, kind, own
        self.distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        limits: dict[str, Bounds] = {
            "cs": [(-1.0 / (k - 1), 1.0)],
            "ar1": [(-1.0, 1.0)],
            "toep": [(-1.0, 1.0)] * (k - 1),
            "toep2": [(-0.5 / np.cos(np.pi / (k + 1)), 0.5 / np.cos(np.pi / (k + 1)))],
        }
        self.bounds = [BOUNDED] * (k if own else 1) + limits[kind]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        sd = draw_sd(rng, self.k) if self.own else draw_sd(rng, 1) ** 2
        low, high = np.array(self.bounds[len(sd) :]).T
        return np.concatenate([sd, low + (high - low) * rng.uniform(0.03, 0.97, len(low))])

    def correlations(self, x: np.ndarray) -> Covariance:
        distance, rho = self.distance, x[0]
        if self.kind == "cs":
            slope = (distance > 0).astype(float)
        elif self.kind == "toep2":
            slope = (distance == 1).astype(float)
        elif self.kind == "ar1":
            return rho**distance, (distance * rho ** np.maximum(distance - 1, 0))[None]
        else:
            first = autocorrelations(x)
            moved = [autocorrelations(x + 1e-30j * unit).imag / 1e-30 for unit in np.eye(len(x))]
            return first[distance], np.array(moved)[:, distance]
        return np.eye(self.k) + rho * slope, slope[None]

    def covariance(self, x: np.ndarray) -> Covariance:
        if not self.own:
            c, slopes = self.correlations(x[1:])
            return x[0] * c, np.concatenate([c[None], x[0] * slopes])
        sd = x[: self.k]
        c, slopes = self.correlations(x[self.k :])
        by_sd = np.zeros((self.k, self.k, self.k))
        i = np.arange(self.k)
        by_sd[i, i] = c * sd
        return c * np.outer(sd, sd), np.concatenate(
            [by_sd + by_sd.swapaxes(1, 2), slopes * np.outer(sd, sd)]
        )


def autocorrelations(partial: np.ndarray) -> np.ndarray:
    """Return 1, r_1 … r_m of partial autocorrelations (Durbin and Levinson)."""
    r = np.ones(len(partial) + 1, dtype=partial.dtype)
    a = np.zeros(0, dtype=partial.dtype)
    rest = 1.0
    for m, p in enumerate(partial):
        r[m + 1] = a @ r[m:0:-1] + p * rest
        a = np.append(a - p * a[::-1], p)
        rest = rest * (1.0 - p * p)
    return r


def draw_sd(rng: np.random.Generator, k: int) -> np.ndarray:
    """Return standard deviations relative to the residual's."""
    return np.exp(rng.normal(np.log(0.7), 0.7, k))


def family(name: str, k: int) -> Loadings | Independent | Correlated:
    """Return the family of that name for k columns."""
    if name in ("diag", "id"):
        return Independent(k, name == "id")
    if name == "us" or k == 1:
        return Loadings(k, k)
    if name[:2] in ("fa", "rr"):
        return Loadings(k, int(name[2:]), name[:2] == "fa")
    own = {"csh": "cs", "ar1h": "ar1", "toeph": "toep", "toeph2": "toep2"}
    return Correlated(k, own.get(name, name), name in own)


# The dense likelihood


@dataclass
class Term:
    """Columns (n, k), the level of each row, and the name of the covariance structure."""

    columns: np.ndarray
    levels: np.ndarray
    structure: str = "us"
    family: Loadings | Independent | Correlated = field(init=False)
    z: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        n, k = self.columns.shape
        _, codes = np.unique(self.levels, return_inverse=True)
        z = np.zeros((n, codes.max() + 1, k))
        z[np.arange(n), codes] = self.columns
        self.z = z
        self.family = family(self.structure, k)


class Dense:
    """−2 log-likelihood by n × n matrices.

    Coefficients are profiled out or, with a penalty Σ w_j β_j² of half of it, parameters.
    """

    def __init__(
        self, y: np.ndarray, x: np.ndarray, terms: list[Term], reml: bool,
        ridge: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self.y, self.x, self.terms, self.reml, self.ridge = y, x, terms, reml, ridge
        n, p = x.shape
        self.n_eff = n - p if reml else n
        self.beta, rss = np.linalg.lstsq(x, y, rcond=None)[:2]
        self.units = np.sqrt(rss[0] / n * np.linalg.inv(x.T @ x).diagonal())
        self.bounds: Bounds = [b for t in terms for b in t.family.bounds]
        self.best = np.zeros(0)  # parameters where least() found the lowest value
        if ridge is not None:
            self.bounds += [FULL] * p

    def at(
        self, g: list[np.ndarray], beta: np.ndarray | None = None
    ) -> tuple[float, list[np.ndarray], np.ndarray]:
        """Return the criterion and its derivatives in each G and in β."""
        n, nothing = len(self.y), np.zeros(self.x.shape[1])
        v = np.eye(n)
        for t, g_t in zip(self.terms, g):
            v += (t.z @ g_t).reshape(n, -1) @ t.z.reshape(n, -1).T
        root, info = linalg.lapack.dpotrf(v, lower=1)
        if info:
            return np.inf, [np.zeros_like(g_t) for g_t in g], nothing
        vi = linalg.lapack.dpotri(root, lower=1)[0]
        vi = np.tril(vi) + np.tril(vi, -1).T
        vx = vi @ self.x
        h = self.x.T @ vx
        if beta is None:
            beta = np.linalg.solve(h, vx.T @ self.y)
        e = self.y - self.x @ beta
        ve = vi @ e
        r2 = float(e @ ve)
        value = 2.0 * np.log(root.diagonal()).sum()
        value += self.n_eff * (1.0 + np.log(2.0 * np.pi * r2 / self.n_eff))
        projection = vi
        if self.reml:
            value += np.linalg.slogdet(h)[1]
            projection = vi - vx @ np.linalg.solve(h, vx.T)
        slopes = []
        for t in self.terms:
            q, k = t.z.shape[1:]
            flat = t.z.reshape(n, -1)
            s = (flat.T @ ve).reshape(q, k)
            inner = (flat.T @ (projection @ flat)).reshape(q, k, q, k)
            slopes.append(np.einsum("qaqb->ab", inner) - self.n_eff / r2 * (s.T @ s))
        by_beta = -2.0 * self.n_eff / r2 * (vx.T @ e)
        if self.ridge is not None:
            value += 2.0 * float(self.ridge @ beta**2)
            by_beta += 4.0 * self.ridge * beta
        return value, slopes, by_beta

    def objective(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        g, derivatives, at = [], [], 0
        for t in self.terms:
            m = len(t.family.bounds)
            g_t, slopes = t.family.covariance(parameters[at : at + m])
            g.append(g_t)
            derivatives.append(slopes)
            at += m
        beta = None if self.ridge is None else self.beta + self.units * parameters[at:]
        value, by_g, by_beta = self.at(g, beta)
        gradient = [np.tensordot(s, d, 2) for s, d in zip(derivatives, by_g)]
        if self.ridge is not None:
            gradient.append(self.units * by_beta)
        return value, np.concatenate(gradient)

    def least(self, rng: np.random.Generator) -> float:
        """Return the lowest value that ten random starts find."""
        found = []
        for _ in range(STARTS):
            start = [t.family.draw(rng) * np.exp(rng.normal(0.0, 0.3)) for t in self.terms]
            if self.ridge is not None:
                start.append(rng.standard_normal(len(self.units)))
            low, high = np.array(self.bounds).T
            out = optimize.minimize(
                self.objective, np.clip(np.concatenate(start), low, high), jac=True,
                method="L-BFGS-B", bounds=self.bounds,
                options={"maxiter": 1000, "maxfun": 3000, "ftol": 1e-13, "gtol": 1e-7, "maxcor": 20},
            )  # fmt: skip
            found.append((float(out.fun), out.x))
        value, self.best = min(found, key=lambda pair: pair[0])
        return value

    def is_unbounded(self) -> bool:
        """Return whether the effects reproduce any response, and the best start left no residual.

        The criterion then falls without end as the residual variance goes to zero.
        """
        flat = [t.z.reshape(len(self.y), -1) for t in self.terms]
        if np.linalg.matrix_rank(np.hstack([self.x, *flat])) < len(self.y):
            return False
        g, at = [], 0
        for t in self.terms:
            m = len(t.family.bounds)
            g.append(t.family.covariance(self.best[at : at + m])[0])
            at += m
        v = np.eye(len(self.y)) + sum(
            f @ np.kron(np.eye(t.z.shape[1]), g_t) @ f.T for t, f, g_t in zip(self.terms, flat, g)
        )
        root = np.linalg.cholesky(v)
        rows = linalg.solve_triangular(root, np.column_stack([self.x, self.y]), lower=True)
        rest = np.linalg.lstsq(rows[:, :-1], rows[:, -1], rcond=None)[1]
        plain = np.linalg.lstsq(self.x, self.y, rcond=None)[1]
        return bool(rest.sum() < NO_RESIDUAL * plain.sum())
