"""A method for degrees of freedom behind a guard: what it raises or returns wrongly names the plugin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import LmmcoreError, PluginError
from ..extension.inference import ReferenceDistribution
from .plugin import Plugin, shown


@dataclass(frozen=True, eq=False)
class GuardedDegreesOfFreedom:
    """A `DegreesOfFreedom` whose results are checked.

    Attributes
    ----------
    method : DegreesOfFreedom
    label : Plugin or str
        How messages name it.
    source : DegreesOfFreedom or None
        What `method` was before it was bound to rows.
    """

    method: Any
    label: Plugin | str
    source: Any = None

    @property
    def title(self) -> str:
        """What tables print."""
        return str(getattr(self.method, "title", self.label))

    @property
    def of_design(self) -> bool:
        """Whether the degrees of freedom depend on the design alone."""
        return bool(getattr(self.method, "of_design", False))

    @property
    def own_ddf(self) -> str:
        """The name under which its own degrees of freedom may be asked for, beside its covariance."""
        return str(getattr(self.method, "own_ddf", ""))

    @property
    def needs_rows(self) -> bool:
        """Whether it must be bound to a model before it can be called."""
        return self.source is None and hasattr(self.method, "bind")

    def bound(self, model: Any, fit: Any) -> GuardedDegreesOfFreedom:
        """Return the method for the rows of a model; itself if it needs none."""
        source = self.method if self.source is None else self.source
        if not hasattr(source, "bind"):
            return self
        try:
            method = source.bind(model, fit)
        except LmmcoreError:
            raise
        except Exception as exc:
            raise PluginError(self._failed("bind", exc)) from exc
        return GuardedDegreesOfFreedom(method, self.label, source)

    def __call__(self, fit: Any, matrix: np.ndarray) -> ReferenceDistribution:
        """Return the reference distribution of the rows of a matrix (m, p).

        Raises
        ------
        PluginError
            The method fails, or returns something else.
        """
        try:
            found = self.method(fit, matrix.copy())
        except LmmcoreError:
            raise
        except Exception as exc:
            raise PluginError(self._failed("the call", exc)) from exc
        if not isinstance(found, ReferenceDistribution):
            raise PluginError(
                f"{self.label} returned {shown(found)}; expected a ReferenceDistribution. Choose another ddf"
            )
        covariance = np.asarray(found.covariance, dtype=float)
        shape = (len(matrix), len(matrix))
        if covariance.shape != shape:
            raise PluginError(
                f"{self.label} returned a covariance matrix of shape {covariance.shape}; expected {shape}. "
                "Choose another ddf"
            )
        df, scale = float(found.df), float(found.scale)
        if not (df >= 0.0 and 0.0 <= scale < np.inf):
            raise PluginError(
                f"{self.label} returned {df} degrees of freedom with an F scale of {scale}; expected numbers "
                "of zero or more. Choose another ddf"
            )
        return ReferenceDistribution(covariance, df, scale)

    def _failed(self, where: str, exc: Exception) -> str:
        return f"{self.label} failed in {where}: {type(exc).__name__}: {exc}. Choose another ddf or vcov"
