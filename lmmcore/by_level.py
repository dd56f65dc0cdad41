"""A dict with an entry for each level of a grouping factor, made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import cached_property
from typing import Any, Protocol

from .design.groups import GroupingFactor
from .design.levels import Levels, level_of
from .errors import NameNotFoundError, suggest


class Entries(Protocol):
    """What gives the entry of a level."""

    def __call__(self, level: int) -> Any: ...


class _Level(int):
    """Stands in the place of an entry that nobody has asked for."""


class ByLevel(dict[Any, Any]):
    """A dict by the labels of a grouping factor.

    A label of another type finds its level where it is unambiguous (308 for "308"), and a tuple
    ``("a", 1)`` the level "a:1" of an interaction.

    Parameters
    ----------
    factor : GroupingFactor
    entries : callable
        Gives the entry of a level.
    """

    def __init__(self, factor: GroupingFactor, entries: Entries) -> None:
        super().__init__(zip(factor.keys, map(_Level, range(factor.n_levels))))
        self._factor = factor
        self._entries = entries

    @cached_property
    def _levels(self) -> Levels:
        return Levels(self._factor.labels, self._factor.name)

    @cached_property
    def _keys(self) -> list[Any]:
        return self._factor.keys

    def __getitem__(self, label: Any) -> Any:
        entry = super().__getitem__(label)
        if type(entry) is _Level:
            entry = self._entries(int(entry))
            super().__setitem__(label, entry)
        return entry

    def __missing__(self, label: Any) -> Any:
        found = self._same(label)
        if not found:
            name, labels = self._factor.name, self._factor.labels
            types = self._levels.types([label])
            raise NameNotFoundError(
                f"{label!r} is no level of {name}{types or suggest(str(label), map(str, labels))}"
            )
        return self[found[0]]

    def _same(self, label: Any) -> list[Any]:
        """Return the key that another label means; an empty list when there is none."""
        level = level_of(self._levels, self._factor, label)
        found = self._keys[level] if level >= 0 else None
        return [found] if level >= 0 and super().__contains__(found) else []

    # A dict's own methods would show what stands in the place of entries.

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()

    def __contains__(self, label: Any) -> bool:
        try:
            return super().__contains__(label) or bool(self._same(label))
        except ValueError:  # a label that could mean several levels
            return False

    def __or__(self, other: Any) -> Any:
        return dict(self.items()) | dict(other)

    def __ror__(self, other: Any) -> Any:
        return dict(other) | dict(self.items())

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._factor, self._entries)

    def copy(self) -> dict[Any, Any]:
        return dict(self.items())

    get = Mapping.get  # type: ignore[assignment]
    items = Mapping.items  # type: ignore[assignment]
    values = Mapping.values  # type: ignore[assignment]
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    __eq__ = Mapping.__eq__
    __hash__ = None
