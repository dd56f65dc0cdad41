"""Settings of Hypothesis: the same examples in every run, no deadline on a noisy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lmmcore",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("lmmcore")
