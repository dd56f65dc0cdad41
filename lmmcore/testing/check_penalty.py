"""Conformance of a penalty: the rules of `lmmcore.extension.Penalty`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..errors import LmmcoreError
from ..extension import Blockwise, Coefficients
from .rules import RuleBroken

def _require(h, r, m):
    if not h:
        raise RuleBroken(r, m)



@dataclass(frozen=True, eq=False)
class _Case:
    """A bound penalty and a point to try it at."""

    penalty: Any
    of: Coefficients
    point: np.ndarray
    strength: float
    step: float

    @property
    def where(self) -> str:
        of = self.of
        return (
            f"at {self.point.tolist()}, strength {self.strength}, step {self.step}, weights "
            f"{of.weights.tolist()}, groups {of.groups.tolist()}, curvature {of.curvature.tolist()}"
        )

    def value(self, beta: np.ndarray) -> float:
        return float(self.penalty.value(beta, self.strength))

    def prox(self, point: np.ndarray) -> np.ndarray:
        return np.asarray(self.penalty.prox(point, self.step, self.strength))

    def objective(self, x: np.ndarray) -> float:
        return float(0.5 * np.sum((x - self.point) ** 2) / self.step + self.value(x))

    @property
    def size(self) -> float:
        """What the objective of the prox can be of the order of: one plus its values nearby."""
        return 1.0 + self.objective(np.zeros_like(self.point)) + abs(self.objective(self.point))


def _shape(case: _Case) -> None:
    value = case.penalty.value(case.point.copy(), case.strength)
    _require(np.shape(value) == (), "shape", f"value returned {value!r}; expected a number")
    x = case.prox(case.point.copy())
    _require(
        x.shape == case.point.shape, "shape",
        f"prox has shape {x.shape}, expected {case.point.shape}; {case.where}",
    )  # fmt: skip
    _require(
        np.isfinite(float(value)) and x.dtype == np.float64 and np.isfinite(x).all(), "finite",
        f"value {value!r}, prox {x!r}; {case.where}",
    )  # fmt: skip


def _zero(case: _Case) -> None:
    nothing = np.zeros_like(case.point)
    at_zero, at_point = case.value(nothing), case.value(case.point)
    _require(at_zero == 0.0, "zero", f"P(0) = {at_zero}; expected 0; {case.where}")
    _require(at_point >= 0.0, "zero", f"P = {at_point}; expected 0 or more; {case.where}")


def _strength(case: _Case) -> None:
    none = float(case.penalty.value(case.point, 0.0))
    _require(none == 0.0, "strength", f"P = {none} at strength 0; expected 0; {case.where}")
    still = np.asarray(case.penalty.prox(case.point.copy(), case.step, 0.0))
    _require(
        np.allclose(still, case.point, rtol=1e-12, atol=1e-12), "strength",
        f"prox at strength 0 moves the point to {still.tolist()}; {case.where}",
    )  # fmt: skip
    more = float(case.penalty.value(case.point, 1.5 * case.strength))
    _require(
        more >= case.value(case.point) * (1.0 - 1e-12), "strength",
        f"P falls from {case.value(case.point)} to {more} when the strength grows by half; "
        f"{case.where}",
    )  # fmt: skip


def _weights(case: _Case) -> None:
    free = case.of.weights == 0.0
    if not free.any():
        return
    moved = case.point + np.where(free, 0.7, 0.0)
    if case.of.over_groups(~free)[case.of.groups[free]].any():
        return  # groups of both kinds: a norm may take all of a group
    same = np.isclose(case.value(moved), case.value(case.point), rtol=1e-12, atol=1e-12)
    _require(same, "weights", f"P depends on a coefficient of weight 0; {case.where}")
    x = case.prox(case.point.copy())
    _require(
        np.allclose(x[free], case.point[free], rtol=1e-12, atol=1e-12), "weights",
        f"prox moves a coefficient of weight 0: {x.tolist()}; {case.where}",
    )  # fmt: skip


def _minimiser(case: _Case) -> None:
    """The prox is lower than everything tried: nearby along axes, pairs and at random, and far away."""
    x = case.prox(case.point.copy())
    best, p = case.objective(x), len(x)
    rng = np.random.default_rng(p)
    eye = np.eye(p)
    directions = [*eye, *(eye[i] - eye[j] for i in range(p) for j in range(i)), np.ones(p)]
    directions += list(rng.standard_normal((4, p))) + [x - case.point, x, np.sign(x)]
    tried = [np.zeros(p), case.point.copy(), np.zeros(p) + x.mean()]
    tried += [np.where(np.arange(p) == i, 0.0, x) for i in range(p)]
    tried += [x + t * d for d in directions for t in (-2, -0.3, -1e-2, -1e-4, 1e-4, 1e-2, 0.3, 2)]
    for other in tried:
        value = case.objective(other)
        _require(
            value >= best - 1e-9 * case.size, "prox",
            f"prox = {x.tolist()} has objective {best:.12g}, but {other.tolist()} has {value:.12g}; "
            f"{case.where}",
        )  # fmt: skip


def _convexity(case: _Case) -> None:
    """P + ½ρ‖β‖² lies below its chords."""
    rho = case.penalty.concavity
    a, b = case.point, np.roll(case.point, 1) * -0.5 + 0.1

    def convexed(x: np.ndarray) -> float:
        return case.value(x) + 0.5 * rho * float(x @ x)

    for t in (0.25, 0.5, 0.75):
        for c, d in ((a, b), (a, -a), (a, 0.5 * a), (a, 0.0 * a)):
            chord = (1 - t) * convexed(c) + t * convexed(d)
            inside = convexed((1 - t) * c + t * d)
            _require(
                inside <= chord + 1e-10 * (1.0 + abs(chord)), "concavity",
                f"with concavity {rho} the penalty is not convex between {c.tolist()} and "
                f"{d.tolist()}; {case.where}",
            )  # fmt: skip


def _nonexpansive(case: _Case) -> None:
    if case.penalty.concavity > 0.0:
        return
    x = case.prox(case.point.copy())
    for other in (case.point + 0.3, -case.point, 0.9 * case.point, case.point[::-1].copy()):
        far = float(np.linalg.norm(case.prox(other.copy()) - x))
        limit = float(np.linalg.norm(other - case.point))
        _require(
            far <= limit * (1.0 + 1e-9) + 1e-12, "nonexpansive",
            f"prox of points {limit} apart are {far} apart; the other is {other.tolist()}; {case.where}",
        )  # fmt: skip


def _derivative(case: _Case) -> None:
    if not hasattr(case.penalty, "derivative"):
        return
    size = np.abs(case.point) + 0.05
    slope = np.asarray(case.penalty.derivative(size.copy(), case.strength))
    _require(
        slope.shape == size.shape, "derivative",
        f"derivative has shape {slope.shape}, expected {size.shape}; {case.where}",
    )  # fmt: skip
    h = 1e-6
    for j in range(len(size)):
        step = np.where(np.arange(len(size)) == j, h, 0.0)
        expected = (case.value(size + step) - case.value(size - step)) / (2 * h)
        _require(
            abs(slope[j] - expected) <= 1e-5 * (1.0 + abs(expected)) + 1e-8 / h * case.strength * 1e-3,
            "derivative",
            f"derivative {slope[j]:.8g} of coefficient {j} at size {size.tolist()}, differences of "
            f"value give {expected:.8g}; {case.where}",
        )  # fmt: skip


def _kkt(case: _Case) -> None:
    """The prox is stationary by the derivative."""
    if not hasattr(case.penalty, "derivative"):
        return
    x = case.prox(case.point.copy())
    slope = (case.point - x) / case.step
    allowed = np.asarray(case.penalty.derivative(np.abs(x), case.strength))
    wrong = np.where(
        x == 0.0, np.maximum(np.abs(slope) - allowed, 0.0), np.abs(slope - np.sign(x) * allowed)
    )
    _require(
        wrong.max(initial=0.0) <= 1e-8 * (1.0 + np.abs(slope).max(initial=0.0)), "kkt",
        f"at the prox {x.tolist()} the slopes {slope.tolist()} are not those of derivative "
        f"{allowed.tolist()}; {case.where}",
    )  # fmt: skip


def _blockwise(case: _Case) -> None:
    if not hasattr(case.penalty, "blockwise"):
        return
    form = case.penalty.blockwise(case.strength)
    ok = isinstance(form, Blockwise) and form.l1.shape == form.l2.shape == case.point.shape
    _require(
        ok, "blockwise", f"blockwise returned {form!r}; expected a Blockwise of {len(case.of)}"
    )
    for point in (case.point, 5.0 * case.point):
        a, b = case.value(point), form.value(point)
        _require(
            abs(a - b) <= 1e-10 * (1.0 + abs(a)), "blockwise",
            f"value is {a} but that of the blockwise form {b}, at {point.tolist()}; {case.where}",
        )  # fmt: skip


def _purity(case: _Case) -> None:
    given_ = case.point.copy()
    first, value = case.prox(given_), case.value(given_)
    _require(
        np.array_equal(given_, case.point),
        "purity",
        f"the point was changed in place; {case.where}",
    )
    same = np.array_equal(case.prox(given_), first) and case.value(given_) == value
    _require(same, "purity", f"prox or value is not the same twice; {case.where}")


_RULES = (
    _shape, _zero, _strength, _weights, _convexity, _minimiser, _nonexpansive, _derivative, _kkt,
    _blockwise, _purity,
)  # fmt: skip


def _bind(penalty: Any, of: Coefficients) -> Any:
    bound = penalty.bind(of)
    rho = getattr(bound, "concavity", None)
    _require(
        isinstance(rho, (int, float)) and 0 <= rho < np.inf, "concavity",
        f"concavity = {rho!r}; expected a number of zero or more",
    )  # fmt: skip
    return bound


def _example(penalty: Any, p: int = 4) -> _Case:
    of = Coefficients(tuple("abcd"[:p]), groups=np.arange(p) // 2)
    bound = _bind(penalty, of)
    step = 0.5 / max(1.0, float(bound.concavity))
    return _Case(bound, of, np.linspace(-2.0, 1.5, p), 0.8, step)


def _binding(penalty: Any) -> None:
    """`bind` leaves the penalty it is called on as it is."""
    first = _example(penalty)
    before = first.prox(first.point.copy())
    penalty.bind(replace(first.of, weights=np.array([0.0, 1.0, 1.0, 1.0])))
    same = np.array_equal(first.prox(first.point.copy()), before)
    _require(same, "bind", "a penalty changes when the one it came from is bound again")


def _copies(case: _Case) -> None:
    try:
        other = pickle.loads(pickle.dumps(case.penalty))
    except Exception as exc:
        raise RuleBroken("pickling", f"{type(exc).__name__}: {exc}") from exc
    same = np.array_equal(
        other.prox(case.point.copy(), case.step, case.strength), case.prox(case.point)
    )
    _require(same, "pickling", "a copy by pickle gives another prox")


def _threads(case: _Case) -> None:
    points = [case.point * (1.0 + 0.1 * i) for i in range(16)]
    alone = [case.prox(x.copy()) for x in points]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda x: case.prox(x.copy()), points))
    same = all(np.array_equal(a, b) for a, b in zip(alone, together))
    _require(same, "threads", "prox differs when called from several threads")


def _bad_input(case: _Case) -> None:
    """NaN must not come out as a number, nor a wrong length as a result."""
    point = case.point.copy()
    point[0] = np.nan
    try:
        with np.errstate(all="ignore"):
            x, value = case.prox(point), case.value(point)
    except Exception:
        x, value = np.array([np.nan]), np.nan
    _require(
        not np.isfinite(x).all() and not np.isfinite(value), "bad input",
        f"a NaN in β gives value {value} and prox {x.tolist()}; expected NaN, or an error",
    )  # fmt: skip
    long = np.ones(len(case.point) + 1)
    for name, call in (("value", case.value), ("prox", case.prox)):
        try:
            found = call(long)
        except (LmmcoreError, ValueError, IndexError, TypeError):
            continue
        raise RuleBroken(
            "bad input",
            f"{name} of {len(long)} coefficients is {found}, though {len(case.of)} were bound; expected "
            "an error",
        )


def check_penalty(penalty: Any, sizes: Sequence[int] = (1, 2, 5), max_examples: int = 25) -> None:
    """Check a `Penalty` against every rule of its protocol.

    Parameters
    ----------
    penalty : Penalty
        As it would be registered, without coefficients.
    sizes : sequence of int
        Numbers of coefficients to try.
    max_examples : int
        Cases drawn for each size: points, strengths, steps, weights, groups and curvatures.

    Raises
    ------
    RuleBroken
        Names the rule (shape, finite, zero, strength, weights, concavity, prox, nonexpansive, derivative,
        kkt, blockwise, purity, bind, pickling, threads, bad input) and shows the smallest case that
        Hypothesis found.
    """
    for p in sizes:
        try:
            _run(penalty, p, max_examples, _RULES)
        except RuleBroken:
            for rule in _RULES:  # the first that is broken, not the one with the smallest case
                _run(penalty, p, max_examples, (rule,))
            raise
    _binding(penalty)
    example = _example(penalty)
    for rule in (_copies, _threads, _bad_input):
        rule(example)


@st.composite
def _cases(draw: st.DrawFn, penalty: Any, p: int) -> _Case:
    numbers = st.floats(-3, 3).map(lambda x: round(x, 2))
    positive = st.floats(0.1, 3).map(lambda x: round(x, 2))

    def vector(of: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(draw(st.lists(of, min_size=p, max_size=p)), dtype=float)

    weights = vector(st.one_of(st.just(1.0), st.just(0.0), positive))
    groups = np.cumsum([0] + [int(draw(st.booleans())) for _ in range(p - 1)])
    if draw(st.booleans()):  # groups of one weight each, with one of weight zero now and then
        weights = weights[groups]
    of = Coefficients(
        tuple(f"x{j}" for j in range(p)), weights, groups, vector(positive), vector(numbers)
    )
    try:
        bound = _bind(penalty, of)
    except LmmcoreError:  # weights that it cannot take; those of zero and one it must
        of = replace(of, weights=(weights > 0).astype(float))
        bound = _bind(penalty, of)
    step = draw(positive) / (1.0 + 4.0 * float(bound.concavity))
    return _Case(bound, of, vector(numbers), draw(positive), step)


def _run(penalty: Any, p: int, max_examples: int, rules: Sequence[Callable[[_Case], None]]) -> None:
    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(_cases(penalty, p))
    def all_rules(case: _Case) -> None:
        for rule in rules:
            rule(case)

    all_rules()
