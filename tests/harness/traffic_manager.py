"""A traffic manager for tests: lists and a receiver of events as scripts of the recording backend, a topic in a broker."""

from __future__ import annotations

import base64
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

from harness.services.broker import jms_map
from harness.waiting import wait_until

if TYPE_CHECKING:
    import threading

    from harness.backend import Backend, Talk
    from harness.process import GatewayProcess
    from harness.services.broker import Broker

TOPIC = "throttleData"
LOGIN = "tm:s3cret-of-tm"


class TrafficManager:
    """`settings` names it to a gateway; `events` are the payloads that it was told."""

    def __init__(self, backend: Backend, broker: Broker, *, more: str = "", binary: str = "false") -> None:
        self.broker = broker
        self.events: list[dict[str, Any]] = []
        self.logins: set[str | None] = set()
        self.asked: list[str] = []
        self.templates: Any = []
        self.blocks: Any = {}
        self.lists_status = "200 OK"
        self.events_status = "200 OK"
        self.hangs: threading.Event | None = None
        self.times = itertools.count(1_700_000_000_000)
        backend.scripts["/tm/data/keyTemplates"] = self._lists
        backend.scripts["/tm/data/block"] = self._lists
        backend.scripts["/tm/endpoints/throttleEventReceiver"] = self._receive
        self.settings = f"""
[throttlingConfig]
enabledGlobalTMEventPublishing = true
jmsConnectionProviderUrl = "amqp://guest:guest@client/?brokerlist='tcp://127.0.0.1:{broker.port}'"
throttleEndpointUrl = "{backend.url}/tm/endpoints"
throttleEndpointbase64Header = "{LOGIN}"
{more}
[throttlingConfig.dataRetriever]
serverUrl = "{backend.url}/tm/data"
username = "tm"
password = "s3cret-of-tm"
[throttlingConfig.binary]
enabled = {binary}
"""

    def _lists(self, talk: Talk) -> None:
        self.logins.add(talk.request.header("authorization"))
        name = talk.request.target.rpartition("/")[2]
        self.asked.append(name)
        found = self.templates if name == "keyTemplates" else self.blocks
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        talk.send(f"HTTP/1.1 {self.lists_status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def _receive(self, talk: Talk) -> None:
        body = talk.read_body()
        self.logins.add(talk.request.header("authorization"))
        if self.hangs is not None:
            talk.wait(self.hangs)
            talk.close()
            return
        self.events.append(json.loads(body)["event"]["payloadData"])
        talk.send(f"HTTP/1.1 {self.events_status}\r\nContent-Length: 0\r\n\r\n".encode())

    # What it says.

    def say(self, **members: str | int | bool) -> None:
        self.broker.publish(jms_map(**members), topic=TOPIC)

    def throttle(self, key: str, *, seconds: float = 60.0, conditions: object = None) -> None:
        said: dict[str, str | int | bool] = {
            "throttleKey": key,
            "isThrottled": True,
            "expiryTimeStamp": int((time.time() + seconds) * 1000),
        }
        if conditions is not None:
            said["evaluatedConditions"] = base64.urlsafe_b64encode(json.dumps(conditions).encode()).decode()
        self.say(**said)

    def release(self, key: str) -> None:
        self.say(throttleKey=key, isThrottled=False, expiryTimeStamp=int(time.time() * 1000))

    def template(self, text: str, state: str, *, when: int | None = None) -> None:
        timestamp = next(self.times) if when is None else when
        self.say(keyTemplateValue=text, keyTemplateState=state, timestamp=timestamp)

    def block(self, kind: str, value: object, state: str = "true", **more: str | int) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.say(blockingCondition=kind, conditionValue=text, state=state, **more)

    def is_heard(self, gateway: GatewayProcess) -> None:
        """Wait until the gateway hears the topic and has the lists."""
        wait_until(lambda: "the traffic manager's broker is there" in gateway.output, "the topic is followed")
        wait_until(lambda: "key templates and blocks of the traffic manager are there" in gateway.output, "lists come")
