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
V6 = st.builds(
    lambda number, bits: ipaddress.ip_network((number, bits), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)


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
