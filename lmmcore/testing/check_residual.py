"""The check of a plugin that gives a residual structure."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..errors import LmmcoreError
from ..extension.residuals import Positions
from .rules import RuleBroken, require

STEP, DIFFERENCE = 1e-30, 1e-6


def positions_of(seed: int, visits: int, categorical: bool) -> Positions:
    """Return drawn positions: groups with some of the visits."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(6), visits)
    values = np.tile(np.arange(visits, dtype=float), 6)
    keep = rng.random(len(groups)) < 0.8
    keep[:visits] = True  # one group has all
    levels = tuple(f"v{i}" for i in range(visits)) if categorical else None
    kept = groups[keep]
    return Positions(
        values[keep, None], ("visit",), levels, kept, [f"g{i}" for i in range(6)], range(len(kept))
    )


def check_residual(structure: Any, *, max_examples: int = 60, **options: Any) -> None:
    """Check that a `ResidualStructure` keeps its contract.

    Parameters
    ----------
    structure : ResidualStructure
    max_examples : int
        Number of drawn cases.
    **options
        Of the structure.

    Raises
    ------
    RuleBroken
        It says which rule is broken: "methods", "raises", "shape", "symmetric", "positive definite",
        "derivative" (complex steps equal differences), "subset" (rows left out of a group leave R of the
        others), "order" (rows in another order permute R), "purity", "repeatable", "describe", "idle" (each
        parameter has an effect) or "pickling".
    """
    title = getattr(structure, "title", None)
    require(isinstance(title, str) and title, "methods", f"title is {title!r}", "text", "class")
    require(callable(getattr(structure, "bind", None)), "methods", "no bind", "one", "class")
    used = False

    @settings(
        max_examples=max_examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
    def check(seed: int, visits: int, categorical: bool) -> None:
        nonlocal used
        positions = positions_of(seed, visits, categorical)
        at = f"{visits} visits, {'levels' if categorical else 'numbers'}, seed {seed}"
        try:
            bound = structure.bind(positions, **options)
        except LmmcoreError:
            return  # positions that it does not know, in words
        except Exception as exc:
            raise RuleBroken("raises", f"bind raised {type(exc).__name__}: {exc}; {at}") from exc
        used = True
        _check_case(bound, positions, seed, at)

    check()
    require(
        used, "raises", "bind refuses all drawn positions", "some that it knows", "visits 0, 1, …"
    )


def _check_case(bound: Any, positions: Positions, seed: int, at: str) -> None:
    rng = np.random.default_rng(seed)
    m, starts = bound.n_parameters, bound.starts
    require(len(starts) > 0, "shape", "no starts", "one or more", at)
    for start in starts:
        require(
            np.shape(start) == (m,), "shape", f"a start of shape {np.shape(start)}", f"({m},)", at
        )
    values = positions.values[positions.groups == 0]
    t = len(values)
    u = np.asarray(starts[0], dtype=float) + rng.uniform(-0.5, 0.5, m)
    given_u, given_values = u.copy(), values.copy()
    found = _matrix(bound, u, values, at)
    require(found.shape == (t, t), "shape", f"a matrix of shape {found.shape}", f"({t}, {t})", at)
    pure = np.array_equal(u, given_u) and np.array_equal(values, given_values)
    require(pure, "purity", "an argument was changed", "no change", at)
    require(np.allclose(found, found.T, rtol=1e-10), "symmetric", "no symmetric matrix", "one", at)
    smallest = float(np.linalg.eigvalsh(found)[0])
    require(
        smallest > 0.0, "positive definite", f"an eigenvalue of {smallest:.3g}", "positive ones", at
    )
    same = np.array_equal(found, _matrix(bound, u, values, at))
    require(same, "repeatable", "another matrix for the same arguments", "the same", at)
    for a in range(m):
        e = np.zeros(m)
        e[a] = DIFFERENCE
        near = (_matrix(bound, u + e, values, at) - _matrix(bound, u - e, values, at)) / (
            2 * DIFFERENCE
        )
        slope = _matrix(bound, u + 1j * STEP * (e != 0), values, at).imag / STEP
        gap = float(np.abs(slope - near).max())
        close = gap <= 1e-5 * max(1.0, float(np.abs(near).max()))
        require(
            close, "derivative", f"a complex step differs by {gap:.2g} from differences", "none", at
        )
        moved = float(np.abs(near).max())
        require(moved > 1e-12, "idle", f"parameter {a} has no effect", "one", at)
    order = rng.permutation(t)
    turned = _matrix(bound, u, values[order], at)
    require(
        np.allclose(turned, found[np.ix_(order, order)]),
        "order",
        "R does not follow",
        "it does",
        at,
    )
    some = np.sort(order[: max(1, t - 1)])
    less = _matrix(bound, u, values[some], at)
    require(
        np.allclose(less, found[np.ix_(some, some)]),
        "subset",
        "R of fewer rows differs",
        "a part",
        at,
    )
    words = bound.describe(u)
    good = isinstance(words, dict) and all(np.isfinite(v) for v in words.values())
    require(good, "describe", f"{words!r}", "a dict of finite numbers", at)
    again = pickle.loads(pickle.dumps(bound)).matrix(u, values)
    require(np.array_equal(again, found), "pickling", "a copy has another matrix", "the same", at)


def _matrix(bound: Any, u: np.ndarray, values: np.ndarray, at: str) -> np.ndarray:
    try:
        return np.asarray(bound.matrix(u, values))
    except Exception as exc:
        raise RuleBroken("raises", f"matrix raised {type(exc).__name__}: {exc}; {at}") from exc
