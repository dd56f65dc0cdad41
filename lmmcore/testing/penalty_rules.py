"""The rules of a penalty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import LmmcoreError
from ..extension import Blockwise, Coefficients
from .rules import RuleBroken, bound, call, numbers, plain, require, same

FAR = (1.0, 10.0, 300.0)  # sizes of coefficients at which the prox is asked for
SHORT, STRONG = (
    1e-3,
    30.0,
)  # factors of step and strength: a fit's step is that of its largest curvature


@dataclass(frozen=True, eq=False)
class Case:
    """A bound penalty and a point to try it at."""

    penalty: Any
    of: Coefficients
    point: np.ndarray
    strength: float
    step: float

    def __str__(self) -> str:
        of = self.of
        return (
            f"at {self.point.tolist()}, strength {self.strength}, step {self.step}, weights "
            f"{of.weights.tolist()}, groups {of.groups.tolist()}, curvature {of.curvature.tolist()}"
        )

    def at(self, point: np.ndarray) -> Case:
        """Return the case at another point."""
        return replace(self, point=point)

    def call(self, method: str, *arguments: Any) -> Any:
        return call(self.penalty, method, *arguments, at=self)

    def value(self, beta: np.ndarray) -> float:
        return self.number("value", beta, self.strength)

    def number(self, method: str, *arguments: Any) -> float:
        """Return a result that must be a number."""
        found = self.call(method, *arguments)
        array = numbers(found)
        require(
            array is not None and array.shape == (),
            "shape",
            f"{method} returned {found!r}",
            "a number",
            self,
        )
        return float(array)  # type: ignore[arg-type]

    def vector(self, method: str, *arguments: Any) -> np.ndarray:
        """Return a result that must be an array (p,)."""
        found = self.call(method, *arguments)
        array = numbers(found)
        require(
            array is not None and array.shape == self.point.shape, "shape",
            f"{method} returned {found!r}", f"an array of shape {self.point.shape}", self,
        )  # fmt: skip
        return array  # type: ignore[return-value]

    def prox(self, point: np.ndarray) -> np.ndarray:
        return self.vector("prox", point, self.step, self.strength)

    def objective(self, x: np.ndarray) -> float:
        return float(0.5 * np.sum((x - self.point) ** 2) / self.step + self.value(x))

    @property
    def size(self) -> float:
        """What the objective of the prox can be of the order of: one plus its values nearby."""
        return 1.0 + self.objective(np.zeros_like(self.point)) + abs(self.objective(self.point))

    def tell(self) -> list[Any]:
        """Return all that the penalty says at the point."""
        told = [
            self.call("value", self.point, self.strength),
            self.prox(self.point),
            self.penalty.concavity,
        ]
        if hasattr(self.penalty, "derivative"):
            told.append(self.call("derivative", np.abs(self.point), self.strength))
        if hasattr(self.penalty, "blockwise"):
            form = self.call("blockwise", self.strength)
            told.append(getattr(form, "__dict__", form))
        return plain(told)


def bind(penalty: Any, of: Coefficients) -> Any:
    """Return the penalty of these coefficients, whose concavity must be a number.

    Raises
    ------
    LmmcoreError
        The penalty refuses the weights.
    """
    at = f"{len(of)} coefficients, weights {of.weights.tolist()}, groups {of.groups.tolist()}"
    try:
        found = bound(penalty, of, at)
    except RuleBroken as exc:
        if isinstance(exc.__cause__, LmmcoreError):
            raise exc.__cause__ from None
        raise
    rho = getattr(found, "concavity", None)
    require(
        isinstance(rho, (int, float, np.number)) and 0 <= rho < np.inf, "concavity",
        f"concavity is {rho!r}", "a number of zero or more", at,
    )  # fmt: skip
    return found


def must_bind(penalty: Any, of: Coefficients) -> Any:
    """Return the penalty of coefficients whose weights it must take: zeros and ones."""
    try:
        return bind(penalty, of)
    except LmmcoreError as exc:
        raise RuleBroken(
            "weights",
            f"bind raised {type(exc).__name__}: {exc}; expected weights of zero and one to be taken; weights "
            f"{of.weights.tolist()}",
        ) from exc


def _finite(case: Case) -> None:
    value, x = case.value(case.point), case.prox(case.point)
    require(
        np.isfinite(value) and np.isfinite(x).all(), "finite", f"value is {value}, prox {x.tolist()}",
        "finite numbers", case,
    )  # fmt: skip


def _zero(case: Case) -> None:
    at_zero, at_point = case.value(np.zeros_like(case.point)), case.value(case.point)
    require(at_zero == 0.0, "zero", f"P(0) is {at_zero}", "0", case)
    require(at_point >= 0.0, "zero", f"P is {at_point}", "0 or more", case)


def _strength(case: Case) -> None:
    none = case.number("value", case.point, 0.0)
    require(none == 0.0, "strength", f"P is {none} at strength 0", "0", case)
    still = case.vector("prox", case.point, case.step, 0.0)
    require(
        np.allclose(still, case.point, rtol=1e-12, atol=1e-12), "strength",
        f"prox at strength 0 moves the point to {still.tolist()}", "the point", case,
    )  # fmt: skip
    more = case.number("value", case.point, 1.5 * case.strength)
    now = case.value(case.point)
    require(
        more >= now * (1.0 - 1e-12), "strength",
        f"P falls from {now} to {more} when the strength grows by half", "a P that never falls", case,
    )  # fmt: skip


def _weights(case: Case) -> None:
    free = case.of.weights == 0.0
    if not free.any():
        return
    moved = case.point + np.where(free, 0.7, 0.0)
    if case.of.over_groups(~free)[case.of.groups[free]].any():
        return  # groups of both kinds: a norm may take all of a group
    one, other = case.value(case.point), case.value(moved)
    require(
        np.isclose(one, other, rtol=1e-12, atol=1e-12), "weights",
        f"P changes from {one} to {other} with coefficients of weight 0", "no change", case,
    )  # fmt: skip
    x = case.prox(case.point)
    require(
        np.allclose(x[free], case.point[free], rtol=1e-12, atol=1e-12), "weights",
        f"prox moves a coefficient of weight 0: {x.tolist()}", "it to stay", case,
    )  # fmt: skip


def _multiplied(case: Case) -> None:
    """Weights multiply the strength: twice all weights are twice the strength."""
    try:
        double = bind(case.penalty, replace(case.of, weights=2.0 * case.of.weights))
    except LmmcoreError:  # weights that it cannot take
        return
    found = replace(case, penalty=double).value(case.point)
    expected = case.number("value", case.point, 2.0 * case.strength)
    require(
        np.isclose(found, expected, rtol=1e-10, atol=1e-12), "weights",
        f"P is {found} with twice all weights, and {expected} with twice the strength",
        "the same, or a DataValueError of bind for weights other than zero and one", case,
    )  # fmt: skip


def _convexity(case: Case) -> None:
    """P + ½ρ‖β‖² lies below its chords."""
    rho = case.penalty.concavity
    a, b = case.point, np.roll(case.point, 1) * -0.5 + 0.1

    def convexed(x: np.ndarray) -> float:
        return case.value(x) + 0.5 * rho * float(x @ x)

    for t in (0.25, 0.5, 0.75):
        for c, d in ((a, b), (a, -a), (a, 0.5 * a), (a, 0.0 * a)):
            chord = (1 - t) * convexed(c) + t * convexed(d)
            inside = convexed((1 - t) * c + t * d)
            if inside > chord + 1e-10 * (1.0 + abs(chord)):
                raise RuleBroken(
                    "concavity",
                    f"with concavity {rho} the penalty is not convex between {c.tolist()} and {d.tolist()}; "
                    f"expected the least ρ for which P + ½ρ β'β is; {case}",
                )


def _minimizer(case: Case) -> None:
    """The prox is lower than everything tried: nearby along axes, pairs and at random, and far away."""
    for far in FAR:
        _is_lowest(case.at(far * case.point))
    _is_lowest(replace(case, step=SHORT * case.step))
    _is_lowest(replace(case, strength=STRONG * case.strength))


def _is_lowest(case: Case) -> None:
    x = case.prox(case.point)
    best, p = case.objective(x), len(x)
    rng = np.random.default_rng(p)
    eye = np.eye(p)
    directions = [*eye, *(eye[i] - eye[j] for i in range(p) for j in range(i)), np.ones(p)]
    directions += list(rng.standard_normal((2, p))) + [x - case.point, x, np.sign(x)]
    tried = [np.zeros(p), case.point.copy(), np.zeros(p) + x.mean()]
    tried += [np.where(np.arange(p) == i, 0.0, x) for i in range(p)]
    tried += [x + t * d for d in directions for t in (-2, -0.3, -1e-2, -1e-4, 1e-4, 1e-2, 0.3, 2)]
    limit = best - 1e-9 * case.size
    value = case.penalty.value  # not watched, as it is asked for a hundred points
    for other in tried:
        found = float(
            0.5 * np.sum((other - case.point) ** 2) / case.step + value(other, case.strength)
        )
        if found < limit:
            raise RuleBroken(
                "prox",
                f"prox is {x.tolist()}, where ½|x − point|²/step + P(x) is {best:.12g}; expected its "
                f"minimum, but at {other.tolist()} it is {found:.12g}; {case}",
            )


def _nonexpansive(case: Case) -> None:
    if case.penalty.concavity > 0.0:
        return
    x = case.prox(case.point)
    for other in (case.point + 0.3, -case.point, 0.9 * case.point, case.point[::-1].copy()):
        far = float(np.linalg.norm(case.prox(other) - x))
        limit = float(np.linalg.norm(other - case.point))
        require(
            far <= limit * (1.0 + 1e-9) + 1e-12, "nonexpansive",
            f"prox of points {limit} apart are {far} apart; the other is {other.tolist()}",
            "no more than the points, as P is convex", case,
        )  # fmt: skip


def _derivative(case: Case) -> None:
    if not hasattr(case.penalty, "derivative"):
        return
    for far in FAR[:2]:
        _slopes(case, far * np.abs(case.point) + 0.05)


def _slopes(case: Case, size: np.ndarray) -> None:
    slope = case.vector("derivative", size, case.strength)
    h = 1e-6
    for j in range(len(size)):
        step = np.where(np.arange(len(size)) == j, h, 0.0)
        above, below = case.value(size + step), case.value(size - step)
        expected = (above - below) / (2 * h)
        rounding = 1e-11 / h * case.strength + 4e-16 / h * (abs(above) + abs(below))
        require(
            abs(slope[j] - expected) <= 1e-5 * (1.0 + abs(expected)) + rounding,
            "derivative", f"derivative of coefficient {j} at size {size.tolist()} is {slope[j]:.8g}",
            f"{expected:.8g} by differences of value", case,
        )  # fmt: skip


def _kkt(case: Case) -> None:
    """The prox is stationary by the derivative."""
    if not hasattr(case.penalty, "derivative"):
        return
    x = case.prox(case.point)
    slope = (case.point - x) / case.step
    allowed = case.vector("derivative", np.abs(x), case.strength)
    wrong = np.where(
        x == 0.0, np.maximum(np.abs(slope) - allowed, 0.0), np.abs(slope - np.sign(x) * allowed)
    )
    require(
        wrong.max(initial=0.0) <= 1e-8 * (1.0 + np.abs(slope).max(initial=0.0)), "kkt",
        f"at the prox {x.tolist()} the slopes are {slope.tolist()}",
        f"those of derivative, {allowed.tolist()} (no more than them at zero)", case,
    )  # fmt: skip


def _blockwise(case: Case) -> None:
    if not hasattr(case.penalty, "blockwise"):
        return
    form = case.call("blockwise", case.strength)
    ok = isinstance(form, Blockwise) and form.l1.shape == form.l2.shape == case.point.shape
    require(
        ok,
        "blockwise",
        f"blockwise returned {form!r}",
        f"a Blockwise of {len(case.of)} coefficients",
        case,
    )
    for point in (case.point, 5.0 * case.point):
        a, b = case.value(point), form.value(point)
        require(
            abs(a - b) <= 1e-10 * (1.0 + abs(a)), "blockwise",
            f"the value of the blockwise form at {point.tolist()} is {b}", f"{a}, which value is", case,
        )  # fmt: skip


def _freedom(case: Case) -> None:
    """Degrees of freedom are zero or more, none where all coefficients are zero, at most p if convex."""
    if not hasattr(case.penalty, "degrees_of_freedom"):
        return
    p = len(case.point)
    root = np.eye(p) + 0.3 * np.tri(p)
    h = root @ root.T
    beta = case.prox(case.point)
    most = p if case.penalty.concavity == 0.0 else np.inf
    df = case.number("degrees_of_freedom", beta, h, case.strength)
    require(
        -1e-9 <= df <= most + 1e-6, "degrees of freedom", f"degrees_of_freedom is {df} at {beta.tolist()}",
        f"a number from 0 to {most}", case,
    )  # fmt: skip
    none = case.number("degrees_of_freedom", np.zeros(p), h, case.strength)
    require(
        abs(none) <= 1e-9, "degrees of freedom", f"degrees_of_freedom is {none} where all coefficients are 0",
        "0", case,
    )  # fmt: skip


RULES: Sequence[Callable[[Case], None]] = (
    _finite, _zero, _strength, _weights, _multiplied, _convexity, _minimizer, _nonexpansive,
    _derivative, _kkt, _blockwise, _freedom,
)  # fmt: skip


def example(penalty: Any, p: int = 4) -> Case:
    """Return a case without a special point."""
    of = Coefficients(tuple("abcd"[:p]), groups=np.arange(p) // 2)
    found = must_bind(penalty, of)
    step = 0.5 / max(1.0, float(found.concavity))
    return Case(found, of, np.linspace(-2.0, 1.5, p), 0.8, step)


def history(penalty: Any) -> None:
    """The same call gives the same, at once and after others, whatever else is bound."""
    case = example(penalty)
    first, again = case.tell(), case.tell()
    require(
        same(first, again), "repeatable", f"the same calls gave {first}, and then {again}",
        "the same twice (seed what is random, remember nothing)", case,
    )  # fmt: skip
    asked: list[tuple[Any, ...]] = [
        ("value", case.point, case.strength),
        ("prox", case.point, case.step, case.strength),
    ]
    if hasattr(case.penalty, "derivative"):
        asked.append(("derivative", np.abs(case.point), case.strength))
    other = replace(case, point=case.point[::-1] - 0.4, strength=0.3, step=0.7 * case.step)
    for one, told in [(one, plain(case.call(*one))) for one in asked]:
        other.tell()
        found = plain(case.call(*one))
        require(
            same(found, told), "memory", f"after calls at another point ({other}) {one[0]} gave {found}",
            f"{told} as before: nothing is remembered from the latest call", case,
        )  # fmt: skip
    must_bind(penalty, Coefficients(("a", "b")))
    must_bind(penalty, replace(case.of, weights=np.array([0.0, 1.0, 1.0, 1.0])))
    now = case.tell()
    require(
        same(now, first), "bind", f"after bind with other coefficients what was bound before gives {now}",
        f"{first} as before", case,
    )  # fmt: skip


def bad_input(case: Case) -> None:
    """NaN must not come out as a number, nor a wrong length as a result."""
    point = case.point.copy()
    point[0] = np.nan
    try:
        with np.errstate(all="ignore"):
            x = np.asarray(case.penalty.prox(point.copy(), case.step, case.strength), dtype=float)
            value = float(case.penalty.value(point.copy(), case.strength))
    except Exception:
        x, value = np.array([np.nan]), np.nan
    require(
        not np.isfinite(x).all() and not np.isfinite(value), "bad input",
        f"a NaN in β gives value {value} and prox {x.tolist()}", "NaN, or an error", case,
    )  # fmt: skip
    long = np.ones(len(case.point) + 1)
    for name, rest in (("value", (case.strength,)), ("prox", (case.step, case.strength))):
        try:
            found = getattr(case.penalty, name)(long.copy(), *rest)
        except (LmmcoreError, ValueError, IndexError, TypeError):
            continue
        raise RuleBroken(
            "bad input",
            f"{name} of {len(long)} coefficients is {found}, though {len(case.of)} were bound; expected an "
            f"error; {case}",
        )
