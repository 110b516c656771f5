"""Threads follow from affinity, from the container's quota, and from what the environment says."""

from __future__ import annotations

import os

import pytest

from stance.cores import cgroup_quota, default_threads, usable_cores


@pytest.mark.parametrize(
    ("text", "quota"), [("max 100000", None), ("150000 100000", 1.5), ("50000 100000", 0.5)]
)
def test_quota_of_version_2(tmp_path, text, quota):
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert cgroup_quota(tmp_path) == quota


@pytest.mark.parametrize(("limit", "quota"), [(-1, None), (200000, 2.0)])
def test_quota_of_version_1(tmp_path, limit, quota):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{limit}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_quota(tmp_path) == quota


def test_a_container_gets_its_quota_and_at_least_one_core(tmp_path):
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text("20000 100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("broken\n")
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert default_threads() == usable_cores()
