"""Fits of a model to other responses: the design is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from .crossproducts.responses import ResponseBlock, ResponseReader
from .design.build import as_frame
from .design.columns import as_column
from .errors import DataValueError, NotFiniteError
from .fitting.fit import Fit
from .fitting.refit import refit as refit_fit
from .fitting.run import warn_of

_readers: WeakKeyDictionary[Any, ResponseReader] = WeakKeyDictionary()
_templates: WeakKeyDictionary[Any, dict[bool, Fit]] = WeakKeyDictionary()


def reader_of(model: Any) -> ResponseReader:
    """Return what reads responses of the rows of a model; it is kept as long as the model."""
    reader = _readers.get(model)
    if reader is None:
        reader = _readers[model] = ResponseReader(model.design, model.crossproducts)
    return reader


def forget_rows(model: Any) -> None:
    """Release the rows that `reader_of` keeps."""
    _readers.pop(model, None)


def response_of(model: Any, endog: Any) -> np.ndarray:
    """Return a response (n,) without the offset: numbers, or the formula's left side in a frame."""
    design, spec = model.design, model.spec
    labeled = isinstance(endog, (pd.Series, pd.DataFrame))
    if labeled and design.row_labels is not None and not endog.index.equals(design.row_labels):
        raise DataValueError(
            f"the index of endog ({len(endog)} rows) is not that of the model's {spec.nobs} rows; expected "
            "the same rows in the same order. Align them by .loc[...], or give an array"
        )
    is_table = isinstance(endog, (pd.DataFrame, Mapping)) or hasattr(endog, "to_pandas")
    if is_table and not isinstance(endog, pd.Series) and spec.endog_info is not None:
        table, info = as_frame(endog), spec.endog_info
        if not isinstance(info, str):
            y = info.values(table, "error")
        elif info in table:
            y = as_column(table[info], info, "the response")
        else:
            raise DataValueError(
                f"the frame has no column {info!r}, the response of the model; expected this column, or the "
                "response as an array"
            )
    else:
        y = as_column(endog, spec.endog_name, "endog")
    if len(y) != spec.nobs:
        left = f", those that `rows_used` names ({spec.n_dropped} were left out)"
        raise DataValueError(
            f"endog has {len(y)} rows; expected {spec.nobs}, those of the model"
            + (left if spec.n_dropped else "")
        )
    y = y.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(y))
    if len(bad):
        raise NotFiniteError(
            f"endog is {y[bad[0]]} in row {bad[0]} ({len(bad)} such rows); expected finite numbers in all "
            "rows of the model. Build a model of the other rows"
        )
    return y if design.offset is None else y - design.offset


def with_response(model: Any, y: np.ndarray, equations: Any) -> Any:
    """Return a model like another one with the response y (offset subtracted) and its equations."""
    new = object.__new__(type(model))
    own = ("endog", "endog_li", "crossproducts", "equations")
    new.__dict__.update({k: v for k, v in model.__dict__.items() if k not in own})
    design = model.design
    new.rows = replace(design, endog=y, table=None, source=design.source or design)
    new.__dict__.update(crossproducts=equations.crossproducts, equations=equations)
    _readers[new] = reader_of(model)
    return new


def refit(results: Any, endog: Any, *, method: str | Sequence[str] | None = None) -> Any:
    """Fit the same model to another response of the same rows.

    Only ``Z'y``, ``X'y`` and ``y'y`` are computed again. The search starts from the present estimates.

    Parameters
    ----------
    endog : array_like (n,) or DataFrame
        The response on the scale of the model (after a transformation such as ``log(y)``), or a frame in
        which the left side of the formula is evaluated. The offset of the model is subtracted.
    method : str or sequence of str, optional
        Optimizer; by default that of `fit`.

    Returns
    -------
    results
        Of the same class, with the same penalty if there is one. Covariance parameters that were held
        fixed keep their values.

    Raises
    ------
    DataValueError
        Another number of rows, or rows in another order.
    NotFiniteError
        A value is missing.
    DesignError
        The response is constant.
    """
    model = results.model
    reader = reader_of(model)
    y = response_of(model, endog)
    return refit_to(results, y, reader.read(y[:, None]), 0, method)


def refit_to(
    results: Any, y: np.ndarray, block: ResponseBlock, j: int, method: str | Sequence[str] | None
) -> Any:
    """Return the same fit to response j of a block, which is y."""
    model, fit = results.model, results.fit
    if not fit.is_plain:
        return results._refit(
            with_response(model, y, model.equations.with_response(block, j)), method
        )
    found = refit_fit(fit, block, j, method)
    warn_of(found.certificate, found.likelihood.engine.rank >= fit.spec.nobs - fit.spec.k_fe)
    new = with_response(model, y, found.equations)
    if fit.inference is not None:
        found = replace(found, inference=fit.inference.bound(new, found))
    return type(results)(new, found, results.full_output)


def template_of(model: Any, reml: bool) -> Fit:
    """Return the fit of a model to its own response, from which refits start; it is kept with the model."""
    known = _templates.setdefault(model, {})
    if reml not in known:
        known[reml] = model.fit(reml=reml).fit
    return known[reml]
