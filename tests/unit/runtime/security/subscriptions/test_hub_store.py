"""What the event hub says, in the order and the shapes in which it may say it."""

from __future__ import annotations

import pytest

from microgate.runtime.security.subscriptions.hub_store import HubStore

TITLE = "Shop: über & co."


def _store():
    store = HubStore()
    _fill(store)
    return store


def _fill(store):
    store.add("application-key-mappings", [{"appId": 1, "consumerKey": "web", "keyType": "SANDBOX"}])
    store.add("applications", [{"id": 1, "uuid": "u-1", "name": "Web", "subName": "alice", "policy": "Large"}])
    store.add("apis", [{"apiId": 5, "provider": "bob", "name": TITLE, "version": "1.0.0"}])
    store.add("subscriptions", [_subscription("UNBLOCKED", 10)])


def _subscription(state, timestamp=0):
    return {"apiId": 5, "appId": 1, "policyId": "Gold", "subscriptionState": state, "timeStamp": timestamp}


def _state(store, key="web"):
    record = store.record(key, TITLE, "1.0.0")
    return None if record is None else record.state


def test_one_thing_leads_to_the_next():
    record = _store().record("web", TITLE, "1.0.0")
    assert tuple(record.application) == ("Web", "1", "u-1", "alice", "Large")
    assert (record.key_type, record.tier, record.publisher, record.state) == ("SANDBOX", "Gold", "bob", "UNBLOCKED")


def test_titles_are_the_same_however_their_characters_are_composed():
    assert _store().record("web", "Shop: u\u0308ber & co. ", "1.0.0").state == "UNBLOCKED"


@pytest.mark.parametrize(("key", "title", "version"), [("", TITLE, "1.0.0"), ("other", TITLE, "1.0.0")])
def test_a_key_of_nobody(key, title, version):
    assert _store().record(key, title, version) is None


@pytest.mark.parametrize(("title", "version"), [("Shop", "1.0.0"), (TITLE, "2.0.0")])
def test_a_key_without_a_subscription(title, version):
    assert _store().record("web", title, version).state == ""


def test_swapped_notifications_do_not_bring_an_old_state_back():
    store = _store()
    event = {"applicationId": 1, "apiId": 5, "policyId": "Gold"}
    assert store.apply("SUBSCRIPTIONS_UPDATE", 30, event | {"subscriptionState": "BLOCKED"})
    assert not store.apply("SUBSCRIPTIONS_UPDATE", 20, event | {"subscriptionState": "UNBLOCKED"})
    assert _state(store) == "BLOCKED"
    assert not store.apply("SUBSCRIPTIONS_DELETE", 25, event)
    assert _state(store) == "BLOCKED"
    assert store.apply("SUBSCRIPTIONS_DELETE", 31, event)
    assert _state(store) == ""
    assert not store.apply("SUBSCRIPTIONS_CREATE", 29, event | {"subscriptionState": "UNBLOCKED"})
    assert _state(store) == ""
    # What the hub lists is newer than all that it told before; what comes late is still late.
    fresh = store.successor()
    _fill(fresh)
    assert _state(fresh) == "UNBLOCKED"
    assert not fresh.apply("SUBSCRIPTIONS_UPDATE", 30, event | {"subscriptionState": "BLOCKED"})
    assert fresh.apply("SUBSCRIPTIONS_UPDATE", 32, event | {"subscriptionState": "BLOCKED"})
    assert _state(fresh) == "BLOCKED"


def test_notifications_of_applications_and_apis():
    store = _store()
    assert store.apply(
        "APPLICATION_UPDATE", 1, {"applicationId": 1, "applicationName": "Net", "applicationPolicy": "S"}
    )
    assert tuple(store.record("web", TITLE, "1.0.0").application) == ("Net", "1", "", "alice", "S")
    assert store.apply("APPLICATION_REGISTRATION_CREATE", 1, {"applicationId": 1, "consumerKey": "web-2"})
    assert store.record("web-2", TITLE, "1.0.0").key_type == "PRODUCTION"
    assert store.apply("API_CREATE", 1, {"apiId": 6, "apiName": "New", "apiVersion": "1", "apiProvider": "eve"})
    assert store.api_id("New", "1") == "6"
    assert store.apply("APPLICATION_DELETE", 1, {"applicationId": 1})
    assert _state(store) is None
    assert not store.apply("POLICY_CREATE", 1, {})
    assert not store.apply("APPLICATION_UPDATE", 1, {"applicationName": "of nobody"})
    assert store.apply("API_DELETE", 1, {"apiId": 6})
    assert store.api_id("New", "1") == ""


def test_a_deleted_application_comes_back_with_a_newer_word_alone():
    store = _store()
    event = {"applicationId": 1, "applicationName": "Web"}
    assert store.apply("APPLICATION_DELETE", 20, event)
    assert not store.apply("APPLICATION_UPDATE", 19, event)
    assert _state(store) is None
    assert store.apply("APPLICATION_CREATE", 21, event)
    assert _state(store) == "UNBLOCKED"


@pytest.mark.parametrize("when", [True, "soon", "9" * 30, 1e300, -5, None, [7]])
def test_a_time_that_is_none_stops_no_later_news(when):
    store = _store()
    event = {"applicationId": 1, "apiId": 5, "policyId": "Gold", "timeStamp": when}
    store.apply("SUBSCRIPTIONS_UPDATE", 30, event | {"subscriptionState": "ON_HOLD"})
    assert store.apply("SUBSCRIPTIONS_UPDATE", 31, event | {"subscriptionState": "BLOCKED"})
    assert _state(store) == "BLOCKED"


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"consumerKey": ["x"], "appId": 1, "id": {}, "apiId": None, "name": 5},
        {"consumerKey": True, "applicationId": True, "id": True, "apiId": True, "name": True, "timeStamp": "soon"},
        {"appId": 1, "apiId": 5, "timeStamp": [], "subscriptionState": {"a": 1}},
    ],
)
def test_items_of_any_shape_do_no_harm(item):
    store = _store()
    for kind in ("application-key-mappings", "applications", "apis", "subscriptions"):
        store.add(kind, [item])
    assert store.record("web", TITLE, "1.0.0") is not None
