"""What keys are bound to: pages with wildcards, addresses, APIs; and the targets that they are taken out of."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from microgate.plan.model import KeyPlace
from microgate.runtime.security.api_keys import key_records
from microgate.runtime.security.api_keys.key_holders import KeyHolder, pairs_of, texts_of
from microgate.runtime.security.key_places import remover
from microgate.runtime.security.refusals import TokenError


def asks(client="192.0.2.7", referer=b""):
    return SimpleNamespace(client=client, values={b"referer": [referer] if referer else []}.get)


@pytest.mark.parametrize(
    ("pattern", "referer", "good"),
    [
        ("a.test/x", b"https://a.test/x", True),
        ("https://a.test/*", b"https://a.test/y", True),
        ("*.test/x", b"http://deep.a.test/x", True),
        ("a*b*c", b"aXbYc", True),
        ("a*b*c", b"acb", False),
        ("ab*ba", b"aba", False),
        ("a.test", b"https://a.test.evil", False),
        ("a.test/x", b"", False),
        ("*", b"", False),
        ("*a" * 50 + "*b", b"a" * 8000, False),
    ],
)
def test_pages(pattern, referer, good):
    holder = KeyHolder("me")
    holder.bind(None, [pattern])
    if good:
        holder.check(asks(referer=referer))
    else:
        with pytest.raises(TokenError):
            holder.check(asks(referer=referer))


@pytest.mark.parametrize(
    ("network", "client", "good"),
    [
        ("192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.0/24", "::ffff:192.0.2.7", True),
        ("192.0.2.8", "192.0.2.7", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.0/120", "192.0.2.7", True),
        ("::ffff:192.0.2.8", "192.0.2.7", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "192.0.2.7", False),
        ("0.0.0.0/0", "unix", False),
    ],
)
def test_addresses(network, client, good):
    holder = KeyHolder("me")
    holder.bind([network], None)
    if good:
        holder.check(asks(client))
    else:
        with pytest.raises(TokenError):
            holder.check(asks(client))


@pytest.mark.parametrize("claim", ["x", {"name": "a"}, [1], [{"name": "a"}], [{"name": 1, "version": "1"}]])
def test_a_list_of_apis_that_cannot_be_read_is_refused(claim):
    with pytest.raises(TokenError):
        pairs_of(claim)


def test_lists_come_in_two_shapes():
    assert texts_of(None) is None
    assert texts_of("") is None
    assert texts_of([]) == texts_of(" , ") == []
    assert texts_of("a, b,,") == texts_of(["a", " b "]) == ["a", "b"]
    for claim in (1, [1], {"a": 1}):
        with pytest.raises(TokenError):
            texts_of(claim)


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (b"/a?key=1", b"/a"),
        (b"/a?x=%41&key=1&&y", b"/a?x=%41&&y"),
        (b"/a?k%65y=1&key=2&keys=3", b"/a?keys=3"),
        (b"/a?key", b"/a"),
        (b"/a?", b"/a?"),
        (b"/a", b"/a"),
    ],
)
def test_keys_are_taken_out_of_targets(target, left):
    exchange = SimpleNamespace(target=target, passing=[])
    remover((KeyPlace("query", "key"),))(exchange)
    assert exchange.target == left


def test_a_changed_key_is_not_well_formed():
    key = key_records.new_key().encode()
    assert key_records.is_well_formed(key)
    for position in range(len(key)):
        other = b"A" if key[position : position + 1] != b"A" else b"B"
        assert not key_records.is_well_formed(key[:position] + other + key[position + 1 :])
    for garbage in (b"", b"mgk_", key + b"a", key[:-1], b"mgk_" + b"\xff" * 46):
        assert not key_records.is_well_formed(garbage)
