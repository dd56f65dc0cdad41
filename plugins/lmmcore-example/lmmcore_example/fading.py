"""A residual structure: correlation 1/(1 + a d) at distance d, which fades more slowly than AR(1)."""

from dataclasses import dataclass

import numpy as np

from lmmcore.extension import BoundResidual, OptionError, Positions


@dataclass(frozen=True)
class OfDistance:
    """Correlation 1/(1 + exp(u) d)."""

    n_parameters: int = 1

    @property
    def starts(self) -> list[np.ndarray]:
        return [np.array([0.0]), np.array([2.0])]

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        distance = np.abs(values[:, None, 0] - values[None, :, 0])
        return 1.0 / (1.0 + np.exp(u[0]) * distance)

    def describe(self, u: np.ndarray) -> dict[str, float]:
        return {"decay": float(np.exp(u[0]).real)}


class Fading:
    """A correlation that fades as one over the distance."""

    title = "fading"

    def bind(self, positions: Positions, **options: object) -> BoundResidual:
        if options or positions.values.shape[1] != 1:
            raise OptionError(
                f"fading has one coordinate and no options; expected fading({positions.names[0]} | g)"
            )
        return OfDistance()


FADING = Fading()
