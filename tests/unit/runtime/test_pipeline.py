"""The order of stages."""

from __future__ import annotations

from microgate.runtime import pipeline


def test_requests_are_validated_before_they_are_counted_where_the_old_order_is_asked_for():
    standard, old = pipeline.seats("standard"), pipeline.seats("wso2")
    assert standard == tuple(name for name, _ in pipeline.SEATS)
    assert standard.index("throttle") < standard.index("validate")
    assert old.index("validate") == old.index("throttle") - 1
    assert sorted(old) == sorted(standard)
