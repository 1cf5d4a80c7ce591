"""Subscriptions at a running gateway: from the token, from the project, and from an event hub (weakness 22)."""

from __future__ import annotations

import json

import pytest

from harness.credentials import ISSUER, bearer, public_pem
from harness.descriptions import describe
from harness.waiting import wait_until

TITLE = "Shop: über & co."
API = describe(["/a"], base="/shop", secured=True, title=TITLE)
OTHER = describe(["/a"], base="/other", secured=True, title="Other")
REQUIRED = "[security]\nvalidateSubscriptions = true\n"


@pytest.mark.parametrize(
    ("settings", "statuses"),
    [
        ('[[security.api]]\nname = "Other"\n', (200, 403)),
        (f'{REQUIRED}[[security.api]]\nname = "{TITLE}"\nvalidateSubscriptions = false\n', (200, 403)),
        (
            f'{REQUIRED}[[security.api]]\nname = "{TITLE}"\nversion = "1.0.0"\nvalidateSubscriptions = false\n',
            (200, 403),
        ),
    ],
)
def test_an_api_may_have_it_otherwise(shared_pair, settings, statuses):
    pair = shared_pair((API, OTHER), settings)
    with pair.gateway.connect() as client:
        assert tuple(client.get(path, bearer()).status for path in ("/shop/a", "/other/a")) == statuses


@pytest.mark.parametrize("entry", ['name = "Othr"', 'name = "Other"\nversion = "2"'])
def test_case_9_an_answer_for_no_api_stops_the_start(gateway, entry):
    with pytest.raises(AssertionError, match="which is no API"):
        gateway(API, OTHER, settings=f"[[security.api]]\n{entry}\n")


SUBSCRIPTIONS = f"""\
applications:
  - name: Mobile
    productionKeys: [mobile]
    sandboxKeys: [mobile-test]
    subscriptions:
      - {{api: "{TITLE}", state: PROD_ONLY_BLOCKED}}
  - name: Web
    productionKeys: [web]
    subscriptions:
      - {{api: "{TITLE}", version: 1.0.0}}
  - name: Held
    productionKeys: [held]
    subscriptions:
      - {{api: "{TITLE}", state: ON_HOLD}}
  - name: Nothing
    productionKeys: [nothing]
blocked:
  consumerKeys: [stolen]
  callers: [mallory]
  applications: [Old]
"""


def _call(running, **claims):
    with running.connect() as client:
        answer = client.get("/shop/a", bearer(**claims))
        return answer.status, answer.fault


def _token(state="", **more):
    entry = {"name": TITLE, "version": "1.0.0", "subscriptionTier": "Gold"}
    return {"application": {"name": "App", "id": 7, "owner": "alice"}, "subscribedAPIs": [entry | more]}


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        (_token(), (200, None)),
        (_token(version="*"), (200, None)),
        (_token(name="Shop"), (403, 900908)),
        (_token(version="2"), (403, 900908)),
        ({"application": {"name": "App"}}, (403, 900908)),
        ({"application": {"name": "App"}, "subscribedAPIs": "all"}, (403, 900908)),
        ({"application": {"name": 7}, "subscribedAPIs": [None, 1, {"name": [TITLE]}]}, (403, 900908)),
        ({"aud": "somebody"}, (403, 900908)),
        ({}, (403, 900908)),
    ],
)
def test_a_token_names_what_its_application_subscribed_to(shared_pair, claims, outcome):
    pair = shared_pair((API,), REQUIRED)
    assert _call(pair.gateway, **claims) == outcome


def test_an_issuer_may_do_without(gateway, tmp_path):
    (tmp_path / "issuer.pem").write_bytes(public_pem())
    entry = f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{tmp_path}/issuer.pem"\n'
    running = gateway(API, settings=REQUIRED + entry + "validateSubscription = false\n")
    assert _call(running) == (200, None)


def test_an_issuer_may_demand_it_alone(gateway, tmp_path):
    (tmp_path / "issuer.pem").write_bytes(public_pem())
    entry = f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{tmp_path}/issuer.pem"\n'
    running = gateway(API, settings=entry + "validateSubscription = true\n")
    assert _call(running) == (403, 900908)


@pytest.fixture
def locked_down(gateway):
    """A gateway with the project's own subscriptions; nothing in the settings asks for them."""
    return gateway(API, OTHER, files={"subscriptions.yaml": SUBSCRIPTIONS})


def test_weakness_22_the_project_says_who_may_call(locked_down):
    expected = {
        "web": (200, None),
        "mobile": (401, 900907),
        "held": (401, 900909),
        "nothing": (403, 900908),
        "stranger": (403, 900908),
        "stolen": (401, 900907),
    }
    assert {key: _call(locked_down, aud=key) for key in expected} == expected
    # The sandbox of a production-only block stays open: what is missing is a sandbox endpoint, not the permission.
    assert _call(locked_down, aud="mobile-test") == (403, 900901)
    assert _call(locked_down, aud="web", sub="mallory") == (401, 900907)
    assert _call(locked_down, **(_token() | {"application": {"name": "Old"}})) == (401, 900907)
    with locked_down.connect() as client:
        assert client.get("/other/a", bearer(aud="web")).fault == 900908
        answer = client.get("/shop/a", bearer(aud="mobile"))
        assert answer.header("www-authenticate") == 'Bearer realm="microgate"'
    reasons = {line["reason"] for line in locked_down.log_lines(11)}
    assert {"auth.subscription.missing", "auth.subscription.blocked", "auth.subscription.consumer"} <= reasons


class Hub:
    """What an event hub lists, as a script of the recording backend."""

    def __init__(self):
        self.down = False
        self.state = "UNBLOCKED"
        self.lists = {
            "application-key-mappings": [
                {"applicationId": 1, "consumerKey": "web", "keyType": "PRODUCTION"},
                {"applicationId": 1, "consumerKey": "web-test", "keyType": "SANDBOX"},
            ],
            "applications": [{"id": 1, "uuid": "u-1", "name": "Web", "subName": "alice", "policy": "Large"}],
            "apis": [{"apiId": 5, "provider": "bob", "name": TITLE, "version": "1.0.0", "context": "/shop"}],
        }
        self.asked = []

    def __call__(self, talk):
        target = talk.request.target
        kind = target.rpartition("/")[2].partition("?")[0]
        self.asked.append(target)
        if self.down:
            talk.close()
            return
        found = self.lists.get(kind)
        if kind == "subscriptions":
            found = [{"subscriptionId": 1, "apiId": 5, "appId": 1, "policyId": "Gold", "subscriptionState": self.state}]
        body = json.dumps({"list": found}).encode()
        talk.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


def test_the_event_hub_says_who_may_call(gateway, backend):
    hub = Hub()
    for kind in ("application-key-mappings", "applications", "apis", "subscriptions"):
        backend.scripts[f"/hub/internal/data/v1/{kind}"] = hub
    settings = (
        f'{REQUIRED}[apim.eventHub]\nenable = true\nserviceUrl = "{backend.url}/hub"\nrefreshIntervalInMillis = 1000\n'
    )
    running = gateway(API, settings=settings)
    wait_until(lambda: any("subscriptions" in target for target in hub.asked), "the hub is asked")
    assert _call(running, aud="web") == (200, None)
    assert _call(running, aud="web-test") == (403, 900901)  # to the sandbox, which this API does not have
    assert _call(running, aud="stranger") == (403, 900908)
    assert any("consumerKey=stranger" in target for target in hub.asked)
    hub.state = "BLOCKED"
    wait_until(lambda: _call(running, aud="web") == (401, 900907), "the hub's news arrives")
    hub.down = True
    assert _call(running, aud="web") == (401, 900907)


def test_without_the_event_hub_strangers_are_answered_with_503(gateway, backend):
    settings = f'{REQUIRED}[apim.eventHub]\nenable = true\nserviceUrl = "http://127.0.0.1:9"\n'
    running = gateway(API, settings=settings)
    with running.connect() as client:
        answer = client.get("/shop/a", bearer(aud="web"))
    assert (answer.status, answer.fault) == (503, 900900)
    assert answer.header("retry-after")
