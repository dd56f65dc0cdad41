"""Derivatives of the criterion of a crossed model, from its factorization.

With ``[B s] = Z'V⁻¹[X y] A⁻ᵀ`` (A the Cholesky factor of [X y]'V⁻¹[X y]; the residual in units of r),
E_c the pattern of the coordinate γ_c, repeated for every level of its term, and m = n − p (ML: n; with
σ² held, m = r²/σ² and no terms in q_c q_d):

    ∂d/∂γ_c      = tr[E_c (C − BB' − m ss')]                                          (ML: without BB')
    exact        = tr[C E_c (−C + 2BB' + 2m ss') E_d] − ⟨B_c, B_d⟩ − 2m w_c'w_d − m q_c q_d
    average      = m [(E_c s)'C(E_d s) − w_c'w_d − q_c q_d]

B_c = B'E_cB, w_c = B'E_c s, q_c = s'E_c s. The second needs C whole, the third one solution for each
coordinate: that of the working response Z E_c s (Gilmour, Thompson and Cullis 1995).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...linalg.matrices import lower_indices
from ..independent import _groups
from ..moments import spread
from ..state import State, quadratic_weights
from .moments import moment_estimates
from .system import System
from .workspace import Workspace, vanish

WHOLE = 1500  # columns up to which tr(C E_c C E_d) is formed from all of C, else by differences
BLOCK = 512  # columns of C that are held at a time
STEP = 1e-4  # of these differences, relative: their error is its square


class Derivatives:
    """Sums over the levels of all terms, at one Λ after another.

    Parameters
    ----------
    system : System
    workspace : Workspace
        Of the running thread.
    """

    def __init__(self, system: System, workspace: Workspace) -> None:
        self.system = system
        self.workspace = workspace

    def _products(self, factors: Sequence[np.ndarray], state: State) -> np.ndarray:
        """Return [B s] (columns, p + 1)."""
        zv = self.system.zxy - self.workspace.multiply(self.workspace.solution(factors))
        return zv @ state.inverse.T

    def _pairs(self, products: np.ndarray) -> list[np.ndarray]:
        """Return Σ_ℓ Y_ℓa Y_ℓb' of each coordinate's term (k, k, p + 1, p + 1)."""
        out = []
        for at in self.system.index:
            y = products[at]  # (q, k, p + 1)
            q, k, c = y.shape
            flat = y.reshape(q, k * c)
            out.append((flat.T @ flat).reshape(k, c, k, c).transpose(0, 2, 1, 3))
        return out

    def _blocks(self, factors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return Σ_ℓ of the diagonal blocks of C of each term (k, k).

        They replace the Cholesky factor of the dense rest by its inverse: what needs the factor goes first.
        """
        if vanish(factors):
            return self._plain_blocks()
        total = self.workspace.diagonal_blocks(factors)
        out = []
        for (f, first), term in zip(self.system.place, self.system.terms):
            block = total[f, first : first + term.k, first : first + term.k]
            out.append(0.5 * (block + block.T))
        return out

    def _weights(self, state: State, reml: bool, sigma2: float | None) -> tuple[float, float]:
        n_eff = self.system.n - (self.system.p if reml else 0)
        return quadratic_weights(n_eff, state.r2, sigma2)

    def gradient(
        self, factors: Sequence[np.ndarray], state: State, reml: bool, sigma2: float | None
    ) -> np.ndarray:
        """Return ∂d/∂γ (m,)."""
        if self.system.is_exact:
            return self.gradient_hessian(factors, state, reml, sigma2)[0]
        pairs, m = (
            self._pairs(self._products(factors, state)),
            self._weights(state, reml, sigma2)[0],
        )
        return self._gradient(pairs, self._blocks(factors), reml, m)

    def _gradient(
        self, pairs: Sequence[np.ndarray], blocks: Sequence[np.ndarray], reml: bool, m: float
    ) -> np.ndarray:
        p = self.system.p
        out = np.empty(self.system.n_coordinates)
        for term, y, c in zip(self.system.terms, pairs, blocks):
            d = c - m * y[:, :, p, p]
            if reml:
                d = d - np.einsum("abii->ab", y[:, :, :p, :p])
            out[term.coordinates] = _packed(d)
        return out

    def gradient_hessian(
        self, factors: Sequence[np.ndarray], state: State, reml: bool, sigma2: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (m,) and Hessian (m, m) in γ: exact, or the average information."""
        m, on_q = self._weights(state, reml, sigma2)
        if self.system.is_exact:
            weights = (-1.0, 2.0 if reml else 0.0, 2.0 * m)
            trace, quad, outer = self.derivatives(factors, state, reml, weights)
            return _groups.assemble(trace, quad, outer, self.system.p, reml, m, -1.0, -m, on_q)
        products = self._products(factors, state)
        pairs = self._pairs(products)
        information = self._average_information(factors, products, pairs, m, on_q)
        return self._gradient(pairs, self._blocks(factors), reml, m), information

    def _average_information(
        self,
        factors: Sequence[np.ndarray],
        products: np.ndarray,
        pairs: Sequence[np.ndarray],
        m: float,
        on_q: float,
    ) -> np.ndarray:
        p = self.system.p
        w, q = np.empty((self.system.n_coordinates, p)), np.empty(self.system.n_coordinates)
        for term, y in zip(self.system.terms, pairs):
            a, b = lower_indices(term.k)
            off = np.where(a != b, 1.0, 0.0)
            w[term.coordinates] = y[a, b, p, :p] + off[:, None] * y[b, a, p, :p]
            q[term.coordinates] = (1.0 + off) * y[a, b, p, p]
        information = self._quadratic_forms(factors, products[:, p])
        out: np.ndarray = m * (information - w @ w.T) + on_q * np.outer(q, q)
        return out

    def _quadratic_forms(self, factors: Sequence[np.ndarray], s: np.ndarray) -> np.ndarray:
        """Return (E_c s_i)'C(E_d s_j) (m r, m r) for vectors s (columns, r), or one (columns,)."""
        s = s.reshape(len(s), -1)
        m, r = self.system.n_coordinates, s.shape[1]
        x = np.zeros((self.system.columns, m, r))
        for term, at in zip(self.system.terms, self.system.index):
            rows, cols = lower_indices(term.k)
            for c, (a, b) in enumerate(zip(rows, cols), start=term.coordinates.start):
                x[at[:, a], c] += s[at[:, b]]
                if a != b:
                    x[at[:, b], c] += s[at[:, a]]
        x = x.reshape(-1, m * r)
        zx = self.workspace.multiply(x)
        forms: np.ndarray = x.T @ zx
        if not vanish(factors):
            self.workspace.hold(factors)
            self.workspace.forward(zx)
            forms -= zx.T @ zx
        return forms

    def adjustment(self, factors: Sequence[np.ndarray], state: State) -> np.ndarray:
        """Return B'E_cCE_dB (m, m, p, p); see `Engine.adjustment`."""
        m, p = self.system.n_coordinates, self.system.p
        if not p:
            return np.zeros((m, m, 0, 0))
        forms = self._quadratic_forms(factors, self._products(factors, state)[:, :p])
        return forms.reshape(m, p, m, p).transpose(0, 2, 1, 3)

    def _plain_blocks(self) -> list[np.ndarray]:
        """Return Σ_ℓ Z_ℓ'Z_ℓ of each term: C where there are no random effects."""
        sums = self.system.block_sums
        return [
            sums[f][at : at + term.k, at : at + term.k]
            for (f, at), term in zip(self.system.place, self.system.terms)
        ]

    def derivatives(
        self,
        factors: Sequence[np.ndarray],
        state: State,
        reml: bool,
        weights: tuple[float, float, float],
        with_quad: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the exact sums (trace, quad, outer) of `Engine.derivatives`.

        For a model of few columns C is formed, a block of columns at a time. For others the traces
        tr(C E_c C E_d) are differences of tr(C E_c), which selected blocks of C give, to about 1e-8.
        """
        products = self._products(factors, state)
        pairs = self._pairs(products)
        p, n_coordinates = self.system.p, self.system.n_coordinates
        rows, cols = lower_indices(p + 1)
        outer = np.zeros((n_coordinates, len(rows)))
        for term, y in zip(self.system.terms, pairs):
            a, b = lower_indices(term.k)
            part = y[a, b] + np.where((a != b)[:, None, None], y[b, a], 0.0)
            outer[term.coordinates] = 0.5 * (part + part.swapaxes(1, 2))[:, rows, cols]
        trace, quad = np.empty(n_coordinates), np.zeros((n_coordinates, n_coordinates))
        nothing = vanish(factors)
        weight_c, weight_b, weight_s = weights
        scales = np.append(np.full(p, weight_b if reml else 0.0), weight_s)
        if not with_quad and not self.system.is_exact:
            return self._trace(factors), quad, outer
        if self.system.columns > WHOLE:
            slopes = self._trace_slopes(factors)
            if slopes is not None:
                for j in np.flatnonzero(scales):
                    quad += scales[j] * self._quadratic_forms(factors, products[:, j])
                return self._trace(factors), quad - weight_c * slopes, outer
        if not nothing:
            self.workspace.hold(factors)
        whole = None if self.system.zz is None else self._whole_c(self.system.zz, nothing)
        blocks = [np.zeros((t.k, t.k)) for t in self.system.terms]
        for u, (right, at_u) in enumerate(zip(self.system.terms, self.system.index)):
            for first in range(0, len(at_u), max(1, BLOCK // right.k)):
                levels = at_u[first : first + max(1, BLOCK // right.k)]
                columns = levels.ravel()
                c = self._columns_of_c(columns, nothing) if whole is None else whole[:, columns]
                f = weight_c * c + products @ (scales[:, None] * products[columns].T)
                shape = (*levels.shape, self.system.columns)
                c = np.ascontiguousarray(c.T).reshape(shape)
                f = np.ascontiguousarray(f.T).reshape(shape)
                for i, level in enumerate(levels):
                    blocks[u] += c[i][:, level]
                for left, at_t in zip(self.system.terms, self.system.index):
                    quad[left.coordinates, right.coordinates] += _quad(c[:, :, at_t], f[:, :, at_t])
        for term, block in zip(self.system.terms, blocks):
            trace[term.coordinates] = _packed(0.5 * (block + block.T))
        return trace, quad, outer

    def _trace(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """Return tr(C E_c) (m,) from selected blocks of C."""
        return np.concatenate([_packed(c) for c in self._blocks(factors)])

    def _trace_slopes(self, factors: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return ∂tr(C E_c)/∂γ_d (m, m) by central differences; None next to a singular G."""
        out = np.empty((self.system.n_coordinates, self.system.n_coordinates))
        covariances = [f @ f.T for f in factors]
        moved = list(factors)
        column = 0
        for t, (term, g) in enumerate(zip(self.system.terms, covariances)):
            for a, b in zip(*lower_indices(term.k)):
                h = STEP * float(np.sqrt(g[a, a] * g[b, b]))
                ends = []
                for step in (h, -h):
                    near = g.copy()
                    near[a, b] += step
                    if a != b:
                        near[b, a] += step
                    if h == 0.0 or np.linalg.eigvalsh(near)[0] <= 0.0:
                        return None
                    moved[t] = np.linalg.cholesky(near)
                    ends.append(self._trace(moved))
                moved[t] = factors[t]
                out[:, column] = (ends[0] - ends[1]) / (2.0 * h)
                column += 1
        return 0.5 * (out + out.T)

    def _whole_c(self, zz: np.ndarray, nothing: bool) -> np.ndarray:
        """Return C = Z'Z − T'T, T = L⁻¹Λ'Z'Z, by the factorization that is held."""
        if nothing:
            return zz
        t = zz.copy()
        self.workspace.forward(t)
        c: np.ndarray = zz - t.T @ t
        return c

    def _columns_of_c(self, columns: np.ndarray, nothing: bool) -> np.ndarray:
        """Return some columns of C = Z'V⁻¹Z (columns, r) by the factorization that is held."""
        e = np.zeros((self.system.columns, len(columns)))
        e[columns, np.arange(len(columns))] = 1.0
        c = self.workspace.multiply(e)
        if nothing:
            return c
        x = c.copy()
        self.workspace.forward(x)
        self.workspace.backward(x)
        return c - self.workspace.multiply(x)

    def moments(self) -> list[np.ndarray]:
        """Return first estimates of the G_t, which may be indefinite."""
        s = self.system.zxy[:, self.system.p]
        squares = np.concatenate([_packed(s[at].T @ s[at]) for at in self.system.index])
        return moment_estimates(
            self.system.frobenius, np.concatenate([_packed(c) for c in self._plain_blocks()]), squares,
            float(self.system.total[-1, -1]), self.system.n - self.system.p, [t.k for t in self.system.terms],
        )  # fmt: skip

    def scoring(
        self, factors: Sequence[np.ndarray], state: State, reml: bool, sigma2: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and expected information (times two) in γ for a fixed σ²."""
        trace, quad, outer = self.derivatives(
            factors, state, reml, (1.0, -2.0 if reml else 0.0, 0.0)
        )
        return _groups.assemble(
            trace, quad, outer, self.system.p, reml, state.r2 / sigma2, 1.0, 0.0, 0.0
        )


def _packed(d: np.ndarray) -> np.ndarray:
    """Return tr(E_c d) for the coordinates of a symmetric matrix: twice the entries off the diagonal."""
    rows, cols = lower_indices(len(d))
    out: np.ndarray = np.where(rows == cols, 1.0, 2.0) * d[rows, cols]
    return out


def _quad(c: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Return tr(C E_c F E_d) for blocks of C and F (levels_u, k_u, levels_t, k_t): (m_t, m_u)."""
    q_u, k_u, q_t, k_t = c.shape
    left = c.transpose(3, 1, 0, 2).reshape(k_t * k_u, q_u * q_t)
    right = f.transpose(3, 1, 0, 2).reshape(k_t * k_u, q_u * q_t)
    # [a, b', b, a'] = Σ C[(ℓ', b'), (ℓ, a)] F[(ℓ, b), (ℓ', a')]
    sums = left @ right.T
    return spread(sums, k_t, k_u)
