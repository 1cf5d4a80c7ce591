"""Hints name what was meant, or nothing."""

from __future__ import annotations

import time

import pytest

from microgate.toolkit.nearest import did_you_mean, nearest
from microgate.toolkit.openapi.extensions import KEYS


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("x-wso2-throtling-tier", "x-wso2-throttling-tier"),
        ("x-wso2-basepath", "x-wso2-basePath"),
        ("X-WSO2-OWNER", "x-wso2-owner"),
        ("x-wso2-production-endpoint", "x-wso2-production-endpoints"),
        ("x-wso2-disable-securtiy", "x-wso2-disable-security"),
        ("x-microgate-timeout", "x-microgate-timeouts"),
        ("x-wso2-something-else-altogether", ""),
        ("", ""),
    ],
)
def test_the_nearest_extension(written, meant):
    assert nearest(written, KEYS) == meant


def test_a_hint_falls_back():
    assert did_you_mean("oauht", ["oauth"]) == "did you mean `oauth`?"
    assert did_you_mean("zzz", ["oauth"], "otherwise") == "otherwise"


def test_long_names_are_no_burden():
    started = time.process_time()
    for number in range(1000):
        nearest(f"{number}" + "x" * 100_000, KEYS)
    assert time.process_time() - started < 2
