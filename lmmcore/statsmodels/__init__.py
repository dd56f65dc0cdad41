"""The parts of the interface that follow statsmodels name by name."""
