"""Rules of a traffic manager: what is understood of its words, in which order they count, and how much of them there may be."""

from __future__ import annotations

import pytest

from microgate.runtime.throttling.traffic_manager import memory, rules
from microgate.runtime.throttling.traffic_manager.messages import Blocked, Decision, Template
from microgate.runtime.throttling.traffic_manager.rules import Rules, Written, read


def blocks(kept):
    return [
        (one.block.kind, one.block.value or one.block.networks[0], one.tenant) for one in read(kept.encode()).blocks
    ]


@pytest.mark.parametrize(
    ("kind", "value", "block"),
    [
        ("API", "/shop", ("api", "/shop", "")),
        ("USER", "alice", ("user", "alice", "")),
        ("APPLICATION", "admin:Web", ("application", "admin:Web", "")),
        ("IP", '{"fixedIp": "192.0.2.1", "invert": false}', ("address", "192.0.2.1", "carbon.super")),
        ("IP", "192.0.2.1", ("address", "192.0.2.1", "carbon.super")),
        ("IP", '{"fixedIp": 3221225985}', ("address", "192.0.2.1", "carbon.super")),
        ("IPRANGE", '{"startingIp": "::1", "endingIp": "::9"}', ("address", "::1-::9", "carbon.super")),
    ],
)
def test_blocks_are_set_and_lifted(kind, value, block):
    kept = Rules(Written())
    assert kept.block(Blocked(kind, value, active=True, identity="", tenant="")) is True
    assert blocks(kept) == [block]
    assert kept.block(Blocked(kind, value, active=False, identity="", tenant="")) is True
    assert blocks(kept) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("PLANET", "earth"),
        ("IP", "{}"),
        ("IP", "[" * 1_000),
        ("IP", '{"fixedIp": true}'),
        ("IP", '{"fixedIp": "' + "1" * 100 + '"}'),
        ("IPRANGE", '{"startingIp": "::1"}'),
        ("IPRANGE", '{"startingIp": "::9", "endingIp": "::1"}'),
        ("IPRANGE", '{"startingIp": "192.0.2.1", "endingIp": "::1"}'),
        ("USER", "x" * 5_000),
    ],
)
def test_blocks_that_nobody_understands_change_nothing(kind, value):
    kept = Rules(Written())
    assert kept.block(Blocked(kind, value, active=True, identity="1", tenant="")) is None
    assert blocks(kept) == []


def test_a_block_with_a_known_id_takes_the_place_of_the_one_before():
    kept = Rules(Written())
    for address in ("192.0.2.1", "192.0.2.2"):
        kept.block(Blocked("IP", f'{{"fixedIp": "{address}"}}', active=True, identity="7", tenant=""))
    assert blocks(kept) == [("address", "192.0.2.2", "carbon.super")]
    kept = Rules(read(kept.encode()))
    kept.block(Blocked("IP", '{"fixedIp": "203.0.113.9"}', active=False, identity="7", tenant=""))
    assert blocks(kept) == []


def test_the_later_word_on_a_template_counts():
    kept = Rules(Written())

    def templates():
        return {text for text, (added, _) in read(kept.encode()).templates.items() if added}

    kept.template(Template("a", added=True, timestamp=5))
    kept.template(Template("a", added=False, timestamp=4))
    assert templates() == {"a"}
    kept.template(Template("a", added=False, timestamp=6))
    kept.template(Template("a", added=True, timestamp=5))
    assert templates() == set()
    assert kept.take_templates(["a", "b", 7, None, "", "x" * 9_999])
    kept.template(Template("a", added=False, timestamp=5))
    assert templates() == {"a", "b"}
    kept.take_templates(["b"])
    kept.template(Template("a", added=True, timestamp=5))
    assert templates() == {"b"}


def test_everything_together_has_room_in_memory():
    kept = Rules(Written())
    texts = [f"$userId{number}" + "ü" * 400 for number in range(5_000)]
    assert not kept.take_templates(texts)
    assert not all(
        kept.block(Blocked("USER", f"{number}" + "ü" * 300, active=True, identity=str(number), tenant=""))
        for number in range(20_000)
    )
    assert not all(
        kept.decide(Decision(f"/a:{number}_condition_1", throttled=True, until=1, conditions="x" * 5_000))
        for number in range(3_000)
    )
    assert memory.MAX_RULES_BYTES // 2 < len(kept.encode()) <= memory.MAX_RULES_BYTES
    before = read(kept.encode())
    assert Rules(before).encode() == kept.encode()
    assert kept.sweep(2)
    assert read(kept.encode()).groups == ()
    assert kept.decide(Decision("/a:1_default", throttled=True, until=9, conditions="")) is True


def test_what_another_version_wrote_is_nothing():
    assert read(b"garbage") == Written()
    assert read(b"") == Written()


@pytest.mark.parametrize(
    "key", ["1:alice_default", "/shop:1.0.0", "/shop:1.0.0_condition_", "/shop_condition_1", "x_default"]
)
def test_keys_without_a_group_are_none_of_a_group(key):
    assert Rules(Written()).decide(Decision(key, throttled=True, until=1, conditions="")) is None


def test_small_blocks_fill_the_list_and_no_more():
    kept = Rules(Written())
    listed, misread = kept.take_blocks(
        {"user": [str(number) for number in range(rules.MAX_BLOCKS + 1)], "ip": [{}, 1], "x": 1}
    )
    assert (listed, misread) == (False, 2)
    assert len(blocks(kept)) <= rules.MAX_BLOCKS
