"""Processors by affinity and control groups of both versions, and connections by descriptors."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from microgate.runtime.capacity import connection_limit, raise_descriptor_limit, usable_cpus

if TYPE_CHECKING:
    from pathlib import Path

MANY = {0, 1, 2, 3, 4, 5, 6, 7}


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param({"proc/self/cgroup": "0::/\n"}, 8, id="no quota file"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8, id="no quota"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, id="two"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2, id="rounded up"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1, id="a fifth"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8, id="too many"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/app/inner\n",
                "sys/fs/cgroup/app/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/app/inner/cpu.max": "500000 100000\n",
            },
            3,
            id="the tightest of the ancestors",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/seen/from/the/host\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
            1,
            id="a container with the path of its host",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            3,
            id="version 1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
            id="version 1 without a quota",
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, 8, id="nonsense"),
        pytest.param({"proc/self/cgroup": "garbage\n\n:::\n"}, 8, id="garbage"),
    ],
)
def test_the_quota_of_control_groups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cpus: int
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: MANY)
    assert usable_cpus(machine(tmp_path, files)) == cpus


def test_the_affinity_counts():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_soft_limit_of_descriptors_becomes_the_hard_one():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        limit = raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        assert limit == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("configured", "descriptors", "connections"),
    [(0, 1_024, 448), (0, 1_048_576, 524_224), (0, 16, 1), (50, 1_024, 50)],
)
def test_connections_follow_from_descriptors_unless_configured(configured: int, descriptors: int, connections: int):
    assert connection_limit(configured, descriptors) == connections
