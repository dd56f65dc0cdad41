"""How many examples a test draws."""

from typing import Any

from hypothesis import settings


def count(usual: int) -> int:
    """Return `usual`, and ten times as many under ``pytest --thorough``."""
    return usual * settings.default.max_examples // 50


def examples(usual: int, **others: Any) -> settings:
    """Return settings for so many examples; see `count`."""
    return settings(max_examples=count(usual), **others)
