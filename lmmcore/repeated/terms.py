"""Residual structures and variance functions as users write them: text or an object."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import OptionError
from .known import KnownBlocks

RESIDUAL = re.compile(
    r"\s*(\w+)\s*\(\s*([^|()]*?)\s*(?:\|\s*([^,()]+?)\s*)?(?:,\s*(.*?))?\s*\)\s*", re.S
)
FACTOR = re.compile(r"\w+\s*\([^()]*\)")
PRODUCT = re.compile(
    rf"\s*\(?\s*({FACTOR.pattern}(?:\s*\*\s*{FACTOR.pattern})+)\s*\)?\s*(?:\|\s*([^,()]+?)\s*)?"
)
VARIANCE = re.compile(r"\s*(\w+)\s*\(\s*([\w. ]+?)\s*\)\s*")
FORM = '"ar1(visit | subject)", "cs(1 | tray)" or "exp(x + y | field, nugget=True)"'


@dataclass(frozen=True)
class ResidualTerm:
    """A residual structure over the rows of each group.

    Attributes
    ----------
    name : str
        Of a plugin of kind "residual".
    coordinates : tuple of str
        Columns of the data; empty for the order of the rows.
    groups : str or None
        A column of the data; None for the grouping factor of the model or, without one, all rows.
    options : dict
        Of the structure; "by" is a column, each level of which has parameters of its own.
    """

    name: str
    coordinates: tuple[str, ...] = ()
    groups: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inner = " + ".join(self.coordinates) or "1"
        inner += f" | {self.groups}" if self.groups else ""
        more = "".join(f", {k}={v!r}" for k, v in self.options.items())
        return f"{self.name}({inner}{more})"

    def __mul__(self, other: Any) -> ResidualProduct:
        return product_of([self, other])


@dataclass(frozen=True)
class ResidualProduct:
    """A product of structures over different coordinates: separable, or Kronecker's product.

    Attributes
    ----------
    factors : tuple of ResidualTerm
    groups : str or None
    """

    factors: tuple[ResidualTerm, ...]
    groups: str | None = None

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Those of all factors."""
        return tuple(name for factor in self.factors for name in factor.coordinates)

    def __str__(self) -> str:
        inner = " * ".join(str(replace(factor, groups=None)) for factor in self.factors)
        return f"{inner} | {self.groups}" if self.groups else inner

    def __mul__(self, other: Any) -> ResidualProduct:
        return product_of([self, other])


def product_of(given: list[Any]) -> ResidualProduct:
    """Return the product of structures.

    Raises
    ------
    OptionError
        A factor without coordinates, or with by=; a coordinate twice; different groups.
    """
    factors = [f for x in given for f in (x.factors if isinstance(x, ResidualProduct) else (x,))]
    groups = {x.groups for x in given if x.groups is not None}
    names = [name for factor in factors for name in factor.coordinates]
    what = "residual=" + " * ".join(map(str, factors))
    if not all(factor.coordinates for factor in factors) or len(set(names)) < len(names):
        raise OptionError(
            f"{what}: every factor of a product has coordinates of its own; expected such as "
            '"un(outcome) * ar1(visit) | subject"'
        )
    if len(groups) > 1:
        raise OptionError(
            f"{what}: the groups are {' and '.join(map(repr, sorted(groups)))}; expected one"
        )
    if any("by" in factor.options for factor in factors):
        raise OptionError(f"{what}: by= in a product is not offered; expected no by=")
    own = tuple(replace(factor, groups=None) for factor in factors)
    return ResidualProduct(own, next(iter(groups), None))


@dataclass(frozen=True)
class VarianceTerm:
    """A variance function: "by" a stratum, or a "power" or "exp" of a covariate, or "fixed"."""

    name: str
    covariate: str

    def __str__(self) -> str:
        return f"{self.name}({self.covariate})"

    @property
    def parts(self) -> tuple[VarianceTerm, ...]:
        """Itself."""
        return (self,)

    def __mul__(self, other: Any) -> VarianceProduct:
        return VarianceProduct((*self.parts, *other.parts))


@dataclass(frozen=True)
class VarianceProduct:
    """A product of variance functions."""

    parts: tuple[VarianceTerm, ...]

    def __str__(self) -> str:
        return " * ".join(map(str, self.parts))

    def __mul__(self, other: Any) -> VarianceProduct:
        return VarianceProduct((*self.parts, *other.parts))


def residual_term(given: Any) -> ResidualTerm | ResidualProduct | KnownBlocks | None:
    """Return a residual structure that was given as text or as an object.

    Raises
    ------
    OptionError
    """
    if given is None or isinstance(given, (ResidualTerm, ResidualProduct, KnownBlocks)):
        return given
    if isinstance(given, str) and (whole := PRODUCT.fullmatch(given)):
        terms: list[Any] = [residual_term(x) for x in FACTOR.findall(whole[1])]
        product = product_of(terms)
        return product if whole[2] is None else replace(product, groups=whole[2])
    found = RESIDUAL.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise OptionError(f"residual={given!r}; expected text such as {FORM}")
    name, inner, groups, options = found.groups()
    names = tuple(x.strip() for x in inner.split("+"))
    if not all(re.fullmatch(r"[\w.]+", x) for x in names):
        raise OptionError(
            f"residual={given!r}: {inner!r} are no columns of the data; expected text such as {FORM}"
        )
    coordinates = () if names == ("1",) else names
    return ResidualTerm(name.lower(), coordinates, groups, _options(given, options))


def _options(given: str, text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args:
            raise ValueError("an option without a name")
        return {
            str(k.arg): k.value.id
            if k.arg == "by" and isinstance(k.value, ast.Name)
            else ast.literal_eval(k.value)
            for k in call.keywords
        }
    except (SyntaxError, ValueError, AssertionError) as exc:
        raise OptionError(
            f"residual={given!r}: the options {text!r} cannot be read ({exc}); expected name=value, as in "
            '"arma(1 | g, p=1, q=1)"'
        ) from None


FITTED = "fitted"  # stands for the fitted values in variance functions
VARIANCES = ("by", "power", "exp", "constpower", "fixed")


def variance_term(given: Any) -> VarianceTerm | VarianceProduct | None:
    """Return a variance function that was given as text or as an object.

    Raises
    ------
    OptionError
    """
    if given is None or isinstance(given, (VarianceTerm, VarianceProduct)):
        return given
    texts = given.split("*") if isinstance(given, str) else [given]
    found = [VARIANCE.fullmatch(x) if isinstance(x, str) else None for x in texts]
    if any(x is None or x[1].lower() not in VARIANCES for x in found):
        raise OptionError(
            f'variance={given!r}; expected text such as "by(sex)", "power(pressure)", "power(fitted)", '
            '"exp(time)", "constpower(pressure)" or "fixed(variance)", or a product: "by(sex) * power(age)"'
        )
    parts = tuple(VarianceTerm(x[1].lower(), x[2]) for x in found if x is not None)
    return parts[0] if len(parts) == 1 else VarianceProduct(parts)


def variance_function(name: str, covariate: str) -> VarianceTerm:
    """Return a variance function, as an object for ``variance=``; ``*`` makes products.

    Parameters
    ----------
    name : str
        "by", "power", "exp", "constpower" or "fixed".
    covariate : str
        A column of the data; "fitted" stands for the fitted values of the model.

    Raises
    ------
    OptionError
        Another name.
    """
    if name not in VARIANCES:
        raise OptionError(f"variance function {name!r}; expected one of {', '.join(VARIANCES)}")
    return VarianceTerm(name, covariate)


def structure(
    name: str, *coordinates: str, groups: str | None = None, **options: Any
) -> ResidualTerm:
    """Return a residual structure, as an object for ``residual=``.

    Parameters
    ----------
    name : str
        Of a plugin: "ar1", "un", "exp" and so on; ``lmmcore.plugins()`` lists them.
    *coordinates : str
        Columns of the data; none is the order of the rows.
    groups : str, optional
        The column with the groups; by default the grouping factor of the model.
    **options
        Of the structure, such as ``nugget=True`` or ``p=2``; ``by="arm"`` gives each level of a column
        parameters of its own.

    Examples
    --------
    >>> import lmmcore
    >>> str(lmmcore.residual_structure("ar1", "visit", groups="subject"))
    'ar1(visit | subject)'
    """
    return ResidualTerm(name, tuple(coordinates), groups, dict(options))
