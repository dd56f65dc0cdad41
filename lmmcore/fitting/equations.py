"""The equations of a model: cross-products, covariance structures and engines; no rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from ..covariance.lookup import bound_structure
from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..crossproducts.responses import ResponseBlock
from ..design.design import Design
from ..design.layout import Layout
from ..extension.protocols import CovarianceStructure
from ..likelihood.coordinates import Coordinates
from ..likelihood.engine import Engine
from ..likelihood.packed import PackedLikelihood
from ..likelihood.penalized import SmoothPenalties
from ..likelihood.profiled import ProfiledLikelihood, build_engine
from ..likelihood.users_columns import InUsersColumns


def closed_under(structure: CovarianceStructure) -> str:
    """Return the changes of columns under which a covariance structure stays the same."""
    return str(getattr(structure, "closed_under", "nothing"))


def bound_structures(design: Design, layout: Layout) -> list[CovarianceStructure]:
    """Return the structure of each term, for the user's columns.

    Raises
    ------
    OptionError, DesignError, PluginError
        A structure that is not known, that needs other columns, or that breaks its contract.
    """
    out = [
        bound_structure(t.covariance, own.names, own.group)
        for t, own in zip(design.terms, layout.bars)
    ]
    return out + [bound_structure("unstructured", ("",), "") for _ in layout.components]


class Equations:
    """Everything that the likelihoods of a model are made of.

    Parameters
    ----------
    layout : Layout
    crossproducts : CrossProducts or CrossedProducts
    structures : sequence of CovarianceStructure
        One for each term, for the user's columns.
    coordinates : Coordinates, optional
        Those of the basis of the cross-products, where they are known already.
    scale : float, optional
        A held σ².
    """

    def __init__(
        self,
        layout: Layout,
        crossproducts: CrossProducts | CrossedProducts,
        structures: Sequence[CovarianceStructure],
        coordinates: Coordinates | None = None,
        scale: float | None = None,
    ) -> None:
        self.layout, self.scale = layout, scale
        self.crossproducts = crossproducts
        self.structures = tuple(structures)
        if coordinates is not None:
            self.coordinates = coordinates

    @cached_property
    def engine(self) -> Engine:
        """The engine; columns of Z may be shifted along a constant one where no structure forbids it."""
        centered = all(closed_under(s) == "shifting" for s in self.structures)
        return build_engine(self.crossproducts, self.layout.sizes, centered)

    @cached_property
    def plain_engine(self) -> Engine:
        """The engine for covariance structures that hold only for the columns as given."""
        if not self.engine.is_centered:
            return self.engine
        return build_engine(self.crossproducts, self.layout.sizes)

    def likelihood(
        self,
        reml: bool,
        structures: Sequence[CovarianceStructure] | None = None,
        engine: Engine | None = None,
        penalty: SmoothPenalties | None = None,
    ) -> ProfiledLikelihood:
        """Return a new likelihood, with the covariance structures of the model or others."""
        engine = engine or self.engine
        if structures is None:
            structures = [
                s if closed_under(s) != "nothing" else InUsersColumns(s, term.basis)
                for s, term in zip(self.structures, engine.terms)
            ]
        return ProfiledLikelihood(
            self.crossproducts, structures, self.layout.sizes, reml, engine, penalty,
            self.coordinates, self.scale,
        )  # fmt: skip

    @cached_property
    def coordinates(self) -> Coordinates:
        """From the basis of the cross-products to the fixed effects of the user."""
        return Coordinates(self.crossproducts.basis)

    @cached_property
    def packed(self) -> PackedLikelihood:
        """The likelihood in statsmodels' parameters."""
        return PackedLikelihood(self.engine, self.crossproducts, self.layout, self.scale)

    def of(self, cp: CrossProducts | CrossedProducts) -> Equations:
        """Return the equations of the same model for other cross-products."""
        return Equations(self.layout, cp, self.structures, scale=self.scale)

    def with_response(self, block: ResponseBlock, j: int = 0) -> Equations:
        """Return the equations of the same design with another response."""
        cp = block.products(self.crossproducts, j)
        new = self.of(cp)
        new.__dict__["engine"] = self.engine.with_response(cp)
        if "plain_engine" in self.__dict__ and self.plain_engine is not self.engine:
            new.__dict__["plain_engine"] = self.plain_engine.with_response(cp)
        return new
