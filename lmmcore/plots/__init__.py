"""Pictures of results. matplotlib is imported when one is drawn; ``results.plot`` has those of one fit."""

from .estimates import coefficients

__all__ = ["coefficients"]
