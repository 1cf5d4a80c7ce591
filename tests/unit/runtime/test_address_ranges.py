"""Sets of addresses against a plain reading of them with the standard library."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from microgate.runtime import address_ranges

V4 = st.builds(
    lambda number, bits: ipaddress.ip_network((number, bits), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
V4_RANGE = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(
    lambda ends: _range(ipaddress.IPv4Address, ends)
)
V6_RANGE = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1)).map(
    lambda ends: _range(ipaddress.IPv6Address, ends)
)
V6 = st.builds(
    lambda number, bits: ipaddress.ip_network((number, bits), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)


def _range(kind, ends):
    first, last = sorted(ends)
    return kind(first), kind(last)


@given(st.lists(st.one_of(V4_RANGE, V6_RANGE), max_size=8), st.data())
def test_ranges_hold_their_ends_and_what_is_between(spans, data) -> None:
    ranges = address_ranges.Ranges(f"{first}-{last}" for first, last in spans)
    borders = [
        type(first)(number)
        for first, last in spans
        for number in (int(first) - 1, int(first), int(last), int(last) + 1)
        if 0 <= number < 2**first.max_prefixlen
    ]
    for address in [*borders, data.draw(st.ip_addresses())]:
        expected = any(_place(first) <= _place(address) <= _place(last) for first, last in spans)
        assert (address_ranges.number_of(str(address)) in ranges) == expected, address


def _place(address) -> int:
    """Where an address stands among those of IPv6, IPv4 as its mapped form."""
    return int(ipaddress.ip_address(f"::ffff:{address}")) if address.version == 4 else int(address)


@given(st.lists(st.one_of(V4, V6), max_size=12), st.data())
def test_ranges_hold_what_their_networks_hold(networks, data) -> None:
    ranges = address_ranges.Ranges(str(network) for network in networks)
    borders = [
        address
        for network in networks
        for number in (int(network[0]) - 1, int(network[0]), int(network[-1]), int(network[-1]) + 1)
        if 0 <= number < 2**network.max_prefixlen
        for address in [type(network[0])(number)]
    ]
    for address in [*borders, data.draw(st.ip_addresses())]:
        expected = any(address in network for network in networks)
        if not expected and address.version == 4:
            mapped = ipaddress.ip_address(f"::ffff:{address}")
            expected = any(mapped in network for network in networks)
        if not expected and address.version == 6 and address.ipv4_mapped:
            expected = any(address.ipv4_mapped in network for network in networks)
        assert (address_ranges.number_of(str(address)) in ranges) == expected, address
