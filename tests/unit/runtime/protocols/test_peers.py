"""Which addresses are trusted, and who the client behind trusted proxies is."""

import pytest

from microgate.runtime.protocols.peers import TrustedProxies

TRUSTED = TrustedProxies(("10.0.0.0/8", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.1.2.3", True),
        ("fe80::1%eth0", False),
        ("unix", False),
        ("", False),
    ],
)
def test_membership(address, trusted):
    assert (address in TRUSTED) is trusted


@pytest.mark.parametrize("written", ["::ffff:10.0.0.0/104", "::ffff:10.1.2.3"])
def test_ipv4_that_is_written_as_ipv6_is_ipv4(written):
    proxies = TrustedProxies((written,))
    assert "10.1.2.3" in proxies
    assert "::ffff:10.1.2.3" in proxies
    assert "11.1.2.3" not in proxies


def test_nobody_is_trusted_by_default():
    assert "127.0.0.1" not in TrustedProxies(())
    assert not TrustedProxies(()).trusts_unix


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b"203.0.113.7, 10.9.9.9", "203.0.113.7"),
        (b"198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what stands further left is the client's own word
        (b"10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (b"203.0.113.7:4711", "203.0.113.7"),
        (b'"[2001:db9::7]:4711"', "2001:db9::7"),
        (b"nonsense", "unknown"),
        (b"203.0.113.7, nonsense", "unknown"),
        (b"\xff\xfe", "unknown"),
        (b", ,", "unknown"),
    ],
)
def test_client_is_the_last_untrusted_address(chain, client):
    assert TRUSTED.client("10.0.0.1", chain.split(b",")) == client
