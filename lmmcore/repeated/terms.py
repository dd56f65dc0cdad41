"""Residual structures and variance functions as users write them: text or an object."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from ..errors import OptionError
from .known import KnownBlocks

RESIDUAL = re.compile(
    r"\s*(\w+)\s*\(\s*([^|()]*?)\s*(?:\|\s*([^,()]+?)\s*)?(?:,\s*(.*?))?\s*\)\s*", re.S
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


@dataclass(frozen=True)
class VarianceTerm:
    """A variance function: "by" a stratum, or a "power" or "exp" of a covariate, or "fixed"."""

    name: str
    covariate: str

    def __str__(self) -> str:
        return f"{self.name}({self.covariate})"


def residual_term(given: Any) -> ResidualTerm | KnownBlocks | None:
    """Return a residual structure that was given as text or as an object.

    Raises
    ------
    OptionError
    """
    if given is None or isinstance(given, (ResidualTerm, KnownBlocks)):
        return given
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


VARIANCES = ("by", "power", "exp", "constpower", "fixed")


def variance_term(given: Any) -> VarianceTerm | None:
    """Return a variance function that was given as text or as an object.

    Raises
    ------
    OptionError
    """
    if given is None or isinstance(given, VarianceTerm):
        return given
    found = VARIANCE.fullmatch(given) if isinstance(given, str) else None
    if found is None or found[1].lower() not in VARIANCES:
        raise OptionError(
            f'variance={given!r}; expected text such as "by(sex)", "power(pressure)", "exp(time)", '
            '"constpower(pressure)" or "fixed(variance)"'
        )
    if found[2] == "fitted":
        raise OptionError(
            f"variance={given!r}: variances that depend on the fitted values are not offered; expected a "
            "column of the data"
        )
    return VarianceTerm(found[1].lower(), found[2])


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
