"""How often a fit ends in the lower one of two optima: drawn models beside a dense referee.

Each drawn model is fitted by lmmcore and by the referee of referee.py. The rates are in
docs/limitations.md.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices; ask for more by the variable

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from referee import STARTS, Dense, Term

import lmmcore

WORSE = 1e-5  # of −2 log-likelihood
# Drawn models


@dataclass
class Drawn:
    """A drawn model: data, and the same model for lmmcore and for the referee."""

    formula: str
    frame: pd.DataFrame
    x: np.ndarray
    terms: list[Term]
    reml: bool

    def respond(self, rng: np.random.Generator) -> None:
        y = self.x @ rng.standard_normal(self.x.shape[1]) + rng.standard_normal(len(self.x))
        for t in self.terms:
            g = t.family.covariance(t.family.draw(rng))[0]
            values, vectors = np.linalg.eigh(g)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            y += np.einsum("nqk,qk->n", t.z, rng.standard_normal(t.z.shape[1:]) @ root.T)
        self.frame["y"] = y

    def dense(self, ridge: np.ndarray | None = None) -> Dense:
        return Dense(self.frame["y"].to_numpy(), self.x, self.terms, self.reml, ridge)


def _numbers(rng: np.random.Generator, n: int, names: list[str]) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(n) for name in names}


def drawn_structure(name: str, rng: np.random.Generator) -> Drawn:
    """Twelve groups, three or four cells with two rows each."""
    k = 4 if name in ("fa2", "rr2") else int(rng.integers(3, 5))
    group, cell = (a.ravel() for a in np.meshgrid(range(12), np.repeat(range(k), 2), indexing="ij"))
    frame = pd.DataFrame({"g": group, "time": cell, **_numbers(rng, len(group), ["x"])})
    z = np.eye(k)[cell]
    x = np.column_stack([np.ones(len(frame)), frame["x"], z[:, 1:]])
    if rng.random() < 0.5:
        x = x[:, :2]
    fixed = "y ~ x + C(time)" if x.shape[1] > 2 else "y ~ x"
    terms = [Term(z, group, name)]
    return Drawn(f"{fixed} + {name}(0 + C(time) | g)", frame, x, terms, bool(rng.random() < 0.5))


def drawn_grouped(rng: np.random.Generator, sizes: tuple[int, ...], bar: str) -> Drawn:
    """Random intercept and one or two slopes, groups of unequal size."""
    k = int(rng.choice(sizes))
    q = int(rng.integers(8, 16))
    group = np.repeat(np.arange(q), rng.integers(k + 1, k + 5, q))
    if bar == "||":
        group = np.repeat(np.arange(7), rng.integers(4, 8, 7))
    names = [f"x{j + 1}" for j in range(k - 1)]
    frame = pd.DataFrame({"g": group, **_numbers(rng, len(group), names)})
    x = np.column_stack([np.ones(len(group)), frame[names]])
    random = " + ".join(["1", *names])
    if bar == "||":
        terms = [Term(x[:, [j]], group) for j in range(k)]
    else:
        terms = [Term(x, group)]
    formula = f"y ~ {' + '.join(names)} + ({random} {bar} g)"
    return Drawn(formula, frame, x, terms, bool(rng.random() < 0.5))


def drawn_crossed(rng: np.random.Generator) -> Drawn:
    """Two or three crossed factors, from 21 rows on; at times a slope."""
    n, factors = int(rng.integers(21, 80)), int(rng.integers(2, 4))
    slope = factors == 2 and n > 40 and rng.random() < 0.5
    frame = pd.DataFrame(_numbers(rng, n, ["x"]))
    x = np.column_stack([np.ones(n), frame["x"]])
    terms, bars = [], []
    for name in "abc"[:factors]:
        codes = rng.permutation(np.arange(n) % int(rng.integers(4, 9)))
        frame[name] = codes
        own = slope and name == "a"
        terms.append(Term(x if own else x[:, :1], codes))
        bars.append(f"({'1 + x' if own else '1'} | {name})")
    return Drawn(f"y ~ x + {' + '.join(bars)}", frame, x, terms, bool(rng.random() < 0.5))


def drawn_penalized(rng: np.random.Generator, rows: int, columns: int) -> Drawn:
    """A random intercept, at times a slope, and several columns."""
    q = int(rng.integers(8, 16))
    group = np.repeat(np.arange(q), -(-rows // q))
    names = [f"x{j + 1}" for j in range(columns)]
    frame = pd.DataFrame({"g": group, **_numbers(rng, len(group), names)})
    x = np.column_stack([np.ones(len(group)), frame[names]])
    k = int(rng.integers(1, 3))
    formula = f"y ~ {' + '.join(names)} + ({['1', '1 + x1'][k - 1]} | g)"
    return Drawn(formula, frame, x, [Term(x[:, :k], group)], bool(rng.random() < 0.5))


# What is compared


@dataclass
class Row:
    """One model: criterion less the referee's, and how far the two likelihoods are apart."""

    gap: float = np.nan
    mismatch: float = np.nan
    residual: float = 0.0  # joint: of the coefficients' conditions, in units of the penalty
    converged: bool = False
    seconds: float = 0.0
    unbounded: bool = False  # no lowest value exists: counted apart
    error: str = ""


class Ridge:
    """Σ w_j β_j² of statsmodels' kind."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def func(self, beta: np.ndarray) -> float:
        return float(self.weights @ np.asarray(beta) ** 2)

    def deriv(self, beta: np.ndarray) -> np.ndarray:
        return 2.0 * self.weights * np.asarray(beta)


def compare_plain(drawn: Drawn, rng: np.random.Generator) -> Row:
    drawn.respond(rng)
    model = lmmcore.mixedlm(drawn.formula, drawn.frame)
    began = time.perf_counter()
    fit = model.fit(reml=drawn.reml)
    seconds = time.perf_counter() - began
    dense = drawn.dense()
    at_fit = dense.at(fit.fit.relative)[0]
    gap = fit.criterion - dense.least(rng)
    unbounded = gap > WORSE and dense.is_unbounded()
    return Row(gap, abs(fit.criterion - at_fit), 0.0, fit.converged, seconds, unbounded)


def compare_smooth(drawn: Drawn, rng: np.random.Generator) -> Row:
    drawn.respond(rng)
    weights = np.where(rng.random(drawn.x.shape[1]) < 0.5, np.exp(rng.normal(1.0, 2.0)), 0.0)
    weights[1] = np.exp(rng.normal(1.0, 2.0))
    model = lmmcore.mixedlm(drawn.formula, drawn.frame)
    began = time.perf_counter()
    fit = model.fit(reml=drawn.reml, fe_pen=Ridge(weights))
    seconds = time.perf_counter() - began
    beta = np.asarray(fit.fe_params)
    dense = drawn.dense(weights)
    at_fit = dense.at(fit.fit.relative, beta)[0]
    value = -2.0 * fit.llf + 2.0 * float(weights @ beta**2)
    return Row(at_fit - dense.least(rng), abs(value - at_fit), 0.0, fit.converged, seconds)


def compare_joint(drawn: Drawn, rng: np.random.Generator) -> Row:
    """Lasso and variances: each is the best for the other, by the dense likelihood."""
    drawn.respond(rng)
    alpha = float(np.exp(rng.uniform(np.log(0.5), np.log(20.0))))
    model = lmmcore.mixedlm(drawn.formula, drawn.frame)
    began = time.perf_counter()
    fit = model.fit_regularized(
        method="lasso", alpha=alpha, unpenalized="Intercept", variances="joint", reml=drawn.reml
    )
    seconds = time.perf_counter() - began
    beta, g = np.asarray(fit.fe_params), fit.fit.relative
    rest = drawn.frame["y"].to_numpy() - drawn.x[:, 1:] @ beta[1:]
    dense = Dense(rest, drawn.x[:, :1], drawn.terms, drawn.reml)
    at_fit = dense.at(g)[0]
    z = drawn.terms[0].z
    n = len(rest)
    v = np.eye(n) + (z @ g[0]).reshape(n, -1) @ z.reshape(n, -1).T
    slopes = drawn.x[:, 1:].T @ np.linalg.solve(v, rest - beta[0]) / np.sqrt(fit.scale)
    limit = 0.5 * alpha
    zero = beta[1:] == 0.0
    off = np.where(
        zero, np.maximum(np.abs(slopes) - limit, 0.0), slopes - limit * np.sign(beta[1:])
    )
    return Row(
        fit.criterion - dense.least(rng), abs(fit.criterion - at_fit),
        float(np.abs(off).max()) / limit, fit.converged, seconds,
    )  # fmt: skip


Kind = Callable[[np.random.Generator], Row]
STRUCTURES = (
    "cs", "csh", "ar1", "ar1h", "toep", "toeph", "toep2", "toeph2", "fa1", "fa2", "rr1", "rr2", "id",
    "diag",
)  # fmt: skip
KINDS: dict[str, Kind] = {
    "unstructured": lambda rng: compare_plain(drawn_grouped(rng, (2, 3), "|"), rng),
    "independent": lambda rng: compare_plain(drawn_grouped(rng, (2, 3), "||"), rng),
    "crossed": lambda rng: compare_plain(drawn_crossed(rng), rng),
    **{
        name: lambda rng, name=name: compare_plain(drawn_structure(name, rng), rng)
        for name in STRUCTURES
    },
    "smooth": lambda rng: compare_smooth(drawn_penalized(rng, 60, 3), rng),
    "joint": lambda rng: compare_joint(drawn_penalized(rng, 90, 6), rng),
}


def one(kind: str, seed: int) -> Row:
    """Draw model number `seed` of a kind and compare."""
    rng = np.random.default_rng([seed, *kind.encode()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return KINDS[kind](rng)
        except lmmcore.errors.LmmcoreError as exc:
            return Row(error=f"{type(exc).__name__}: {exc}")


def rates(kind: str, seeds: Iterator[int] | range, tell: bool = False) -> dict[str, object]:
    """Return one line of the table."""
    rows = []
    for seed in seeds:
        row = one(kind, seed)
        rows.append(row)
        if tell and (row.error or row.gap > WORSE or row.residual > WORSE or not row.converged):
            print(
                f"  {kind} {seed}: gap {row.gap:.2g}, residual {row.residual:.2g}, "
                f"converged {row.converged}, unbounded {row.unbounded}. {row.error}",
                flush=True,
            )
    fits = [r for r in rows if not r.error and not r.unbounded]
    gaps = np.array([r.gap for r in fits])
    return {
        "kind": kind,
        "models": len(rows),
        "worse": int((gaps > WORSE).sum()),
        "largest gap": f"{gaps.max(initial=0.0):.2g}",
        "referee worse": int((gaps < -WORSE).sum()),
        "unbounded": sum(r.unbounded for r in rows),
        "refused": sum(bool(r.error) for r in rows),
        "not converged": sum(not r.converged for r in fits),
        "not stationary": sum(r.residual > WORSE for r in fits),
        "likelihoods differ by": f"{max((r.mismatch for r in fits), default=0.0):.1g}",
        "ms a fit": f"{1e3 * np.median([r.seconds for r in fits] or [0.0]):.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS), help="by commas; by default all")
    parser.add_argument("--models", type=int, default=1000, help="models per kind (1000)")
    parser.add_argument("--seed", type=int, default=0, help="number of the first model (0)")
    parser.add_argument("--tell", action="store_true", help="name the models that are worse")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or options.models < 1:
        parser.error(f"expected --models of 1 or more and kinds among {', '.join(KINDS)}")
    print(
        f"worse: by more than {WORSE:g} of -2 log-likelihood than {STARTS} random starts",
        flush=True,
    )
    lines = []
    for kind in kinds:
        lines.append(rates(kind, range(options.seed, options.seed + options.models), options.tell))
        print(" ".join(f"{name}: {value}," for name, value in lines[-1].items())[:-1], flush=True)
    print(pd.DataFrame(lines).to_string(index=False))


if __name__ == "__main__":
    main()
