"""Addresses of brokers, in the form of 3.x and as URLs."""

from __future__ import annotations

import pytest

from microgate.errors import SettingsError
from microgate.runtime.messaging.addresses import addresses

KEY = "the.key"


@pytest.mark.parametrize(
    ("url", "user", "expected"),
    [
        ("amqp://a:b@h", ("", ""), ["amqp://a:b@h:5672/%2F?heartbeat=5"]),
        ("amqps://a:b@h:1/v", ("", ""), ["amqps://a:b@h:1/v?heartbeat=5"]),
        ("amqp://a:b@h:1/%2Fx", ("c", "d@"), ["amqp://c:d%40@h:1/%2Fx?heartbeat=5"]),
        (
            "amqp://a:p%40s@carbon/carbon?brokerlist='tcp://h:5672'",
            ("", ""),
            ["amqp://a:p%40s@h:5672/carbon?heartbeat=5"],
        ),
        (
            "amqp://a:b@c/v?failover='roundrobin'&brokerlist='tcp://h:1?retries='5';tcp://[::1]:2?ssl='true''",
            ("", ""),
            ["amqp://a:b@h:1/v?heartbeat=5", "amqps://a:b@[::1]:2/v?heartbeat=5"],
        ),
        ("amqp://h", ("", ""), ["amqp://guest:guest@h:5672/%2F?heartbeat=5"]),
    ],
)
def test_addresses_of_brokers(url, user, expected):
    assert [address.text for address in addresses(KEY, url, *user)] == expected


@pytest.mark.parametrize(
    "url", ["", "h", "http://h", "amqp://", "amqp://a:b@h:x/", "amqp://a:b@c/v?brokerlist='tcp://'"]
)
def test_an_address_that_is_none_says_how_it_is_written(url):
    with pytest.raises(SettingsError, match="is no address of a broker") as failed:
        addresses(KEY, url)
    assert "brokerlist" in (failed.value.hint or "")
