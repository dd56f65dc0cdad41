"""Benchmarks of lmmcore for airspeed velocity."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where problems.py is
