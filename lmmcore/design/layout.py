"""The layout: which random-effects terms a model has, and where each stands among the parameters.

Parameters are those of statsmodels: ``cov_re``, one matrix for the random coefficients of all terms
(zero between terms), and ``vcomp``, one variance for each component. A term is a bar of the formula, or
a component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..linalg.matrices import lower_indices


@dataclass(frozen=True)
class Term:
    """One random-effects term.

    Attributes
    ----------
    names : tuple of str
        Names of its columns; an intercept has the name of its grouping factor.
    group : str
        Name of its grouping factor.
    factor : int
        Number of the grouping factor.
    first : int
        Position of its first column among the random coefficients; of a component, its number.
    is_component : bool
        Whether it is a variance component.
    """

    names: tuple[str, ...]
    group: str
    factor: int
    first: int
    is_component: bool

    @property
    def k(self) -> int:
        """Columns per level."""
        return len(self.names)

    @property
    def columns(self) -> slice:
        """Its columns among the random coefficients."""
        return slice(self.first, self.first + self.k)

    @property
    def shown(self) -> tuple[str, ...]:
        """Names with "Intercept" for an intercept."""
        if self.is_component:
            return self.names
        return tuple("Intercept" if name == self.group else name for name in self.names)

    @property
    def title(self) -> str:
        """The term as in a formula."""
        return f"({' + '.join('1' if x == self.group else x for x in self.names)} | {self.group})"


@dataclass(frozen=True)
class Layout:
    """The terms of a model: bars first, then variance components.

    Attributes
    ----------
    terms : tuple of Term
    """

    terms: tuple[Term, ...]

    @classmethod
    def of(
        cls,
        bars: Sequence[tuple[tuple[str, ...], int]],
        components: Sequence[str],
        factors: Sequence[str],
    ) -> Layout:
        """Build from (names, grouping factor) of each bar, component names, names of the factors."""
        terms, at = [], 0
        for names, factor in bars:
            terms.append(Term(tuple(names), factors[factor], factor, at, False))
            at += len(names)
        for j, name in enumerate(components):
            terms.append(Term((name,), factors[0], 0, j, True))
        return cls(tuple(terms))

    @cached_property
    def bars(self) -> tuple[Term, ...]:
        """Terms that are no components."""
        return tuple(t for t in self.terms if not t.is_component)

    @cached_property
    def components(self) -> tuple[Term, ...]:
        """Terms that are variance components."""
        return tuple(t for t in self.terms if t.is_component)

    @cached_property
    def k_re(self) -> int:
        """Number of random coefficients."""
        return sum(t.k for t in self.bars)

    @property
    def k_re2(self) -> int:
        """Entries of the lower triangle of cov_re."""
        return self.k_re * (self.k_re + 1) // 2

    @cached_property
    def k_vc(self) -> int:
        """Number of variance components."""
        return len(self.components)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Columns per level of each term."""
        return tuple(t.k for t in self.terms)

    @cached_property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """Names of the columns of each term."""
        return tuple(t.names for t in self.terms)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Name of each term's grouping factor."""
        return tuple(t.group for t in self.terms)

    @cached_property
    def coefficient_names(self) -> tuple[str, ...]:
        """Names of the random coefficients; a slope of two factors has its factor with it, ``"x | item"``."""
        pairs = [(name, t.group) for t in self.bars for name in t.names]
        names = [name for name, _ in pairs]
        return tuple(n if names.count(n) == 1 else f"{n} | {g}" for n, g in pairs)

    @cached_property
    def component_names(self) -> tuple[str, ...]:
        """Names of the variance components."""
        return tuple(t.names[0] for t in self.components)

    @cached_property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the packed parameters: "… Var" and "a x b Cov", then "… Var" of the components."""
        out = []
        for i, name in enumerate(self.coefficient_names):
            out += [f"{other} x {name} Cov" for other in self.coefficient_names[:i]]
            out.append(f"{name} Var")
        return tuple(out + [f"{name} Var" for name in self.component_names])

    def columns_of_factor(self, factor: int) -> list[int]:
        """Return the random coefficients that vary with a grouping factor."""
        return [j for t in self.bars if t.factor == factor for j in range(t.first, t.first + t.k)]

    def split(self, cov_re: np.ndarray, vcomp: np.ndarray) -> list[np.ndarray]:
        """Return the matrix (k, k) of each term."""
        cov_re, vcomp = np.asarray(cov_re), np.asarray(vcomp)
        return [
            vcomp[t.first].reshape(1, 1) if t.is_component else cov_re[t.columns, t.columns]
            for t in self.terms
        ]

    def join(self, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return cov_re (k_re, k_re) and vcomp (k_vc,) from the matrix of each term."""
        cov_re, vcomp = np.zeros((self.k_re, self.k_re)), np.zeros(self.k_vc)
        for term, part in zip(self.terms, parts):
            if term.is_component:
                vcomp[term.first] = part[0, 0]
            else:
                cov_re[term.columns, term.columns] = part
        return cov_re, vcomp

    @cached_property
    def packed(self) -> tuple[np.ndarray, ...]:
        """Positions of each term's lower triangle, row by row, in the packed parameters."""
        rows, cols = lower_indices(self.k_re)
        place = np.full((self.k_re, self.k_re), -1)
        place[rows, cols] = np.arange(len(rows))
        out = []
        for term in self.terms:
            a, b = lower_indices(term.k)
            if term.is_component:
                out.append(np.array([len(rows) + term.first]))
            else:
                out.append(place[term.first + a, term.first + b])
        return tuple(out)

    def coefficient(self, index: int) -> tuple[int, int]:
        """Return the term of a random coefficient, and its column there."""
        for t, term in enumerate(self.terms):
            if not term.is_component and term.first <= index < term.first + term.k:
                return t, index - term.first
        raise IndexError(index)

    def component(self, name: str) -> int:
        """Return the term of a variance component."""
        return len(self.bars) + self.component_names.index(name)
