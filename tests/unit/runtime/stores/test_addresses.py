"""Addresses of stores as the settings have them."""

from __future__ import annotations

import pytest

from microgate.errors import SettingsError
from microgate.runtime.stores.addresses import Address, read_place
from microgate.runtime.stores.slots import SlotMap, read_redirect, read_slots, slot_of


def test_user_and_password_come_from_the_settings_or_the_address():
    place = read_place(("rediss://ann:s%20x@limits.example.com/2",))
    assert place.addresses == (Address("limits.example.com", 6379),)
    assert (place.secure, place.username, place.password, place.database) == (True, "ann", "s x", 2)
    place = read_place(("redis://ann:secret@[::1]:7000",), "bob", "other")
    assert (place.addresses[0].shown, place.username, place.password) == ("[::1]:7000", "bob", "other")


@pytest.mark.parametrize(
    "urls",
    [
        ("http://:hush@a",),
        ("redis://",),
        ("redis://:hush@a:99999",),
        ("redis://:hush@a/x",),
        ("redis://:hush@a", "rediss://b"),
        ("redis://:hush@a/1", "redis://b/2"),
        ("redis://[:hush@a",),
    ],
)
def test_what_is_no_address_is_said_without_the_secret_in_it(urls):
    with pytest.raises(SettingsError) as caught:
        read_place(urls)
    assert "hush" not in str(caught.value) + caught.value.hint


def test_a_cluster_has_one_database():
    with pytest.raises(SettingsError):
        read_place(("redis://a/1",), cluster=True)


# Source: the examples of the specification of Redis Cluster, and `CLUSTER KEYSLOT` of a server.
@pytest.mark.parametrize(
    ("key", "slot"), [(b"123456789", 12_739), (b"foo", 12_182), (b"{foo}.x", 12_182), (b"foo{}{bar}", 8_363), (b"", 0)]
)
def test_a_key_has_its_slot(key, slot):
    assert slot_of(key) == slot


def test_a_map_finds_nodes_and_takes_corrections():
    answer = [[0, 99, [b"10.0.0.1", 7000, b"id"]], [200, 300, [None, 7001, b"id"], [b"10.0.0.9", 1, b"replica"]]]
    found = read_slots(answer, Address("asked", 1))
    assert isinstance(found, SlotMap)
    assert [found.find(slot) for slot in (0, 99, 100, 200, 301)] == [
        Address("10.0.0.1", 7000),
        Address("10.0.0.1", 7000),
        None,
        Address("asked", 7001),
        None,
    ]
    found.move(100, Address("b", 2))
    assert found.find(100) == Address("b", 2)


@pytest.mark.parametrize(
    "answer", [None, 7, [[0]], [[0, 99_999, [b"a", 1]]], [[5, 1, [b"a", 1]]], [[0, 1, [b"a", 0]]], [[0, 1, []]], [b"x"]]
)
def test_a_map_that_is_none_is_not_believed(answer):
    assert read_slots(answer, Address("a", 1)) is None


@pytest.mark.parametrize("text", ["", "x 1:1", "1 a", "99999 a:1", "1 a:0", "1 a:99999", "1 a:1 extra:x"])
def test_a_redirection_to_nowhere_is_not_followed(text):
    assert read_redirect(text, Address("a", 1)) is None


def test_a_redirection_may_leave_out_the_host():
    assert read_redirect("7 :6381", Address("a", 1)) == (7, Address("a", 6381))
