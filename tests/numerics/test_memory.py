"""The memory that a guard may count on."""

import subprocess
import sys

import pytest

from lmmcore import memory

GIB = 2**30
CROSSED = """
import resource
import numpy as np, pandas as pd, lmmcore
from lmmcore.memory import available_memory
rng = np.random.default_rng(1)
n = 60_000
data = pd.DataFrame({"a": rng.integers(0, 15_000, n), "b": rng.integers(0, 15_000, n),
                     "y": rng.standard_normal(n)})
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, -1))
assert available_memory() <= 2**29
try:
    lmmcore.mixedlm("y ~ (1 | a) + (1 | b)", data).fit()
except lmmcore.LmmcoreError as exc:
    print(exc)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 8 GiB available and no other limit, as files."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_address_space", list)
    write(tmp_path / "proc" / "meminfo", f"MemTotal: 9 kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(text))


def test_the_machine(machine):
    assert memory.available_memory() == 8 * GIB


def test_control_groups_of_version_2(machine):
    write(machine / "proc" / "self" / "cgroup", "0::/user/job\n")
    group = machine / "cgroup" / "user"
    write(group / "job" / "memory.max", "max\n")
    write(group / "job" / "memory.current", GIB)
    assert memory.available_memory() == 8 * GIB
    # A limit of the group above, and cached files that make room.
    write(group / "memory.max", 4 * GIB)
    write(group / "memory.current", 2 * GIB)
    assert memory.available_memory() == 2 * GIB
    write(group / "memory.stat", f"anon 5\ninactive_file {GIB}\n")
    assert memory.available_memory() == 3 * GIB
    write(group / "job" / "memory.max", GIB // 2)
    assert memory.available_memory() == 0


def test_control_groups_of_version_1(machine):
    write(machine / "proc" / "self" / "cgroup", "5:cpu,memory:/a/b\n3:cpuset:/x\n")
    root = machine / "cgroup" / "memory"
    write(root / "memory.limit_in_bytes", 2**63 - 4096)
    write(root / "memory.usage_in_bytes", 0)
    assert memory.available_memory() == 8 * GIB
    write(root / "a" / "b" / "memory.limit_in_bytes", 3 * GIB)
    write(root / "a" / "b" / "memory.usage_in_bytes", GIB)
    assert memory.available_memory() == 2 * GIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs ulimit -v and /proc")
def test_ulimit_is_heard_before_memory_runs_out():
    done = subprocess.run(
        [sys.executable, "-c", CROSSED], capture_output=True, text=True, check=False, timeout=300
    )
    assert "of memory" in done.stdout, done.stderr
