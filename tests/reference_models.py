"""Results of R against which fits are held.

The numbers come from R 4.2.2 with lme4 1.1-31 and nlme 3.1-162, optimized far beyond the default
tolerances (several optimizers agree to 1e-10 of the log-likelihood, and with the dense likelihood
to 1e-11). `tests/reference/README.md` describes the fields.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from lmmcore import datasets

FOLDER = Path(__file__).parent / "reference"


@cache
def _models() -> dict[str, dict[str, Any]]:
    return json.loads((FOLDER / "models.json").read_text(encoding="utf-8"))


def model_ids(kind: str) -> list[str]:
    """Return the models of a kind: "single" (one grouping factor), "nested" or "all"."""
    return [name for name, m in _models().items() if kind in ("all", m["kind"])]


def reference(model_id: str) -> dict[str, Any]:
    """Return the stored results of a model."""
    return _models()[model_id]


@cache
def frame(name: str) -> pd.DataFrame:
    """Return a data set with its factors as categoricals."""
    if name.lower() in datasets.names():
        return datasets.load(name)
    schema = json.loads((FOLDER / "data" / "schema.json").read_text(encoding="utf-8"))[name]
    factors = schema["levels"]
    out = pd.read_csv(FOLDER / "data" / schema["file"], dtype=dict.fromkeys(factors, str))
    for column, levels in factors.items():
        out[column] = pd.Categorical(out[column], categories=levels)
    return out


@cache
def inference_reference(kind: str) -> dict[str, Any]:
    """Return stored results of tests and predictions: of one kind, by model."""
    text = (FOLDER / f"inference_{kind}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def repeated_reference(kind: str) -> Any:
    """Return stored results of models with residual structures: "nlme", "sas", "kr" or "opposites"."""
    return json.loads((FOLDER / f"repeated_{kind}.json").read_text(encoding="utf-8"))
