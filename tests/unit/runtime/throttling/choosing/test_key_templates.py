"""Key templates: who shares a key and who does not, requests without one, and values that were made to look like others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.plan.model import Api, Operation
from microgate.runtime.exchange import Consumer, Exchange
from microgate.runtime.throttling.choosing import key_templates

OPERATION = Operation("getPet", "GET", "/pet/{id}")
API = Api("api_1", "Pets", "1.0", "/pets", "pets.yaml", (OPERATION,), owner="ann@example.com")


def _key(template, exchange):
    return key_templates.link(template, API, OPERATION)(exchange)


def _text(template, exchange):
    return key_templates.link_text(template, API, OPERATION)(exchange)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$userId", "bob"),
        ("$userId:$apiContext:$apiVersion", "bob:/pets:1.0"),
        ("$resourceKey", "/pets/1.0/pet/{id}:GET"),
        ("$appTenant-$apiTenant", "shop.example-example.com"),
        ("$appId", "7"),
        ("$clientIp", "2001:db8::1"),
        ("$claim.plan/$claim.level", "gold/3"),
        ("$header.x-region", "eu"),
        ("$header.X-Region.$query.v", "eu.2"),
        ("$apiContext.json", "/pets.json"),
        ("all together", "all together"),
        ("$userId:$claim.missing", None),
        ("$header.x-none", None),
        ("$query.none", None),
        ("$userId:$customProperty.k", None),
    ],
)
def test_a_template_stands_for_text(template, text, exchange_of):
    exchange = exchange_of(
        b"X-Region: eu",
        target=b"/pets/pet/1?v=1&v=2",
        client="2001:db8::1",
        user="bob",
        claims={"plan": "gold", "level": 3},
        application={"id": "7", "name": "shop", "owner": "carl@shop.example"},
    )
    assert _text(template, exchange) == text
    assert (_key(template, exchange) is None) == (text is None)


@pytest.mark.parametrize("template", ["$userId", "$appId", "$appTenant", "$claim.plan"])
def test_strangers_have_no_key_of_their_caller(template, exchange_of):
    assert _key(template, exchange_of()) is None
    assert _key(template, exchange_of(claims={})) is None


def test_an_address_of_ipv6_is_what_one_customer_has(exchange_of):
    near, other, far = (exchange_of(client=client) for client in ("2001:db8::1", "2001:db8::2", "2001:db8:1::1"))
    assert _key("$clientIp", near) == _key("$clientIp", other) != _key("$clientIp", far)
    assert _key("$clientIp", exchange_of(client="unknown")) is not None  # a proxy's slip frees nobody


def test_what_is_fixed_tells_operations_apart(exchange_of):
    exchange = exchange_of()
    other = Operation("addPet", "POST", "/pet")
    assert _key("$resourceKey", exchange) != key_templates.link("$resourceKey", API, other)(exchange)
    assert _key("$header.a", exchange_of(b"A: 1")) != _key("$header.b", exchange_of(b"B: 1"))
    assert _key("$apiContext", exchange) == key_templates.link("$apiContext", API, other)(exchange)


# Values that begin, end and are filled with whatever the key itself is written with.
_HOSTILE = (
    st.text(alphabet="ab0123:~+$\0 ,-", max_size=12) | st.text(max_size=8) | st.integers(250, 262).map("x".__mul__)
)
_VALUES = st.lists(_HOSTILE, min_size=1, max_size=3)


@given(st.lists(_VALUES, min_size=3, max_size=3), st.lists(_VALUES, min_size=3, max_size=3))
def test_no_two_lists_of_values_have_one_key(one, other):
    keys = [_key("$claim.a:$claim.b$claim.c", _claiming(values)) for values in (one, other)]
    assert (keys[0] == keys[1]) == (_flat(one) == _flat(other))


def _claiming(values):
    exchange = Exchange(SimpleNamespace(peer="192.0.2.7", scheme="https"), "GET", b"/", [])
    exchange.consumer = Consumer("", "jwt")
    exchange.consumer.claims = dict(zip("abc", values, strict=True))
    return exchange


def _flat(values):
    return [tuple(one) for one in values]


@pytest.mark.parametrize("size", [10_000_000, 65_536, 257])
def test_a_long_value_makes_a_short_key(size, exchange_of):
    keys = {
        _key("$header.x:$header.x", exchange_of(b"X: " + unit * size, b"Y: 1")) for unit in (b"a", b"b", b"\xff", b"\0")
    }
    assert len(keys) == 4
    assert all(len(key) < 200 for key in keys)
    assert _text("$header.x", exchange_of(b"X: " + b"a" * size)) == ("a" * size if size <= 4_096 else None)


def test_many_values_make_a_short_key(exchange_of):
    exchange = exchange_of(*(b"X: %d" % number for number in range(10_000)), claims={"r": ["x" * 200] * 10_000})
    assert len(_key("$header.x$claim.r", exchange)) < 200


def test_invalid_text_is_a_value_like_others(exchange_of):
    keys = {
        _key("$header.x", exchange_of(b"X: \xff")),
        _key("$header.x", exchange_of(b"X: \xfe")),
        _key("$query.x", exchange_of(target=b"/?x=%FF")),
        _key("$userId", exchange_of(user="\ud800")),
        _key("$claim.x", exchange_of(claims={"x": "\udfff"})),
    }
    assert None not in keys
    assert len(keys) == 5
    assert _text("$header.x", exchange_of(b"X: \xff")) == "\ufffd"


def test_a_property_that_nothing_sets_is_told_once(exchange_of, caplog):
    for _ in range(3):
        assert _key("$customProperty.told-once", exchange_of()) is None
    assert [record.message for record in caplog.records] == [
        "a key template names `$customProperty.told-once`, which nothing sets: the policy limits nobody"
    ]
