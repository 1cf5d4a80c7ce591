"""Subscriptions at a running gateway: from the token, from the project, and from an event hub (weakness 22)."""

from __future__ import annotations

import pytest

from harness.credentials import ISSUER, bearer, public_pem
from harness.descriptions import describe
from harness.event_hub import EventHub
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


def test_the_event_hub_says_who_may_call(gateway, backend):
    hub = EventHub(backend, TITLE)
    running = gateway(API, settings=f"{REQUIRED}{hub.settings}refreshIntervalInMillis = 1000\n")
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


def test_a_list_of_many_megabytes_is_read_up_to_its_bound(gateway, backend):
    hub = EventHub(backend, TITLE)
    hub.lists["applications"] += [{"id": number, "name": "x" * 1_000} for number in range(2, 6_000)]
    hub.fails_on_lookups = True
    running = gateway(API, settings=REQUIRED + hub.settings)
    wait_until(lambda: "the event hub's data is there" in running.output, "the lists are read")
    assert _call(running, aud="web") == (200, None)
    small = gateway(API, settings=f"{REQUIRED}{hub.settings}maxListBytes = 1048576\n")
    wait_until(lambda: "the answer is larger than 1048576 bytes" in small.output, "the bound is told")
    assert _call(small, aud="web") == (503, 900900)
    hub.fails_on_lookups = False
    wait_until(lambda: _call(small, aud="web") == (200, None), "callers are asked for one by one")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"list": 1}', b'{"list": ["\xff", 1, {"appId": {}}]}', b'{"list": [' + b"[" * 90_000],
)
def test_what_a_hub_answers_that_is_none_lets_nobody_in(gateway, backend, body):
    hub = EventHub(backend, TITLE)
    hub.garbage = body
    running = gateway(API, settings=REQUIRED + hub.settings)
    assert _call(running, aud="web")[0] in (403, 503)
    hub.garbage = None
    assert "Traceback" not in running.output
