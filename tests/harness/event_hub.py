"""What an event hub lists, as a script of the recording backend: one application, its keys, one API, one subscription."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.backend import Backend, Talk

KINDS = ("application-key-mappings", "applications", "apis", "subscriptions")


class EventHub:
    """Consumer keys `web` and `web-test` of the application Web, with a subscription to the API of this title."""

    def __init__(self, backend: Backend, title: str) -> None:
        self.down = False
        self.fails_on_lookups = False
        self.garbage: bytes | None = None
        self.state = "UNBLOCKED"
        self.lists: dict[str, list[dict[str, Any]]] = {
            "application-key-mappings": [
                {"applicationId": 1, "consumerKey": "web", "keyType": "PRODUCTION"},
                {"applicationId": 1, "consumerKey": "web-test", "keyType": "SANDBOX"},
            ],
            "applications": [{"id": 1, "uuid": "u-1", "name": "Web", "subName": "alice", "policy": "Large"}],
            "apis": [{"apiId": 5, "provider": "bob", "name": title, "version": "1.0.0", "context": "/shop"}],
        }
        self.asked: list[str] = []
        for kind in KINDS:
            backend.scripts[f"/hub/internal/data/v1/{kind}"] = self
        self.settings = f'[apim.eventHub]\nenable = true\nserviceUrl = "{backend.url}/hub"\n'

    def __call__(self, talk: Talk) -> None:
        target = talk.request.target
        kind = target.rpartition("/")[2].partition("?")[0]
        self.asked.append(target)
        if self.down or (self.fails_on_lookups and "?" in target):
            talk.close()
            return
        body = (
            json.dumps({"list": self.listed(kind)[: 2 if "?" in target else None]}).encode()
            if self.garbage is None
            else self.garbage
        )
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        talk.send(head % len(body) + body)

    def listed(self, kind: str) -> list[dict[str, Any]]:
        if kind != "subscriptions":
            return self.lists[kind]
        if not self.state:
            return []
        return [{"subscriptionId": 1, "apiId": 5, "appId": 1, "policyId": "Gold", "subscriptionState": self.state}]
