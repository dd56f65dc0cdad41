"""How much memory can be allocated: the machine's, the control group's, and that of ``ulimit -v``."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
# Where a group's limit, its use and its cached files stand, in control groups of version 1 and 2.
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def available_memory() -> int | None:
    """Return the bytes that can be allocated, None where the system does not say."""
    limits = [*_machine(), *_control_groups(), *_address_space()]
    return max(min(limits), 0) if limits else None


def _machine() -> list[int]:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            return [int(line.split()[1]) * 1024]
    if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return []


def _control_groups() -> list[int]:
    """Return what the limits of this process's control groups leave; those above limit as well."""
    found = []
    for line in _lines(_PROC / "self" / "cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0":
            root, names = _CGROUPS, _V2
        elif "memory" in controllers.split(","):
            root, names = _CGROUPS / "memory", _V1
        else:
            continue
        inside = PurePosixPath(path.strip().lstrip("/"))
        for group in (inside, *inside.parents):
            found += _left(root / group, *names)
    return found


def _left(folder: Path, limit: str, used: str, cached: str) -> list[int]:
    """Return the limit of one control group less what is used; cached files make room when needed."""
    try:
        left = int((folder / limit).read_text()) - int((folder / used).read_text())
    except (OSError, ValueError):  # no such file, or "max": no limit
        return []
    for line in _lines(folder / "memory.stat"):
        name, _, size = line.partition(" ")
        if name == cached:
            left += int(size)
    return [left]


def _address_space() -> list[int]:
    """Return what ``ulimit -v`` leaves."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return []
    used = [int(line.split()[0]) for line in _lines(_PROC / "self" / "statm")]
    return [limit - sum(used) * resource.getpagesize()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
