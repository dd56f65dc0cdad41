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
    groups: str  # the grouping factors, joined by commas
    re_formula: str
    bars: str = ""  # the random terms of a model with several factors

    @property
    def lmer(self) -> str:
        """The model in one formula, as lme4 writes it."""
        return f"{self.formula} + {self.bars or f'({self.re_formula} | {self.groups})'}"

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
        fields = [
            self.name, self.title, self.formula, self.groups, self.re_formula, self.bars,
        ]  # fmt: skip
        columns = {str(name): column.to_numpy() for name, column in self.frame.items()}
        np.savez(folder / f"{self.name}.npz", allow_pickle=False, FIELDS=fields, **columns)


def load(folder: Path, name: str) -> Problem:
    """Read a problem, with little more memory than its columns take."""
    with np.load(folder / f"{name}.npz") as file:
        name, title, formula, groups, re_formula, bars = file["FIELDS"].tolist()
        columns = {key: file[key] for key in file.files if key != "FIELDS"}
    frame = pd.DataFrame(columns, copy=False)
    return Problem(name, title, frame, formula, groups, re_formula, bars)


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


@dataclass(frozen=True)
class CrossedRecipe:
    """A generated problem with two factors: nested, or crossed at random or by popularity."""

    title: str
    seed: int
    rows: int
    levels: tuple[int, int]
    names: tuple[str, str]
    nested: bool = False
    popular: bool = False  # a few levels of both factors have most of the rows

    def make(self, name: str) -> Problem:
        rng = np.random.default_rng(self.seed)
        first, second = self._codes(rng)
        x = rng.standard_normal((2, self.rows))
        y = 1.0 + x.T @ [0.5, -0.25] + rng.standard_normal(self.rows)
        for codes, levels, sd in ((first, self.levels[0], 0.6), (second, self.levels[1], 0.4)):
            y += sd * rng.standard_normal(levels)[codes]
        one, two = self.names
        frame = pd.DataFrame({"y": y, "x1": x[0], "x2": x[1], one: first, two: second})
        bars = f"(1 | {one}) + (1 | {two})"
        return Problem(name, self.title, frame, "y ~ x1 + x2", f"{one},{two}", "1", bars)

    def _codes(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        n, (q, r) = self.rows, self.levels
        if self.nested:
            inner = np.sort(np.concatenate([np.arange(q), rng.integers(0, q, n - q)]))
            outer = np.sort(np.concatenate([np.arange(r), rng.integers(0, r, q - r)]))
            return inner, outer[inner]
        if not self.popular:
            return rng.integers(0, q, n), rng.integers(0, r, n)
        activity = np.cumsum(rng.pareto(1.5, q) + 0.2)
        rest = np.searchsorted(activity, activity[-1] * rng.random(n - 5 * q))
        users = rng.permutation(np.concatenate([np.repeat(np.arange(q), 5), rest]))
        weight = np.cumsum((np.arange(r) + 10.0) ** -0.9)
        items = np.searchsorted(weight, weight[-1] * rng.random(n))
        items[:r] = np.arange(r)
        return users, items


CROSSED = {
    "P6": CrossedRecipe(
        "200,000 rows, 10,000 classes in 1,000 schools", 16, 200_000, (10_000, 1_000),
        ("klass", "school"), nested=True,
    ),
    "P8": CrossedRecipe(
        "500,000 rows, 20,000 users x 2,000 items", 18, 500_000, (20_000, 2_000), ("user", "item")
    ),
    "P8b": CrossedRecipe(
        "2,000,000 rows, 100,000 users x 10,000 items, by popularity", 28, 2_000_000,
        (100_000, 10_000), ("user", "item"), popular=True,
    ),
}  # fmt: skip

SINGLE = ("P1", *RECIPES)
SEVERAL = ("P6", "P7", "P8")
LARGE = ("P8b",)  # when asked for
NAMES = (*SINGLE, *SEVERAL)


def make(name: str) -> Problem:
    """Return a problem by name."""
    if name in RECIPES:
        return RECIPES[name].make(name)
    if name in CROSSED:
        return CROSSED[name].make(name)
    if name == "P7":
        return _insteval()
    if name != "P1":
        known = ", ".join((*NAMES, *LARGE))
        raise ValueError(f"there is no problem {name!r}; expected one of {known}")
    frame = lmmcore.datasets.load_sleepstudy()
    frame["Subject"] = frame["Subject"].astype(int)  # as in the other problems
    title = "sleepstudy: 180 rows, 18 groups, intercept and slope"
    return Problem(name, title, frame, "Reaction ~ Days", "Subject", "1 + Days")


def penalized(rows: int = 20_000, groups: int = 500, columns: int = 100) -> Problem:
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


def _insteval() -> Problem:
    """Lecture evaluations at ETH Zurich: students, lecturers and departments."""
    path = Path(__file__).parents[1] / "tests" / "reference" / "data" / "InstEval.csv.gz"
    frame = pd.read_csv(path)[["y", "service", "s", "d", "dept"]]
    title = "InstEval: 73,421 rows, 2,972 students x 1,128 lecturers x 14 departments"
    return Problem(
        "P7", title, frame, "y ~ service", "s,d,dept", "1", "(1 | s) + (1 | d) + (1 | dept)"
    )
