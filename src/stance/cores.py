"""Takes the machine's affinity and container limits; gives how many threads a model should use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def default_threads() -> int:
    """Threads for one model: `OMP_NUM_THREADS` where it is set, else the cores that are ours.

    Ray sets `OMP_NUM_THREADS` in its workers to the cores that the worker asked for.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return usable_cores()


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may use: its CPU affinity, and the quota of its container.

    Args:
        cgroup: where the control groups are mounted (version 2, or version 1 with `cpu`).
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    quota = cgroup_quota(cgroup)
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def cgroup_quota(cgroup: Path) -> float | None:
    """Cores that the container's quota allows, None where there is none."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
        period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
