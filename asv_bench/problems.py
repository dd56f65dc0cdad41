"""Benchmark problems, made from fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import lmmcore


@dataclass(frozen=True)
class Problem:
    """Data and the model to fit to them."""

    name: str
    title: str
    frame: pd.DataFrame
    formula: str  # the fixed effects
    groups: str
    re_formula: str

    @property
    def lmer(self) -> str:
        """The model in one formula, as lme4 writes it."""
        return f"{self.formula} + ({self.re_formula} | {self.groups})"

    @property
    def response(self) -> str:
        return self.formula.split("~")[0].strip()

    def exog(self) -> np.ndarray:
        """Columns of the fixed effects, a constant first."""
        return self._columns("1 + " + self.formula.split("~")[1])

    def exog_re(self) -> np.ndarray:
        """Columns of the random coefficients."""
        return self._columns(self.re_formula)

    def _columns(self, terms: str) -> np.ndarray:
        names = [name.strip() for name in terms.split("+")]
        ones = np.ones(len(self.frame))
        return np.column_stack([ones if name == "1" else self.frame[name] for name in names])

    def save(self, folder: Path) -> None:
        """Write the problem to a folder; `load` reads it."""
        fields = [self.name, self.title, self.formula, self.groups, self.re_formula]
        columns = {str(name): column.to_numpy() for name, column in self.frame.items()}
        np.savez(folder / f"{self.name}.npz", allow_pickle=False, FIELDS=fields, **columns)


def load(folder: Path, name: str) -> Problem:
    """Read a problem, with little more memory than its columns take."""
    with np.load(folder / f"{name}.npz") as file:
        name, title, formula, groups, re_formula = file["FIELDS"].tolist()
        columns = {key: file[key] for key in file.files if key != "FIELDS"}
    frame = pd.DataFrame(columns, copy=False)
    return Problem(name, title, frame, formula, groups, re_formula)


@dataclass(frozen=True)
class Recipe:
    """What a generated problem looks like: sizes and the order of its rows."""

    title: str
    seed: int
    rows: int
    groups: int
    fixed: int  # columns of X, the constant among them
    random: int = 1  # columns of Z, the first of X
    visits: bool = False  # x1 is the time of a visit, irregular so that no two groups are alike
    shuffled: bool = False

    def make(self, name: str) -> Problem:
        rng = np.random.default_rng(self.seed)
        group = self._group_of_rows(rng)
        names = [f"x{j}" for j in range(1, self.fixed)]
        x = np.ones((self.fixed, self.rows))
        rng.standard_normal(out=x[1:])
        if self.visits:
            first = np.flatnonzero(np.diff(group, prepend=-1))
            visit = np.arange(self.rows) - first[group]
            x[1] = 0.3 * (visit + rng.random(self.rows)) - 1.0
        y = rng.standard_normal(self.rows)
        effects = 0.7 * rng.standard_normal((self.groups, self.random)) @ self._factor().T
        for j, beta in enumerate(0.8 ** np.arange(self.fixed)):
            y += x[j] * (beta + effects[group, j] if j < self.random else beta)
        frame = pd.DataFrame({"y": y, **dict(zip(names, x[1:])), "g": group})
        formula = "y ~ " + " + ".join(names)
        return Problem(
            name, self.title, frame, formula, "g", " + ".join(["1", *names[: self.random - 1]])
        )

    def _group_of_rows(self, rng: np.random.Generator) -> np.ndarray:
        """Return labels: every group has a row, and some have several times as many as others."""
        edges = np.cumsum(rng.gamma(4.0, size=self.groups))
        rest = np.searchsorted(edges, edges[-1] * rng.random(self.rows - self.groups))
        group = np.concatenate([np.arange(self.groups), rest])
        return rng.permutation(group) if self.shuffled else np.sort(group)

    def _factor(self) -> np.ndarray:
        """Return the Cholesky factor of a correlation matrix that fades away from the diagonal."""
        index = np.arange(self.random)
        return np.linalg.cholesky(0.4 ** np.abs(index[:, None] - index))


RECIPES = {
    "P2": Recipe("1,000 rows, 50 groups, intercept", 12, 1_000, 50, 3),
    "P3": Recipe(
        "100,000 rows, 10,000 groups, intercept and slope", 13, 100_000, 10_000, 5, 2, visits=True
    ),
    "P4": Recipe(
        "1,000,000 rows, 100,000 groups, intercept and slope", 14, 1_000_000, 100_000, 10, 2,
        visits=True,
    ),
    "P5": Recipe(
        "1,000,000 shuffled rows, 50 groups, intercept and two slopes", 15, 1_000_000, 50, 5, 3,
        shuffled=True,
    ),
    "P10": Recipe(
        "50,000 rows, 2,500 groups, five correlated coefficients", 20, 50_000, 2_500, 5, 5
    ),
}  # fmt: skip

NAMES = ("P1", *RECIPES)


def make(name: str) -> Problem:
    """Return a problem by name."""
    if name in RECIPES:
        return RECIPES[name].make(name)
    if name != "P1":
        raise ValueError(f"there is no problem {name!r}; expected one of {', '.join(NAMES)}")
    frame = lmmcore.datasets.load_sleepstudy()
    frame["Subject"] = frame["Subject"].astype(int)  # as in the other problems
    title = "sleepstudy: 180 rows, 18 groups, intercept and slope"
    return Problem(name, title, frame, "Reaction ~ Days", "Subject", "1 + Days")


def penalised(rows: int = 20_000, groups: int = 500, columns: int = 100) -> Problem:
    """Return a problem of selection: ten effects of falling size among the columns (P11)."""
    rng = np.random.default_rng(21)
    group = np.sort(np.concatenate([np.arange(groups), rng.integers(0, groups, rows - groups)]))
    x = rng.standard_normal((columns, rows))
    effects = np.repeat([1.0, 0.8, 0.6, 0.4, 0.2], 2) * np.tile([1.0, -1.0], 5)
    y = 1.0 + effects @ x[:10] + 0.7 * rng.standard_normal(groups)[group]
    y += rng.standard_normal(rows)
    names = [f"x{j + 1}" for j in range(columns)]
    frame = pd.DataFrame({"y": y, **dict(zip(names, x)), "g": group})
    title = f"{rows:,} rows, {groups:,} groups, {columns} candidates, 10 effects"
    return Problem("P11", title, frame, "y ~ " + " + ".join(names), "g", "1")
