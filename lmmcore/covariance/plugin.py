"""The built-in covariance structures, registered as any plugin is."""

from __future__ import annotations

from ..extension import OptionError, Register, hookimpl
from .banded import Banded, Tridiagonal
from .correlation import Autoregressive, Exchangeable, Stationary
from .diagonal import Diagonal
from .linear import FactorAnalytic, KnownMatrix
from .scaled import Heterogeneous, Homogeneous
from .unstructured import Unstructured

ONE, OWN = "one sd.", "a sd for each column."


def factor_analytic(n: int) -> FactorAnalytic:
    """Return the factor-analytic structure of rank n."""
    return FactorAnalytic(_at_least_one("fa", n), specific=True)


def reduced_rank(n: int) -> FactorAnalytic:
    """Return the structure of rank n without separate variances of the columns."""
    return FactorAnalytic(_at_least_one("rr", n), specific=False)


def banded(n: int) -> Homogeneous:
    """Return the Toeplitz structure of n bands with one sd."""
    return Homogeneous(_bands("toep", n), f"Toeplitz with {n} bands, {ONE}")


def heterogeneous_banded(n: int) -> Heterogeneous:
    """Return the Toeplitz structure of n bands with an sd for each column."""
    return Heterogeneous(_bands("toeph", n), f"Toeplitz with {n} bands, {OWN}")


def _bands(name: str, n: int) -> Banded | Tridiagonal:
    return Tridiagonal() if _at_least_one(name, n) == 2 else Banded(n)


def _at_least_one(name: str, n: int) -> int:
    if n < 1:
        raise OptionError(f"the covariance structure {name}{n} has number {n}; expected 1 or more")
    return n


@hookimpl
def lmmcore_covariances(register: Register) -> None:
    unstructured, diagonal = Unstructured(), Diagonal()
    register("unstructured", unstructured)
    register("us", unstructured)
    register("diagonal", diagonal)
    register("diag", diagonal)
    register("id", KnownMatrix(), "Scaled identity: independent coefficients, one sd.")
    cs, ar, toep = Exchangeable(), Autoregressive(), Stationary()
    csh = Heterogeneous(cs, f"Heterogeneous compound symmetry: one correlation, {OWN}")
    ar1h = Heterogeneous(ar, f"Autoregressive of order 1 in the columns' order, {OWN}")
    register("cs", Homogeneous(cs, f"Compound symmetry: one correlation, {ONE}"))
    register("csh", csh)
    register("hcs", csh)
    register("ar1", Homogeneous(ar, f"Autoregressive of order 1 in the columns' order, {ONE}"))
    register("ar1h", ar1h)
    register("har1", ar1h)
    register("toep", Homogeneous(toep, f"Toeplitz: a correlation for each distance, {ONE}"))
    register("toeph", Heterogeneous(toep, f"Toeplitz: a correlation for each distance, {OWN}"))
    register("toep{n}", banded, f"Toeplitz with n bands: no correlation at distance n, {ONE}")
    register(
        "toeph{n}",
        heterogeneous_banded,
        f"Toeplitz with n bands: no correlation at distance n, {OWN}",
    )
    register("fa{n}", factor_analytic, "n common factors and variances of the columns' own.")
    register("rr{n}", reduced_rank, "Reduced rank: n common factors and nothing else.")
