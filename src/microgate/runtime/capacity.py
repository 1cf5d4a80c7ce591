"""How much of the machine is ours: usable processors, file descriptors, and the connections that follow from them.

Asked once by the supervisor before it opens anything.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Descriptors of a worker that are no connections: sockets of listeners, pairs, maps, libraries, resolver, log files.
RESERVED_DESCRIPTORS = 128
# A request in flight holds one descriptor to the client and one to the backend.
DESCRIPTORS_PER_CONNECTION = 2
# What we assume where the system does not tell.
ASSUMED_DESCRIPTORS = 1_024


def usable_cpus(root: Path = Path("/")) -> int:
    """Processors this process may use: its affinity, and the tightest quota of its control groups rounded up."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for quota in _quotas(root) if quota > 0]
    return max(1, min([affinity, *(int(-(-quota // 1)) for quota in quotas)]))


def _quotas(root: Path) -> list[float]:
    """Quotas, in processors, of every control group this process is in, version 1 or 2, innermost first."""
    found: list[float] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        tree = root / "sys/fs/cgroup" / controllers
        # Inside a container the path is the host's, which is not there; its own group then is the root of the tree.
        for folder in [tree / Path(group.lstrip("/")), *(tree / Path(group.lstrip("/"))).parents]:
            if folder == tree.parent:
                break
            with suppress(ValueError, ZeroDivisionError):
                found.append(_quota_v1(folder) if controllers else _quota_v2(folder))
    return found


def _quota_v2(folder: Path) -> float:
    quota, period = _read(folder / "cpu.max").split()
    return int(quota) / int(period)  # "max" is no number: no quota


def _quota_v1(folder: Path) -> float:
    return int(_read(folder / "cpu.cfs_quota_us")) / int(_read(folder / "cpu.cfs_period_us"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def raise_descriptor_limit() -> int:
    """Set the soft limit of descriptors to the hard one; the limit that holds now."""
    try:
        import resource
    except ImportError:
        return ASSUMED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1_048_576


def connection_limit(configured: int, descriptors: int) -> int:
    """Connections one worker accepts at a time: as configured, else as many as the descriptors of a process carry."""
    if configured > 0:
        return configured
    return max(1, (descriptors - RESERVED_DESCRIPTORS) // DESCRIPTORS_PER_CONNECTION)
