"""What stands in the place of the rows of the data once they were removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from ..errors import DataRemovedError
from .design import Design


class Removed:
    """The place of an array that was removed; any use of it says so."""

    def __init__(self, what: str) -> None:
        self.what = what

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise DataRemovedError(
            f"{self.what} is not available: remove_data() removed the rows of the data from these "
            f"results; compute "
            "it before you call remove_data(), or fit again"
        )

    __array__ = __len__ = __iter__ = __getitem__ = _refuse

    @property
    def dtype(self) -> np.dtype[Any]:
        self._refuse()

    @property
    def codes(self) -> np.ndarray:
        self._refuse()


def without_rows(design: Design) -> Design:
    """Return the design with its names and levels but without any array that has a row's length."""
    gone: Any = Removed
    return replace(
        design,
        endog=gone("endog"),
        fixed=gone("exog"),
        random=gone("exog_re"),
        grouping=replace(design.grouping, codes=gone("the group of each row")),
        others=tuple(replace(g, codes=gone("the group of each row")) for g in design.others),
        offset=None if design.offset is None else gone("the offset"),
        components=(
            None
            if design.components is None
            else replace(
                design.components,
                indptr=gone("exog_vc"), columns=gone("exog_vc"), values=gone("exog_vc"),
            )
        ),
        weights=None if design.weights is None else gone("weights"),
        row_labels=None,
        rows=gone("rows_used"),
        table=None,
    )  # fmt: skip
