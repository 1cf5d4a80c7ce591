"""Whose count a limit is: callers who are not the same share none, whatever their tokens have in common."""

from __future__ import annotations

import pytest

from harness.credentials import ISSUER, bearer, mint, other_key, public_pem
from harness.descriptions import describe

SHOP = describe(["/a"], base="/shop", title="shop", secured=True)
FILES = {"policies.yaml": "subscriptionPolicies:\n  - Default: {count: 2, unitTime: 1, timeUnit: day}\n"}


def statuses(gateway, header, count=3):
    with gateway.connect() as client:
        return [client.get("/shop/a", header).status for _ in range(count)]


@pytest.mark.parametrize("audience", ["account", ["https://api.example.com", "account"]])
def test_weakness_05_callers_whose_tokens_have_an_audience_in_common_share_no_count(gateway, audience):
    running = gateway(SHOP, files=FILES)
    assert statuses(running, bearer(sub="alice", aud=audience)) == [200, 200, 429]
    assert statuses(running, bearer(sub="bob", aud=audience)) == [200, 200, 429]


def test_users_of_a_client_whose_key_is_the_audience_too_count_together(gateway):
    running = gateway(SHOP, files=FILES)
    assert statuses(running, bearer(sub="alice", aud="key", azp="key")) == [200, 200, 429]
    assert statuses(running, bearer(sub="bob", aud="key", azp="key"), 1) == [429]


def test_subjects_and_clients_of_two_issuers_are_not_the_same(gateway, tmp_path):
    other = "https://other.test"
    entries = ""
    for name, pem in ((ISSUER, public_pem()), (other, public_pem(other_key()))):
        file = tmp_path / f"{len(entries)}.pem"
        file.write_bytes(pem)
        entries += f'[[jwtTokenConfig]]\nissuer = "{name}"\ncertificateFile = "{file}"\nconsumerKeyClaim = "azp"\n'
    running = gateway(SHOP, files=FILES, settings=entries)
    for claims in ({"sub": "alice"}, {"sub": "bob", "azp": "web"}):
        assert statuses(running, bearer(**claims)) == [200, 200, 429]
        foreign = ("Authorization", f"Bearer {mint(other_key(), iss=other, **claims)}")
        assert statuses(running, foreign) == [200, 200, 429]


def test_tokens_that_name_nobody_share_no_count(gateway):
    running = gateway(SHOP, files=FILES)
    assert statuses(running, bearer(sub=None, jti="1")) == [200, 200, 429]
    assert statuses(running, bearer(sub=None, jti="2")) == [200, 200, 429]
