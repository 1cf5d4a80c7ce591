"""Claims: dates at the edge of the leeway, audiences, scopes in every shape, and who calls."""

from __future__ import annotations

import pytest

from harness.minting import NOW, good_claims
from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError
from microgate.runtime.security.tokens import claims


def date_reason(**members: object) -> str:
    try:
        claims.check_dates(good_claims(**members), NOW, 30.0)
    except TokenError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ""),
        ({"exp": NOW + 1}, ""),
        ({"exp": NOW - 20}, ""),
        ({"exp": NOW - 29.999}, ""),
        ({"exp": NOW - 30}, refusals.EXPIRED),
        ({"exp": NOW - 300}, refusals.EXPIRED),
        ({"exp": 0}, refusals.EXPIRED),
        ({"exp": -1}, refusals.EXPIRED),
        ({"nbf": NOW + 20}, ""),
        ({"nbf": NOW + 30}, ""),
        ({"nbf": NOW + 30.001}, refusals.NOT_YET_VALID),
        ({"nbf": NOW + 300}, refusals.NOT_YET_VALID),
        ({"iat": NOW + 20}, ""),
        ({"iat": NOW + 31}, refusals.NOT_YET_VALID),
        ({"iat": NOW + 300}, refusals.NOT_YET_VALID),
    ],
)
def test_case_29_clock_skew(members, expected) -> None:
    assert date_reason(**members) == expected


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value", [True, False, "1900000000", [], {}, 1e300, -1e300, 10**4000, float("inf"), 1 << 53, b"1"]
)
def test_a_date_that_is_no_number_is_refused(name, value) -> None:
    assert date_reason(**{name: value}) == refusals.CLAIMS


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_date_of_null_is_refused(name) -> None:
    with pytest.raises(TokenError) as caught:
        claims.check_dates(good_claims() | {name: None}, NOW, 30.0)
    assert caught.value.reason == refusals.CLAIMS


def test_without_exp_a_token_does_not_expire() -> None:
    assert claims.check_dates(good_claims(exp=None), NOW, 30.0) == float("inf")


def test_the_verdict_ends_with_the_leeway() -> None:
    assert claims.check_dates(good_claims(exp=NOW + 5), NOW, 30.0) == NOW + 35
    assert claims.check_dates(good_claims(exp=NOW + 5), NOW, 0.0) == NOW + 5


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("a", "a", ""),
        (["a", "b"], "b", ""),
        (["a"], "", ""),
        (None, "", ""),
        (None, "a", refusals.AUDIENCE),
        ([], "a", refusals.AUDIENCE),
        ("ab", "a", refusals.AUDIENCE),
        ("A", "a", refusals.AUDIENCE),
        ("a b", "a", refusals.AUDIENCE),
        (["a", 1], "a", refusals.CLAIMS),
        ({"a": 1}, "a", refusals.CLAIMS),
        (1, "", refusals.CLAIMS),
    ],
)
def test_audience(value, wanted, expected) -> None:
    members = good_claims(aud=value)
    if not expected:
        claims.check_audience(members, wanted)
        return
    with pytest.raises(TokenError) as caught:
        claims.check_audience(members, wanted)
    assert caught.value.reason == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"scope": "read write"}, {"read", "write"}),
        ({"scope": "  read  "}, {"read"}),
        ({"scope": ["read", "write"]}, {"read", "write"}),
        ({"scope": None, "scp": "read"}, {"read"}),
        ({"scope": None, "scp": ["read", "write"]}, {"read", "write"}),
        ({"scope": "read", "scp": ["write"]}, {"read", "write"}),
        ({"scope": ["read", 1, None]}, {"read"}),
        ({"scope": {"read": True}}, set()),
        ({"scope": ""}, set()),
        ({"scope": None}, set()),
    ],
)
def test_case_12_scopes_in_every_shape(members, expected) -> None:
    assert claims.scopes_of(good_claims(**members)) == expected


@pytest.mark.parametrize(
    ("members", "name", "application", "key_type"),
    [
        ({}, "alice", "", "PRODUCTION"),
        ({"aud": "client"}, "alice", "client", "PRODUCTION"),
        ({"aud": ["client", "other"]}, "alice", "client", "PRODUCTION"),
        ({"aud": "client", "application": {"name": "shop"}}, "alice", "shop", "PRODUCTION"),
        ({"keytype": "SANDBOX"}, "alice", "", "SANDBOX"),
        ({"sub": None, "client_id": "machine"}, "machine", "", "PRODUCTION"),
        ({"sub": None, "azp": "machine"}, "machine", "", "PRODUCTION"),
        ({"name": "Somebody Else"}, "alice", "", "PRODUCTION"),
        ({"sub": None}, "", "", "PRODUCTION"),
    ],
)
def test_who_calls(members, name, application, key_type) -> None:
    consumer = claims.consumer_of(good_claims(**members), "aud")
    assert (consumer.name, consumer.application, consumer.key_type) == (name, application, key_type)
    assert consumer.claims["iss"] == good_claims()["iss"]


def test_the_claim_that_names_the_application_is_a_setting() -> None:
    assert claims.consumer_of(good_claims(azp="shop", aud="x"), "azp").application == "shop"


@pytest.mark.parametrize("members", [{"sub": 1}, {"sub": ["alice"]}, {"keytype": 1}, {"keytype": ["PRODUCTION"]}])
def test_identities_that_are_no_text_are_refused(members) -> None:
    with pytest.raises(TokenError) as caught:
        claims.consumer_of(good_claims(**members), "aud")
    assert caught.value.reason == refusals.CLAIMS
