"""One model fitted with several optimizers: do they agree?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .errors import ConvergenceWarning, LmmcoreError, OptionError
from .plugin_host.manager import names


def compare_optimizers(
    model: Any,
    methods: Sequence[str] | None = None,
    *,
    reml: bool = True,
    callback: Callable[[str], None] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Fit a model with several optimizers, and compare the results in a table.

    If the optimizers agree, the estimates do not depend on the optimizer. If not, the lowest
    criterion is the best optimum, and ``converged`` says which fits have a certificate.

    Parameters
    ----------
    model : MixedLM
    methods : sequence of str, optional
        Names of optimizers. By default, all that are installed, each under one name.
    reml : bool
    callback : callable, optional
        Called with the name of each optimizer before it starts, for a progress bar.
    **options
        Further arguments of ``model.fit``, such as `start_params` or `maxiter`.

    Returns
    -------
    DataFrame
        One row for each method, in the order given. Columns: ``criterion`` (−2 log-likelihood),
        ``difference`` from the lowest one, ``converged``, ``singular``, ``evaluations`` (of the
        criterion), ``iterations``, ``seconds``, ``message``; then the fixed effects, the variances and
        covariances of the random effects and ``scale`` (σ²), in the units of the data. A method that
        fails has NaN, and the error as its message.

    Raises
    ------
    OptionError
        An unknown method, or no method.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    >>> table = lmmcore.compare_optimizers(model, ["newton", "bfgs", "nelder-mead"])
    >>> table["criterion"].round(3).to_dict()
    {'newton': 1743.628, 'bfgs': 1743.628, 'nelder-mead': 1743.628}
    """
    chosen = names("optimizer") if methods is None else methods
    if isinstance(chosen, str) or not chosen:
        raise OptionError(f"methods={methods!r}; expected a sequence of names of optimizers")
    rows = []
    for method in chosen:
        if callback is not None:
            callback(method)
        rows.append(_row(model, method, reml, options))
    table = pd.DataFrame(rows, index=pd.Index(chosen, name="method"))
    lowest = float(np.nanmin(table["criterion"])) if table["criterion"].notna().any() else np.nan
    table.insert(1, "difference", table["criterion"] - lowest)
    return table


def _row(model: Any, method: str, reml: bool, options: dict[str, Any]) -> dict[str, Any]:
    labels = [*model.param_names, "scale"]
    held = model.reml
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the column says it
            fit = model.fit(method=method, reml=reml, **options)
    except OptionError:
        raise
    except LmmcoreError as exc:
        nothing = dict.fromkeys(["evaluations", "iterations", "seconds"], np.nan)
        row: dict[str, Any] = {
            "criterion": np.nan,
            "converged": False,
            "singular": False,
            **nothing,
        }
        return {**row, "message": str(exc), **dict.fromkeys(labels, np.nan)}
    finally:
        model.reml = held
    found = fit.convergence
    estimates = np.asarray(fit.params, dtype=float).copy()
    estimates[model.k_fe :] *= fit.scale
    return {
        "criterion": fit.criterion, "converged": found.converged, "singular": found.singular,
        "evaluations": found.evaluations, "iterations": found.iterations, "seconds": found.seconds,
        "message": found.message, **dict(zip(labels, [*estimates.tolist(), fit.scale])),
    }  # fmt: skip
