"""Conditions of a traffic manager: what they say, for whom they hold, and what cannot be read."""

from __future__ import annotations

import base64
import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.plan.model import Allowance, Condition, ConditionGroup
from microgate.runtime.throttling.choosing import conditions
from microgate.runtime.throttling.choosing.condition_messages import ConditionReader, parse


def encoded(value, *, padded=False):
    text = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    return text if padded else text.rstrip("=")


def number(address):
    return int(ipaddress.ip_address(address))


def holds(items, exchange):
    """Whether one of the alternatives does."""
    return conditions.compile(tuple(ConditionGroup("x", item, Allowance()) for item in items))(exchange) >= 0


IP = {"ipspecific": {"specificIp": number("10.0.0.5"), "invert": False}}
RANGE = {"iprange": {"startingIp": number("10.0.0.1"), "endingIp": number("10.0.0.5"), "invert": False}}
BOT = {"header": {"invert": False, "values": {"User-Agent": "bot"}}}

READ = [
    ([], ()),
    ([IP], ((Condition("address", networks=("10.0.0.5",)),),)),
    (
        [{"ipspecific": {"specificIp": str(number("2001:db8::1"))}}],
        ((Condition("address", networks=("2001:db8::1",)),),),
    ),
    ([RANGE], ((Condition("address", networks=("10.0.0.2-10.0.0.4",)),),)),
    (
        [{"iprange": {"startingIp": number("10.0.0.1"), "endingIp": number("10.0.0.2"), "invert": True}}],
        ((Condition("address", invert=True),),),
    ),
    ([BOT], ((Condition("header", "user-agent", "bot"),),)),
    (
        [{"queryparametertype": {"invert": "true", "values": {"v": "^2$"}}}],
        ((Condition("query", "v", "^2$", invert=True),),),
    ),
    (
        [{"jwtclaims": {"values": {"http://wso2.org/claims/role": "admin"}}}],
        ((Condition("claim", "http://wso2.org/claims/role", "admin"),),),
    ),
    (
        [{**IP, **BOT}, RANGE],
        (
            (Condition("address", networks=("10.0.0.5",)), Condition("header", "user-agent", "bot")),
            (Condition("address", networks=("10.0.0.2-10.0.0.4",)),),
        ),
    ),
    (
        [{"header": {"invert": True, "values": {"A": "1", "B": "2"}}}],
        ((Condition("header", "a", "1", invert=True),), (Condition("header", "b", "2", invert=True),)),
    ),
    ([{"header": None, **IP}], ((Condition("address", networks=("10.0.0.5",)),),)),
    ([{}], ()),
]

UNREADABLE = [
    ("", "not JSON in base64url"),
    ("%%%", "not JSON in base64url"),
    ("ä" * 8, "not JSON in base64url"),
    (base64.urlsafe_b64encode(b"\xff\xfe").decode(), "not JSON in base64url"),
    (base64.urlsafe_b64encode(b"[" * 20_000).decode(), "not JSON in base64url"),
    ("W" * 65_537, "longer than"),
    (encoded({}), "no list"),
    (encoded(7), "no list"),
    (encoded(["x"]), "an item is no object"),
    (encoded([{"header": "x"}]), "a part of an item is no object"),
    (encoded([{"unknown": {}}]), "nobody knows"),
    (encoded([{"header": {}}]), "`values`"),
    (encoded([{"header": {"values": {}}}]), "`values`"),
    (encoded([{"header": {"values": {f"h{one}": "x" for one in range(33)}}}]), "`values`"),
    (encoded([{"header": {"values": {"a": 7}}}]), "no pattern"),
    (encoded([{"header": {"values": {"a": "("}}}]), "no pattern"),
    (encoded([{"header": {"values": {"a": "(?=x)"}}}]), "no pattern"),
    (encoded([{"header": {"values": {"": "x"}}}]), "no pattern"),
    (encoded([{"header": {"values": {"a": "x"}, "invert": 1}}]), "`invert`"),
    (encoded([{"ipspecific": {}}]), "an address is none"),
    (encoded([{"ipspecific": {"specificIp": "x"}}]), "an address is none"),
    (encoded([{"ipspecific": {"specificIp": -1}}]), "an address is none"),
    (encoded([{"ipspecific": {"specificIp": 1 << 128}}]), "an address is none"),
    (encoded([{"ipspecific": {"specificIp": "9" * 5_000}}]), "an address is none"),
    (encoded([{"ipspecific": {"specificIp": True}}]), "an address is none"),
    (encoded([{"ipspecific": {"specificIp": 1.5}}]), "an address is none"),
    (encoded([{"iprange": {"startingIp": 5, "endingIp": 5}}]), "ends before"),
    (encoded([{"iprange": {"startingIp": 5, "endingIp": 1 << 40}}]), "begins with IPv4"),
    (encoded([{"ipspecific": {"specificIp": 5}}] * 1_001), "more than 1000"),
    (encoded([BOT] * 129), "more than 128 parts"),
    (
        encoded(
            [
                {
                    kind: {"invert": True, "values": {f"n{one}": "x" for one in range(32)}}
                    for kind in ("header", "queryparametertype", "jwtclaims")
                }
            ]
        ),
        "more than 1000",
    ),
]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("said", "items"), READ)
def test_what_a_message_says(said, items, padded):
    assert parse(encoded(said, padded=padded)) == items


@pytest.mark.parametrize(("text", "why"), UNREADABLE)
def test_what_cannot_be_read_is_counted_and_told(text, why, caplog):
    counted = []
    assert ConditionReader(counted.append).read(text) is None
    assert counted == [1]
    [record] = caplog.records
    assert record.message.startswith("1 conditions of the traffic manager cannot be read: ")
    assert why in record.message
    assert len(record.message) < 200


def test_a_flood_of_bad_messages_is_one_line(caplog):
    counted = []
    reader = ConditionReader(counted.append)
    for _ in range(1_000):
        assert reader.read("nonsense!") is None
    assert sum(counted) == 1_000
    assert len(caplog.records) == 1
    assert reader.read(encoded([BOT])) is not None


@pytest.mark.parametrize(
    ("client", "expected"),
    [("10.0.0.1", False), ("10.0.0.2", True), ("10.0.0.4", True), ("10.0.0.5", False), ("2001:db8::1", False)],
)
def test_the_bounds_of_a_range_do_not_belong_to_it(client, expected, exchange_of):
    assert holds(parse(encoded([RANGE])), exchange_of(client=client)) == expected
    turned = {"iprange": {**RANGE["iprange"], "invert": True}}
    assert holds(parse(encoded([turned])), exchange_of(client=client)) != expected


def test_inverted_names_mean_that_not_all_match(exchange_of):
    items = parse(encoded([{"header": {"invert": True, "values": {"A": "1", "B": "2"}}}]))
    requests = [[b"A: 1", b"B: 2"], [b"A: 1"], [b"B: 2"], [b"A: 1", b"B: 3"], []]
    assert [holds(items, exchange_of(*lines)) for lines in requests] == [False, True, True, True, True]


def test_all_of_an_item_and_any_of_the_items(exchange_of):
    items = parse(encoded([{**IP, **BOT}, {"jwtclaims": {"values": {"plan": "gold"}}}]))
    bot = b"User-Agent: bot"
    assert holds(items, exchange_of(bot, client="10.0.0.5"))
    assert not holds(items, exchange_of(bot))
    assert not holds(items, exchange_of(client="10.0.0.5"))
    assert holds(items, exchange_of(claims={"plan": "gold"}))


def test_what_is_not_enabled_is_not_looked_at():
    only = (Condition("address", networks=("10.0.0.5",)),)
    assert parse(encoded([{**IP, **BOT}]), frozenset()) == (only,)
    assert parse(encoded([BOT]), frozenset({"query"})) == ()
    assert parse(encoded([BOT]), frozenset({"header"})) != ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["header", "iprange", "ipspecific", "jwtclaims", "values", "invert", "specificIp", "startingIp"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.text(max_size=40) | _JSON.map(encoded) | st.lists(_JSON, max_size=3).map(encoded))
def test_nothing_that_is_sent_raises(text):
    found = ConditionReader(lambda _: None).read(text)
    if found is not None:
        conditions.compile(tuple(ConditionGroup("x", item, Allowance()) for item in found))
