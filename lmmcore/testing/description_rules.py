"""What a covariance structure says of itself: names and values that mean what they say.

``sd(x)`` is the standard deviation of the column x, ``corr(x, y)`` the correlation of two columns, ``sd``
and ``corr`` those of all columns where they are equal, ``corr(lag 2)`` that of columns two apart. Other names
are the structure's own.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from .covariance_rules import Member
from .rules import require

CLOSE = 1e-6
_SHAPE = "{text: float}, one entry or more for each parameter"
_NAMED = re.compile(r"(sd|corr|var|cov)\((.*)\)", re.DOTALL)


def _form(member: Member) -> None:
    said, m = member.describe(), len(member.theta)
    good = isinstance(said, dict) and all(
        isinstance(key, str) and key and isinstance(value, float) for key, value in said.items()
    )
    require(good, "describe", f"describe returned {said!r}", _SHAPE, member)
    require(
        len(said) >= m, "describe", f"describe has {len(said)} entries for {m} parameters: {said}", _SHAPE,
        member,
    )  # fmt: skip


def _values(member: Member) -> None:
    """Names that mean something have that value."""
    sigma = 2.0
    g = sigma**2 * member.g
    sd = np.sqrt(np.diag(g))
    if sd.min() <= 1e-6 * (sd.max() + 1e-6):
        return  # no correlations
    c = g / np.outer(sd, sd)
    for key, value in member.describe(sigma).items():
        known = _known(key, member.names, sd, c)
        if known is None or (key == "sd" and len(member.theta) == 1):  # the scale of a known matrix
            continue
        require(
            abs(value - known) <= CLOSE * (1.0 + abs(known)), "describe", f"describe says {key!r} is {value}",
            f"{known:.10g}, which it is in σ² Λ Λ' with σ = {sigma}", member,
        )  # fmt: skip


def _known(key: str, names: tuple[str, ...], sd: np.ndarray, c: np.ndarray) -> float | None:
    """Return the value that a name stands for, None if it is the structure's own."""
    k = len(sd)
    if key == "sd":
        return float(sd[0]) if np.ptp(sd) <= CLOSE * sd[0] else None
    if key == "corr":
        return _common(c[np.tril_indices(k, -1)])
    match = _NAMED.fullmatch(key)
    if match is None:
        return None
    kind, inside = match.groups()
    lag = re.fullmatch(r"lag (\d+)", inside)
    if kind == "corr" and lag:
        return _common(np.diag(c, int(lag[1])))
    columns = [(i,) for i in range(k)] if kind in ("sd", "var") else list(np.ndindex(k, k))
    at = next((at for at in columns if ", ".join(names[i] for i in at) == inside), None)
    if at is None:
        return None
    i, j = at[0], at[-1]
    return float(
        {"sd": sd[i], "corr": c[i, j], "var": sd[i] ** 2, "cov": c[i, j] * sd[i] * sd[j]}[kind]
    )


def _common(values: np.ndarray) -> float | None:
    return float(values[0]) if len(values) and np.ptp(values) <= CLOSE else None


def _scale(member: Member) -> None:
    """Values grow with σ as what they are: standard deviations by σ, correlations not at all."""
    first = member.describe(1.0)
    for sigma in (2.0, 1e-3):
        said = member.describe(sigma)
        require(
            list(said) == list(first), "describe", f"with σ = {sigma:g} the names are {list(said)}",
            f"{list(first)}, as with σ = 1", member,
        )  # fmt: skip
        for key, one in first.items():
            expected = [one * sigma**p for p in _powers(key)]
            allowed = CLOSE * (1.0 + abs(one)) * min(1.0, *(sigma**p for p in _powers(key)))
            good = any(abs(said[key] - value) <= allowed for value in expected)
            require(
                good or (math.isnan(one) and math.isnan(said[key])), "describe",
                f"{key!r} is {one} with σ = 1 and {said[key]} with σ = {sigma:g}",
                " or ".join(f"{value:.10g}" for value in expected) + f" with σ = {sigma:g}", member,
            )  # fmt: skip
    for key, one in first.items():
        if key.startswith(("sd", "var")):
            require(one >= 0.0, "describe", f"{key!r} is {one}", "zero or more", member)
        if key.startswith("corr"):
            require(
                not abs(one) > 1.0 + CLOSE,
                "describe",
                f"{key!r} is {one}",
                "a number from -1 to 1",
                member,
            )


def _powers(key: str) -> tuple[int, ...]:
    if key.startswith("sd"):
        return (1,)
    if key.startswith(("var", "cov")):
        return (2,)
    return (0,) if key.startswith("corr") else (0, 1, 2)


def _labels(member: Member) -> None:
    """Columns are called as the user calls them, and the names of parameters are the same at every θ."""
    said = member.describe()
    k = member.k
    others = tuple(f"a column no. {i} <of mine>" for i in range(k))
    renamed = member.describe(names=others)
    expected = []
    for key in said:
        match = _NAMED.fullmatch(key)
        inside = match[2] if match else ""
        for i in sorted(range(k), key=lambda i: -len(member.names[i])):
            inside = inside.replace(member.names[i], f"\0{i}\0")
        for i in range(k):
            inside = inside.replace(f"\0{i}\0", others[i])
        expected.append(f"{match[1]}({inside})" if match else key)
    plain = [key for key, now in zip(said, expected) if _NAMED.fullmatch(key)]
    found = list(renamed)
    wrong = [
        (now, then) for key, now, then in zip(said, found, expected) if key in plain and now != then
    ]
    require(
        len(found) == len(said) and not wrong, "describe",
        f"for columns {list(others)} the names are {found}", f"{expected}", member,
    )  # fmt: skip
    moved = list(member.at(member.theta + 0.1).describe())
    require(
        moved == list(said), "describe", f"the names are {list(said)}, and {moved} at θ + 0.1",
        "the same names at every θ", member,
    )  # fmt: skip


def _own_columns(member: Member) -> None:
    """Standard deviations of several columns are called by the columns' names."""
    sd = 2.0 * np.sqrt(np.diag(member.g))
    if len(set(sd.round(6))) < member.k or sd.min() <= 1e-3:
        return
    unnamed: dict[str, Any] = {}
    for key, value in member.describe(2.0).items():
        at = np.flatnonzero(np.abs(sd - value) <= 1e-9)
        if len(at) and key.startswith("sd") and not any(name in key for name in member.names):
            unnamed[key] = member.names[int(at[0])]
    require(
        len(unnamed) < 2, "describe",
        f"{list(unnamed)} are the standard deviations of {list(unnamed.values())}",
        "names that say so, such as 'sd(x)' for the column x", member,
    )  # fmt: skip


def _complete(member: Member) -> None:
    """What changes G changes what is said."""
    said, g = list(member.describe().values()), member.g
    if np.isnan(said).any():
        return
    for i in range(len(member.theta)):
        moved = member.theta.copy()
        moved[i] += 0.25
        there = member.at(moved)
        if np.abs(there.g - g).max() <= 1e-3 * (1.0 + np.abs(g).max()):
            continue
        now = list(there.describe().values())
        require(
            np.isnan(now).any() or np.abs(np.subtract(now, said)).max() > 1e-9, "describe",
            f"describe is {member.describe()} at θ and at {moved.tolist()}, where G differs",
            "values that tell them apart", member,
        )  # fmt: skip


DESCRIPTION = (_form, _values, _scale, _labels, _own_columns, _complete)
