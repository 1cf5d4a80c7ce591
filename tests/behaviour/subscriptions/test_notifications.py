"""What an event hub tells through a real RabbitMQ: changes, swapped and broken messages, and a broker that dies."""

from __future__ import annotations

import base64
import itertools
import json
import time

import pytest

from harness.credentials import bearer, mint
from harness.descriptions import describe
from harness.event_hub import EventHub
from harness.services.broker import jms_map
from harness.waiting import wait_until

TITLE = "Shop"
API = describe(["/a"], base="/shop", secured=True, title=TITLE)
WORKERS = "[runtimeConfig]\nworkers = 2\n"
REQUIRED = "[security]\nvalidateSubscriptions = true\n"
SUBSCRIPTION = {"applicationId": 1, "apiId": 5, "policyId": "Gold"}
BEFORE = 1_700_000_000_000  # milliseconds since 1970


class Shop:
    """A gateway of two workers behind an event hub with a broker."""

    def __init__(self, start, backend, broker, more=""):
        self.hub = EventHub(backend, TITLE)
        self.broker = broker
        self.times = itertools.count(BEFORE)
        address = f"amqp://guest:guest@client/?brokerlist='tcp://127.0.0.1:{broker.port}'"
        settings = f'{WORKERS}{REQUIRED}{self.hub.settings}eventListeningEndpoints = "{address}"\n{more}'
        self.gateway = start(API, settings=settings)
        wait_until(lambda: self.gateway.output.count("the event hub's broker is there"), "the topic is followed")
        self.becomes("web", (200, None))

    def tells(self, event_type, event, *, when=None):
        text = base64.b64encode(json.dumps(event).encode()).decode()
        timestamp = next(self.times) if when is None else when
        self.publish(jms_map(eventType=event_type, timestamp=timestamp, event=text))

    def publish(self, body, headers=None):
        self.broker.publish(body, headers=headers, topic="notification")

    def answers(self, key):
        """Of several connections, so that each worker is among them."""
        found = set()
        for _ in range(8):
            with self.gateway.connect() as client:
                answer = client.get("/shop/a", bearer(aud=key))
                found.add((answer.status, answer.fault))
        return found

    def becomes(self, key, outcome, *, seconds=5.0):
        begun = time.monotonic()
        wait_until(lambda: self.answers(key) == {outcome}, f"{key} is answered {outcome}", seconds=seconds)
        return time.monotonic() - begun


def test_what_the_hub_tells_counts_within_a_second_on_all_workers(broker, gateway, backend):
    shop = Shop(gateway, backend, broker)
    lists = len([target for target in shop.hub.asked if "?" not in target])
    shop.tells("SUBSCRIPTIONS_UPDATE", SUBSCRIPTION | {"subscriptionState": "BLOCKED"})
    assert shop.becomes("web", (401, 900907)) < 1.0
    shop.tells("SUBSCRIPTIONS_UPDATE", SUBSCRIPTION | {"subscriptionState": "ON_HOLD"})
    assert shop.becomes("web", (401, 900909)) < 1.0
    shop.tells("SUBSCRIPTIONS_DELETE", SUBSCRIPTION)
    shop.hub.state = ""
    assert shop.becomes("web", (403, 900908)) < 1.0
    shop.tells("SUBSCRIPTIONS_CREATE", SUBSCRIPTION | {"subscriptionState": "UNBLOCKED"})
    assert shop.becomes("web", (200, None)) < 1.0
    assert shop.answers("app") == {(403, 900908)}
    shop.tells("APPLICATION_CREATE", {"applicationId": 2, "applicationName": "App"})
    shop.tells("APPLICATION_REGISTRATION_CREATE", {"applicationId": 2, "consumerKey": "app", "keyType": "PRODUCTION"})
    shop.tells("SUBSCRIPTIONS_CREATE", SUBSCRIPTION | {"applicationId": 2, "subscriptionState": "UNBLOCKED"})
    assert shop.becomes("app", (200, None)) < 1.0
    shop.tells("APPLICATION_DELETE", {"applicationId": 2})
    assert shop.becomes("app", (403, 900908)) < 1.0
    assert shop.answers("web") == {(200, None)}
    assert len([target for target in shop.hub.asked if "?" not in target]) == lists  # nothing was polled


def test_messages_out_of_order_and_of_other_forms(broker, gateway, backend):
    shop = Shop(gateway, backend, broker)
    blocked, open_ = ({"subscriptionState": state} | SUBSCRIPTION for state in ("BLOCKED", "UNBLOCKED"))
    shop.tells("SUBSCRIPTIONS_UPDATE", blocked, when=BEFORE + 100)
    shop.becomes("web", (401, 900907))
    shop.tells("SUBSCRIPTIONS_UPDATE", open_, when=BEFORE + 50)
    shop.tells("SUBSCRIPTIONS_DELETE", SUBSCRIPTION, when=BEFORE + 60)
    shop.tells("APPLICATION_REGISTRATION_CREATE", {"applicationId": 1, "consumerKey": "mark-1"})
    shop.becomes("mark-1", (401, 900907))
    assert shop.answers("web") == {(401, 900907)}
    said = {"eventType": "SUBSCRIPTIONS_UPDATE", "timestamp": BEFORE + 101, "event": open_}
    shop.publish(json.dumps(said).encode())
    shop.becomes("web", (200, None))
    text = base64.b64encode(json.dumps(blocked).encode()).decode()
    shop.publish(b"", {"eventType": "SUBSCRIPTIONS_UPDATE", "timestamp": str(BEFORE + 102), "event": text})
    shop.becomes("web", (401, 900907))


def test_garbage_costs_one_line_and_nobody(broker, gateway, backend):
    shop = Shop(gateway, backend, broker)
    update = "SUBSCRIPTIONS_UPDATE"
    garbage = [
        *(b"", b"{", b"[]", b"\xff\xfe", b"\0", b"x" * 70_000, b"[" * 100_000, b'{"eventType": 1}', jms_map()),
        jms_map(eventType=update, timestamp="soon", event="no base64!"),
        jms_map(eventType=update, timestamp=1, event=base64.b64encode(b"{").decode()),
        jms_map(eventType=update, timestamp=1, event=base64.b64encode(b"[" * 50_000).decode()),
        jms_map(eventType=update, timestamp=1),
        json.dumps({"eventType": update, "event": {"applicationId": {}, "apiId": None}}).encode(),
        json.dumps({"eventType": "POLICY_DELETE", "event": {}}).encode(),
    ]
    for body in garbage:
        shop.publish(body)
    shop.tells(update, SUBSCRIPTION | {"subscriptionState": "BLOCKED"})
    shop.becomes("web", (401, 900907))
    assert shop.gateway.output.count("at the event hub's topic `notification` cannot be read") == 1
    assert "Traceback" not in shop.gateway.output
    assert "failed" not in shop.gateway.output


def test_a_broker_that_dies_and_comes_back_has_everything_fetched_anew(broker, gateway, backend):
    shop = Shop(gateway, backend, broker)
    broker.kill()
    wait_until(lambda: "the event hub's broker cannot be had" in shop.gateway.output, "the outage is told")
    shop.hub.state = "BLOCKED"  # which nobody can tell
    assert shop.answers("web") == {(200, None)}
    broker.start()
    shop.becomes("web", (401, 900907), seconds=30)
    shop.tells("SUBSCRIPTIONS_UPDATE", SUBSCRIPTION | {"subscriptionState": "UNBLOCKED"})
    shop.becomes("web", (200, None))
    assert shop.gateway.output.count("the event hub's broker cannot be had") == 1
    assert "guest:guest" not in shop.gateway.output


def test_a_queue_that_is_deleted_is_made_again(broker, gateway, backend):
    shop = Shop(gateway, backend, broker)
    for name in broker.queues():
        broker.delete_queue(name)
    wait_until(lambda: "its queue was deleted" in shop.gateway.output, "the loss is noticed")
    wait_until(lambda: shop.gateway.output.count("the event hub's broker is there") == 2, "it is followed again")
    shop.tells("SUBSCRIPTIONS_UPDATE", SUBSCRIPTION | {"subscriptionState": "BLOCKED"})
    shop.becomes("web", (401, 900907))


def test_revocations_and_notifications_share_a_connection(broker, gateway, backend):
    wait_until(lambda: broker.connections() == 0, "nobody else is there", seconds=10)
    address = f"amqp://guest:guest@127.0.0.1:{broker.port}"
    realtime = "[tokenRevocationConfig.realtime]\nenableRealtimeMessageRetrieval = true\n"
    shop = Shop(gateway, backend, broker, f'{realtime}jmsConnectionProviderUrl = "{address}/"\n')
    wait_until(lambda: "the broker of revocations is there" in shop.gateway.output, "revocations are followed")
    assert broker.connections() == 1
    broker.publish(b"taken-back", topic="tokenRevocation")

    def is_refused():
        with shop.gateway.connect() as client:
            header = ("Authorization", f"Bearer {mint(jti='taken-back', aud='web')}")
            return client.get("/shop/a", header).fault == 900901

    wait_until(is_refused, "the revocation is heard")
    shop.tells("SUBSCRIPTIONS_UPDATE", SUBSCRIPTION | {"subscriptionState": "BLOCKED"})
    shop.becomes("web", (401, 900907))


@pytest.mark.parametrize("address", ["http://a", "amqp:///x", "carbon"])
def test_case_9_an_address_that_is_none_stops_the_start(gateway, address):
    settings = f'[apim.eventHub]\nenable = true\neventListeningEndpoints = "{address}"\n'
    with pytest.raises(AssertionError, match="eventListeningEndpoints` is no address of a broker"):
        gateway(API, settings=settings)
