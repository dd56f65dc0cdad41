"""A fit from the arguments of ``MixedLM.fit``: likelihood, start, search, warnings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..design.spec import ModelSpec
from ..errors import (
    ConvergenceWarning,
    DataTypeError,
    NotIdentifiedWarning,
    OptionError,
    users_line,
)
from ..extension.options import take_options
from ..likelihood.penalized import SmoothPenalties
from ..likelihood.start import neutral_start
from ..params import as_params, has_parameters
from .certificate import Convergence
from .equations import Equations
from .estimate import Estimate, estimate
from .fit import Fit
from .held import held_structures
from .start_params import start_of

Search = Callable[..., Estimate]


def run(
    spec: ModelSpec,
    equations: Equations,
    reml: Any,
    optimizers: Sequence[tuple[str, Any]],
    options: Mapping[str, Any],
    start_params: Any = None,
    free: Any = None,
    callback: Any = None,
    optimize: bool = True,
    penalty: SmoothPenalties | None = None,
    search: Search = estimate,
) -> Fit:
    """Return the fit, and warn of what its certificate does not hold; see ``MixedLM.fit``."""
    if not isinstance(reml, (bool, np.bool_)):
        raise OptionError(f"reml={reml!r}; expected True (REML) or False (ML)")
    if callback is not None and not callable(callback):
        raise OptionError(
            f"callback={callback!r}; expected a function of the iteration and −2 log-likelihood"
        )
    layout, reml = equations.layout, bool(reml)
    engine = equations.engine if free is None else equations.plain_engine
    likelihood = equations.likelihood(reml, None, engine, penalty)
    of_user = (layout, spec.k_fe, spec.use_sqrt, likelihood)
    start = None if start_params is None else start_of(*of_user, start_params)
    if free is not None:
        if not has_parameters(free):
            raise DataTypeError(
                f"free is a {type(free).__name__}; expected MixedLMParams that hold 1 (estimated) or "
                "0 (held fixed), such as MixedLMParams.from_components(np.ones(k_fe), np.eye(k_re))"
            )
        free = as_params(free)
        at = None if start is None else likelihood.covariances(start)
        structures = held_structures(*of_user, free, start)
        likelihood = equations.likelihood(reml, structures, engine, penalty)
        start = None if at is None else likelihood.parameters(at)
    if not optimize:
        take_options("none", options, {})
        start = neutral_start(likelihood) if start is None else start
        optimizers = []
    found = search(likelihood, optimizers, layout.names, layout.groups, start, options, callback)
    if optimizers:
        saturated = engine.rank >= spec.nobs - spec.k_fe
        warn_of(found.convergence, saturated)
    return Fit(spec, equations, likelihood, found.point, reml, found.convergence, free)


def warn_of(certificate: Convergence, saturated: bool) -> None:
    """Warn where a certificate does not hold."""
    if not certificate.converged:
        what = "Use the default method, or raise maxiter"
        if saturated:
            what = (
                "The random effects can reproduce every observation, so that the residual "
                "variance is hardly identified: remove random coefficients"
            )
        warnings.warn(
            f"the fit did not converge: {certificate.message} (Newton decrement "
            f"{certificate.newton_decrement:.1e}). {what}",
            ConvergenceWarning,
            stacklevel=users_line(),
        )
    if not certificate.identified:
        warnings.warn(
            f"the model is not identified: {'; '.join(certificate.not_identified)}. Other values "
            f"of these parameters "
            "have the same likelihood; remove "
            "one of the terms",
            NotIdentifiedWarning,
            stacklevel=users_line(),
        )
