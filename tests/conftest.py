"""Settings of Hypothesis: the same examples in every run, no deadline on a noisy machine."""

import pytest
from hypothesis import HealthCheck, settings

COMMON = settings(
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("lmmcore", COMMON, max_examples=50)
settings.register_profile("thorough", COMMON, max_examples=500)
settings.load_profile("lmmcore")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true", help="ten times as many examples of each drawn test"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--thorough"):
        settings.load_profile("thorough")
