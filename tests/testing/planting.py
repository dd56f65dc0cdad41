"""Planted faults: a class, the rule that it breaks, what the message must say."""

import pytest


def planting():
    """Return a list of parameters for a test, and a decorator that adds a class to it."""
    faults = []

    def planted(rule, *words):
        def remember(cls):
            name = f"{cls.__name__}-{rule.replace(' ', '-')}"
            faults.append(pytest.param(cls, rule, words, id=name))
            return cls

        return remember

    return faults, planted
