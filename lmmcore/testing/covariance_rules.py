"""The rules of a covariance structure but for its description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .rules import RuleBroken, call, numbers, plain, require, same

EXACT = 1e-6  # of the size of G, to which a member comes back from `parameters`
NEAR, NEARER = (
    0.15,
    5e-3,
)  # the same in families that are not closed: at any point, and in the middle
STEP, SECOND_STEP = 5e-7, 2e-5  # of differences


@dataclass(frozen=True, eq=False)
class Member:
    """A structure for k columns at θ."""

    structure: Any
    k: int
    names: tuple[str, ...]
    theta: np.ndarray
    others: Sequence[Member] = ()

    def __str__(self) -> str:
        return f"k = {self.k}, θ = {self.theta.tolist()}"

    def at(self, theta: np.ndarray, others: Sequence[Member] = ()) -> Member:
        """Return the member at another θ."""
        return replace(self, theta=theta, others=others or self.others)

    def of(self, structure: Any) -> Member:
        """Return the same θ of another structure."""
        return replace(self, structure=structure)

    def call(self, method: str, *arguments: Any) -> Any:
        return call(self.structure, method, *arguments, at=self)

    @property
    def root(self) -> np.ndarray:
        """Λ as it was returned."""
        return np.asarray(self.call("factor", self.theta, self.k))

    @property
    def slope(self) -> np.ndarray:
        """∂Λ/∂θ as it was returned."""
        return np.asarray(self.call("factor_derivative", self.theta, self.k))

    @property
    def g(self) -> np.ndarray:
        root = self.root
        return root @ root.T

    @property
    def closed(self) -> str:
        return str(getattr(self.structure, "closed_under", "nothing"))

    def parameters(self, g: np.ndarray) -> np.ndarray:
        """Return `parameters` of g, which must be m finite numbers."""
        given = self.call("parameters", g)
        found = numbers(given)
        good = found is not None and found.shape == self.theta.shape and np.isfinite(found).all()
        require(
            good, "parameters", f"parameters({g.tolist()}) returned {given!r}",
            f"{len(self.theta)} finite numbers", self,
        )  # fmt: skip
        return found  # type: ignore[return-value]

    def describe(self, sigma: float = 1.0, names: tuple[str, ...] | None = None) -> Any:
        return self.call("describe", self.theta, names or self.names, sigma)

    def tell(self) -> list[Any]:
        """Return all that the structure says at θ."""
        root = self.root.copy()
        second = self.call("factor_second_derivative", self.theta, self.k)
        said = self.describe()
        back = self.call("parameters", root @ root.T)
        return plain((self.call("n_parameters", self.k), root, self.slope, second, back, said))

    def tell_of(self, structure: Any) -> list[Any]:
        """Return all that another structure says at θ."""
        return self.of(structure).tell()


def generic(m: int) -> np.ndarray:
    """Return a θ at which nothing is zero or equal."""
    return 0.45 + 0.55 * np.sin(1.0 + np.arange(m)) ** 2


def _shape(member: Member) -> None:
    m, k = len(member.theta), member.k
    found = member.call("n_parameters", k)
    require(found == m, "shape", f"n_parameters({k}) is now {found!r}", f"{m} as before", member)
    root = member.root
    require(
        root.ndim == 2 and root.shape[0] == k, "shape", f"factor has shape {root.shape}",
        f"({k}, any)", member,
    )  # fmt: skip
    slope = member.slope
    require(
        slope.shape == (m, *root.shape), "shape", f"factor_derivative has shape {slope.shape}",
        f"{(m, *root.shape)}", member,
    )  # fmt: skip
    second = member.call("factor_second_derivative", member.theta, k)
    require(
        second is None or np.shape(second) == (m, m, *root.shape), "shape",
        f"factor_second_derivative has shape {np.shape(second)}", f"None or {(m, m, *root.shape)}", member,
    )  # fmt: skip


def _finite(member: Member) -> None:
    second = member.call("factor_second_derivative", member.theta, member.k)
    for method, found in (
        ("factor", member.root),
        ("factor_derivative", member.slope),
        ("factor_second_derivative", np.zeros(0) if second is None else np.asarray(second)),
    ):
        good = found.dtype == np.float64 and np.isfinite(found).all()
        require(
            good, "finite", f"{method} returned {found.dtype} {found.tolist()}",
            "finite float64 numbers", member,
        )  # fmt: skip


def _purity(member: Member) -> None:
    """Calls leave alone what earlier ones returned; what they do to arguments is seen by `call`."""
    for method in ("factor", "factor_derivative"):
        kept = np.asarray(member.call(method, member.theta, member.k))
        before = kept.tolist()
        member.call(method, member.theta + 0.5, member.k)
        require(
            kept.tolist() == before, "purity",
            f"a second call of {method} changed the array that the first one returned", "a new array", member,
        )  # fmt: skip


def history(member: Member) -> None:
    """The same call gives the same, at once and after calls of another θ and another k."""
    first, again = member.tell(), member.tell()
    require(
        same(first, again), "repeatable", f"the same calls gave {first}, and then {again}",
        "the same twice (seed what is random, remember nothing)", member,
    )  # fmt: skip
    g = member.g
    asked: tuple[tuple[Any, ...], ...] = (
        ("factor", member.theta, member.k),
        ("factor_derivative", member.theta, member.k),
        ("factor_second_derivative", member.theta, member.k),
        ("parameters", g),
        ("describe", member.theta, member.names, 1.0),
    )
    before = [plain(member.call(*one)) for one in asked]
    for other in (member.at(member.theta + 0.3), *(o for o in member.others if o.k != member.k)):
        for one, told in zip(asked, before):
            other.tell()
            try:
                found = plain(member.call(*one))
            except RuleBroken as exc:
                found = exc
            require(
                same(found, told), "memory", f"after calls at another point ({other}) {one[0]} gave {found}",
                f"{told} as before: nothing is remembered from the latest call", member,
            )  # fmt: skip


def _differences(
    ask: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, step: float
) -> np.ndarray:
    """Return derivatives by central differences of fourth order.

    The steps are small for the sake of structures whose second derivative jumps, as a spherical one's does.
    """
    out = []
    for i in range(len(theta)):
        h = np.zeros(len(theta))
        h[i] = step
        near, far = ask(theta + h) - ask(theta - h), ask(theta + 2 * h) - ask(theta - 2 * h)
        out.append((8 * near - far) / (12 * step))
    return np.array(out)


def _derivative(member: Member) -> None:
    slope = member.slope
    expected = _differences(lambda t: member.at(t).root, member.theta, STEP)
    off = np.abs(slope - expected).max(initial=0.0)
    require(
        off <= 1e-6 * (1.0 + np.abs(expected).max(initial=0.0)), "derivative",
        f"factor_derivative is {slope.tolist()}", f"{expected.round(7).tolist()} by differences of factor",
        member,
    )  # fmt: skip


def _second_derivative(member: Member) -> None:
    second = member.call("factor_second_derivative", member.theta, member.k)
    expected = _differences(lambda t: member.at(t).slope, member.theta, SECOND_STEP)
    found = np.zeros_like(expected) if second is None else np.asarray(second)
    off = np.abs(found - expected).max(initial=0.0)
    require(
        off <= 1e-4 * (1.0 + np.abs(expected).max(initial=0.0)), "second derivative",
        "factor_second_derivative is " + ("None (Λ linear in θ)" if second is None else f"{found.tolist()}"),
        f"{expected.round(5).tolist()} by differences of factor_derivative", member,
    )  # fmt: skip


def _closed_word(member: Member) -> None:
    require(
        member.closed in ("nothing", "scaling", "shifting"), "closed_under",
        f"closed_under is {member.closed!r}", "'nothing', 'scaling' or 'shifting'", member,
    )  # fmt: skip


def _off(member: Member, g: np.ndarray) -> tuple[float, np.ndarray]:
    """Return how far the member that `parameters` gives for g is from it, and its G."""
    back = member.at(member.parameters(g)).g
    return float(np.abs(back - g).max() / (np.abs(g).max() + 1e-12)), back


def _parameters(member: Member) -> None:
    """A member comes back: exactly in closed families, whose results are read from G; else closely."""
    g = member.g
    off, back = _off(member, g)
    exact = member.closed != "nothing"
    size = abs(np.trace(back) - np.trace(g)) <= 0.05 * np.trace(g) + 1e-12
    require(
        off <= (EXACT if exact else NEAR) and size, "parameters",
        f"parameters(G) gives {member.parameters(g).tolist()}, whose G is {back.tolist()}",
        f"θ of the member G = {g.tolist()} itself" + ("" if exact else f", to {NEAR:.0%}"), member,
    )  # fmt: skip


def _closed_under(member: Member) -> None:
    if member.closed == "nothing":
        return
    k = member.k
    change = np.diag(0.5 + np.arange(k) / 2.0)
    if member.closed == "shifting":
        change[0, 1:] = 0.3
    g = change @ member.g @ change.T
    off, back = _off(member, g)
    require(
        off <= EXACT, "closed_under",
        f"closed_under is {member.closed!r}, but the nearest member to {g.tolist()} is {back.tolist()}",
        f"that G itself, which is a member with columns changed by {change.tolist()}", member,
    )  # fmt: skip


def _non_member(member: Member) -> None:
    """Any positive semidefinite matrix has a member close by: fits start there."""
    k, rng = member.k, np.random.default_rng(len(member.theta))
    a = rng.standard_normal((k, k))
    spread = np.diag(1.0 + np.arange(k))
    usual = (np.eye(k), spread, a @ a.T + np.eye(k), np.ones((k, k)), member.g + spread)
    for g in (*usual, 1e-6 * usual[2], 1e6 * usual[2]):  # units of columns may be anything
        try:
            found = member.at(member.parameters(g)).g
        except RuleBroken as exc:
            raise RuleBroken("non-member", f"for {g.tolist()}: {exc.message}") from exc
        share = np.trace(found) / np.trace(g)
        require(
            0.5 / k <= share <= 2.0 * k, "non-member",
            f"parameters({g.tolist()}) gives a member with variances {np.diag(found).tolist()}",
            "variances of the same size, of a member close to it", member,
        )  # fmt: skip
    one = np.zeros((k, k))
    one[-1, -1] = 1.0
    try:
        member.parameters(one)
    except RuleBroken as exc:
        raise RuleBroken("non-member", f"for {one.tolist()}: {exc.message}") from exc


def _boundary(member: Member) -> None:
    """A variance of zero lies at a finite θ, from which there is a way out."""
    zero = np.zeros((member.k, member.k))
    try:
        with np.errstate(all="ignore"):
            there = member.at(member.parameters(zero))
    except RuleBroken as exc:
        raise RuleBroken(
            "boundary",
            f"{exc.message}: the boundary, G = 0, must lie at a finite θ (sd, not log sd)",
        ) from exc
    require(
        np.abs(there.g).max() <= 1e-20, "boundary",
        f"parameters(0) is {there.theta.tolist()}, whose G is {there.g.tolist()}",
        "G = 0, which lies at a finite θ for an sd (not for its log)", member,
    )  # fmt: skip
    if len(there.theta):
        near = there.at(there.theta + 1.0)
        require(
            np.abs(near.g).max() >= 1e-8, "boundary",
            f"G is 0 at {there.theta.tolist()}, and next to 0 one unit away, at {near.theta.tolist()}",
            "a scale on which zero is near other values, such as an sd (not its log)", member,
        )  # fmt: skip


FORM = (_shape, _finite, _purity)
MEANING = (
    _derivative, _second_derivative, _closed_word, _parameters, _boundary, _closed_under, _non_member,
)  # fmt: skip


def _points(member: Member, count: int = 24) -> list[Member]:
    rng = np.random.default_rng(count)
    return [member.at(rng.uniform(-1.25, 1.25, len(member.theta))) for _ in range(count)]


def once(member: Member) -> None:
    """Rules about a family as a whole, and beyond the θ that are drawn."""
    points = _points(member)
    for point in points[:4]:
        there = point.at(3.0 * point.theta)
        if np.isfinite(there.root).all():
            _derivative(there)
            _second_derivative(there)
    _near(member, points)
    _idle(member, points)
    _rank(member, points)


def _near(member: Member, points: Sequence[Member]) -> None:
    off = float(np.median([_off(point, point.g)[0] for point in points]))
    require(
        off <= NEARER, "parameters",
        f"parameters(G) of {len(points)} members is off by {off:.1%} of G in the median",
        f"{NEARER:.1%} at most: θ of a member, which G is", f"k = {member.k}, θ within ±1.25",
    )  # fmt: skip


def _idle(member: Member, points: Sequence[Member]) -> None:
    """Every parameter does something of its own."""
    m = len(member.theta)
    if not m:
        return
    slopes = [point.slope.reshape(m, -1) for point in points]
    for i in range(m):
        require(
            any(np.abs(s[i]).max() > 1e-9 for s in slopes), "idle",
            f"parameter {i} of {m} changes nothing", "an effect on factor, or no such parameter",
            f"k = {member.k}, at any of {len(points)} points",
        )  # fmt: skip
    ranks = [np.linalg.matrix_rank(s, tol=1e-9 * np.abs(s).max()) for s in slopes]
    require(
        max(ranks) == m, "idle", f"{m} parameters move factor in {max(ranks)} directions only",
        "a direction for each: some of them do the same", f"k = {member.k}, at any of {len(points)} points",
    )  # fmt: skip


def _rank(member: Member, points: Sequence[Member]) -> None:
    k = member.k
    says = hasattr(member.structure, "rank")
    given = member.call("rank", k) if says else k
    require(
        isinstance(given, (int, np.integer)) and not isinstance(given, bool) and 0 <= given <= k,
        "rank", f"rank({k}) returned {given!r}", f"a whole number from 0 to {k}", f"k = {k}",
    )  # fmt: skip
    ranks = [np.linalg.matrix_rank(point.g, tol=1e-9 * np.abs(point.g).max()) for point in points]
    require(
        max(ranks) == given, "rank",
        f"rank({k}) is {given}" if says else "there is no method rank, which says that G can have any rank",
        f"the largest rank of G, which is {max(ranks)}", f"k = {k}, θ = "
        f"{points[int(np.argmax(ranks))].theta.round(3).tolist()}",
    )  # fmt: skip


def bind(structure: Any, members: Sequence[Member]) -> None:
    """A structure stays what it was bound to, whatever else is bound later."""
    for member in members:
        at = f"names = {member.names}"
        bound = member.of(call(structure, "bind", member.names, at=at))
        told = bound.tell()
        for other in members:
            call(structure, "bind", other.names, at=f"names = {other.names}")
        require(
            same(bound.tell(), told), "bind",
            f"after bind with other names what was bound before gives {bound.tell()}",
            f"{told} as before", at,
        )  # fmt: skip


def not_a_number(member: Member) -> None:
    """NaN must not come out as a number."""
    if not len(member.theta):
        return
    theta = np.full(len(member.theta), np.nan)
    try:
        with np.errstate(all="ignore"):
            root = np.asarray(member.structure.factor(theta, member.k), dtype=float)
    except Exception:
        return
    require(
        not np.isfinite(root).all(), "nan", f"factor of NaN is {root.tolist()}",
        "NaN, or an error", f"k = {member.k}",
    )  # fmt: skip
