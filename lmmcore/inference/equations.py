"""Linear equations as text: the names of coefficients in them, however they are spelled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import patsy


def read_equations(
    text: Sequence[str], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return matrix (m, p), values (m,) and labels of equations such as ``"x1 = x2, x3 = 1"``.

    Spaces in names do not matter (``I(x**2)``, ``I(x ** 2)``). Names
    may be in backticks or ``Q("…")``, as in formulas.

    Raises
    ------
    patsy.PatsyError
        The text has no linear equations in these names.
    """
    places = [f"_coefficient_{j}_" for j in range(len(names))]
    pattern = re.compile("|".join(_spellings(names)))

    def place(found: re.Match[str]) -> str:
        return places[int(str(found.lastgroup).split("_")[1])]

    found = patsy.DesignInfo(places).linear_constraint([pattern.sub(place, part) for part in text])
    labels = [label for part in text for label in _cut(part, pattern)]
    if len(labels) != len(found.coefs):
        labels = [f"c{i}" for i in range(len(found.coefs))]
    return found.coefs, found.constants[:, 0], tuple(labels)


def _cut(text: str, names: re.Pattern[str]) -> list[str]:
    """Cut equations at the commas that are in no name."""
    masked = names.sub(lambda found: "_" * len(found[0]), text)
    edges = [-1, *(i for i, char in enumerate(masked) if char == ","), len(text)]
    return [text[a + 1 : b].strip() for a, b in pairwise(edges)]


def _spellings(names: Sequence[str]) -> list[str]:
    """Return patterns of all names, the longest first; group ``_j_s`` is spelling s of name j."""
    out: list[tuple[int, str]] = []
    for j, name in enumerate(names):
        if not name.strip():
            continue
        for s, text in enumerate(_quotations(name)):
            out.append((len(text), f"(?P<_{j}_{s}>{_pattern(text)})"))
        parts = name.split(":")
        if len(parts) > 1 and all(part.strip() for part in parts):  # an interaction: quoted or not
            each = ["|".join(map(_pattern, _quotations(part))) for part in parts]
            whole = r"\s*:\s*".join(f"(?:{part})" for part in each)
            out.append((sum(len(part) + 6 for part in parts), f"(?P<_{j}_q>{whole})"))
    return [pattern for _, pattern in sorted(out, key=lambda pair: -pair[0])]


def _quotations(name: str) -> list[str]:
    return [name, f'Q("{name}")', f"Q('{name}')", f"`{name}`"]


def _pattern(name: str) -> str:
    """Return a pattern of a name in which spaces do not count, and which is no part of another."""
    parts = re.findall(r"\w+|[^\w\s]", name)
    out = [re.escape(parts[0])]
    for before, part in pairwise(parts):
        words = before[-1].isalnum() and part[0].isalnum()
        out.append((r"\s+" if words else r"\s*") + re.escape(part))
    start = r"(?<![\w.])" if name[:1].isalnum() or name[:1] == "_" else ""
    end = r"(?![\w.]*\w)" if name[-1:].isalnum() or name[-1:] == "_" else ""
    return start + "".join(out) + end
