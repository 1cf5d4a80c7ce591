"""Revocation through a real RabbitMQ, which is killed and started again under traffic (case 10)."""

from __future__ import annotations

import json
import struct
import threading

import pytest

from harness.credentials import mint
from harness.revoking import Guarded
from harness.services.broker import jms_map
from harness.waiting import wait_until


def _publish(broker, body, *, headers=None):
    broker.publish(body, headers=headers, topic="tokenRevocation")


def _settings(broker, more="", vhost=""):
    address = (
        f"amqp://guest:guest@client/{vhost}?brokerlist='tcp://127.0.0.1:1;tcp://127.0.0.1:{broker.port}?retries='5''"
    )
    return (
        "[tokenRevocationConfig.realtime]\nenableRealtimeMessageRetrieval = true\n"
        f'jmsConnectionProviderUrl = "{address}"\n{more}'
    )


def test_case_10_messages_of_every_form_take_effect_within_a_second(broker, gateway):
    guarded = Guarded(gateway, _settings(broker))
    guarded.hears_of(lambda token_id: _publish(broker, token_id.encode()))
    token = mint(jti=None)
    forms = {
        "map": (jms_map(revokedToken="map", ttl="3600"), None),
        "json": (json.dumps({"revokedToken": "json", "ttl": "3600", "tenant": "carbon.super"}).encode(), None),
        "list": (json.dumps([{"jti": "list"}, {"jti": "more"}]).encode(), None),
        "fields": (b"", {"revokedToken": "fields", "ttl": "3600"}),
        "bare": (b"bare", None),
    }
    for token_id, (body, headers) in forms.items():
        _publish(broker, body, headers=headers)
        assert guarded.refuses_soon(mint(jti=token_id)) < 1.0, token_id
    assert guarded.stands(token)
    _publish(broker, jms_map(revokedToken=token, ttl="3600"))
    assert guarded.refuses_soon(token) < 1.0


def test_hostile_messages_are_passed_over(broker, gateway):
    guarded = Guarded(gateway, _settings(broker))
    guarded.hears_of(lambda token_id: _publish(broker, token_id.encode()))
    before = _misread(guarded)
    hostile = [
        *(
            b"{",
            b"[" * 100_000,
            b'{"jti": {"a": 1}}',
            b'{"revokedToken": null}',
            b"[1, 2]",
            b"x" * 70_000,
            b"{" * 1_000,
        ),
        *(struct.pack(">i", 60), struct.pack(">i", 1) + b"a\0\x63", struct.pack(">i", 1) + b"a" * 1_000, b"\0"),
        *(jms_map(), jms_map(ttl="1"), jms_map(revokedToken="x", ttl="soon")),
    ]
    for body in hostile:
        _publish(broker, body)
    guarded.hears_of(lambda token_id: _publish(broker, token_id.encode()))
    assert _misread(guarded) - before == len(hostile) + 1  # two in one list
    assert guarded.stands(mint())
    assert "Traceback" not in guarded.gateway.output
    assert "failed" not in guarded.gateway.output


def _misread(guarded):
    (line,) = [
        line for line in guarded.gateway.metrics().splitlines() if line.startswith("microgate_revocations_misread")
    ]
    return int(line.split()[1])


def test_a_durable_queue_keeps_what_the_gateway_missed(broker, gateway):
    settings = _settings(broker, 'queue = "gateway-1"\n')
    first = Guarded(gateway, settings)
    first.hears_of(lambda token_id: _publish(broker, token_id.encode()))
    first.gateway.stop()
    _publish(broker, b"meanwhile")
    second = Guarded(gateway, settings)
    second.refuses_soon(mint(jti="meanwhile"))


def test_a_broker_that_dies_under_traffic_costs_no_request(broker, gateway):
    guarded = Guarded(gateway, _settings(broker, vhost="%2F"))
    guarded.hears_of(lambda token_id: _publish(broker, token_id.encode()))
    revoked, other = mint(jti="before"), mint(jti="other")
    _publish(broker, b"before")
    guarded.refuses_soon(revoked)
    seen, over = [], threading.Event()

    def call():
        while not over.is_set():
            seen.append((guarded.statuses(other, 1), guarded.statuses(revoked, 1)))

    caller = threading.Thread(target=call)
    caller.start()
    try:
        broker.kill()
        wait_until(lambda: "broker of revocations cannot be had" in guarded.gateway.output, "the outage is told")
        broker.start()
        guarded.hears_of(lambda token_id: _publish(broker, token_id.encode()), seconds=30)
    finally:
        over.set()
        caller.join()
    assert len(seen) > 50
    assert set(map(str, seen)) == {"({200}, {401})"}
    assert "the broker of revocations is there" in guarded.gateway.output
    # The first of the list, and the death.
    assert guarded.gateway.output.count("broker of revocations cannot be had") == 2
    assert "guest:guest" not in guarded.gateway.output


@pytest.mark.parametrize(
    "address", ["http://a", "amqp:///x", "amqp://a:b@c/d?brokerlist='tcp://:5672'", "amqp://a:b@c:port/", "carbon"]
)
def test_an_address_that_is_none_stops_the_start(gateway, address):
    settings = f'[realtime]\nenableRealtimeMessageRetrieval = true\njmsConnectionProviderUrl = "{address}"\n'
    with pytest.raises(AssertionError, match="jmsConnectionProviderUrl` is no address of a broker"):
        Guarded(gateway, settings.replace("[realtime]", "[tokenRevocationConfig.realtime]"))
