"""What an introspection service says: which answers count, and what they make of a token at a time."""

from __future__ import annotations

import json

import pytest

from harness.minting import NOW
from microgate.runtime.security.opaque import introspection_answers as answers
from microgate.runtime.security.opaque.introspection_answers import AnswerError
from microgate.runtime.security.refusals import TokenError

LEEWAY = 30.0


def judge(audience: str = "", **members: object):
    document = json.dumps({"active": True, **members}).encode()
    return answers.judge(answers.read(document), NOW, LEEWAY, audience)


def reason(audience: str = "", **members: object) -> str:
    with pytest.raises(TokenError) as caught:
        judge(audience, **members)
    return str(caught.value.reason)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"true",
        b"{",
        b"\xff",
        b'{"active": true} x',
        b"{}",
        b'{"active": "yes"}',
        b'{"active": "true"}',
        b'{"active": 1}',
        b'{"active": null}',
        b'{"active": [true]}',
        b'{"Active": true}',
        b'{"active": false, "active": true}',
        b'{"active": true, "exp": NaN}',
        b'{"active": true, "exp": Infinity}',
        b'{"active": true, "exp": "1800000600"}',
        b'{"active": true, "exp": true}',
        b'{"active": true, "exp": [1]}',
        b'{"active": true, "exp": ' + b"9" * 5_000 + b"}",
        b'{"active": true, "nbf": {}}',
        b'{"active": true, "username": 5}',
        b'{"active": true, "client_id": ["a"]}',
        b'{"active": true, "sub": {"a": 1}}',
        b'{"active": true, "iss": false}',
        b'{"active": true, "username": "\\ud800"}',
        b'{"active": true, "a": ' + b"[" * 50_000 + b"]" * 10 + b"}",
        b'{"active": true, "a": "' + b"x" * 65_536 + b'"}',
        b"<html>login</html>",
        '{"active": true}'.encode("utf-16"),
    ],
)
def test_an_answer_that_does_not_say_so_plainly_is_none(document) -> None:
    with pytest.raises(AnswerError):
        answers.read(document)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"active": False}, "auth.opaque.inactive"),
        ({"active": False, "exp": NOW + 60, "scope": "read"}, "auth.opaque.inactive"),
        ({"exp": NOW}, "auth.opaque.expired"),
        ({"exp": NOW - 10_000}, "auth.opaque.expired"),
        ({"exp": 0}, "auth.opaque.expired"),
        ({"exp": -1e300}, "auth.opaque.expired"),
        ({"nbf": NOW + 31}, "auth.opaque.not_yet_valid"),
        ({"nbf": 10**300}, "auth.opaque.not_yet_valid"),
        ({"token_type": "refresh_token"}, "auth.opaque.type"),
        ({"token_type": "Refresh"}, "auth.opaque.type"),
    ],
)
def test_an_active_token_that_is_not_good_now_is_refused(members, expected) -> None:
    assert reason(**members) == expected


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"exp": None, "username": None},
        {"exp": NOW + 1},
        {"exp": NOW + 0.5},
        {"exp": 9_223_372_036_854_775_807},
        {"exp": 1e300},
        {"nbf": NOW + 29},
        {"nbf": -1},
        {"token_type": "Bearer"},
        {"scope": None},
        {"scope": 7},
        {"aud": {"odd": True}},
    ],
)
def test_what_an_answer_leaves_out_or_overdoes_does_no_harm(members) -> None:
    assert judge(**members).credential == "oauth2"


def test_the_audience_is_checked_where_the_settings_name_one() -> None:
    assert judge("petstore", aud="petstore").name == ""
    assert judge("petstore", aud=["other", "petstore"]).name == ""
    for audience in ("other", ["other"], [], {}, {"petstore": 1}, None, 5, "petstore2"):
        assert reason("petstore", aud=audience) == "auth.opaque.audience"


def test_who_calls_and_what_is_known_of_it() -> None:
    consumer = judge(
        username="alice",
        sub="8f2",
        client_id="shop",
        scope="read write",
        iss="https://id.example.com",
        exp=NOW + 60,
        keytype="SANDBOX",
        department="sales",
    )
    assert (consumer.name, consumer.application, consumer.consumer_key) == ("alice", "shop", "shop")
    assert consumer.scopes == {"read", "write"}
    assert (consumer.issuer, consumer.until, consumer.key_type) == ("https://id.example.com", NOW + 60, "SANDBOX")
    assert consumer.claims["department"] == "sales"
    assert "active" not in consumer.claims
    assert judge(sub="8f2").name == "8f2"
    assert judge(client_id="shop").name == "shop"
    assert judge().until == float("inf")


@pytest.mark.parametrize("scope", ["read write", ["read", "write"]])
@pytest.mark.parametrize("name", ["scope", "scp"])
def test_case_12_scopes_come_in_every_shape(name, scope) -> None:
    assert judge(**{name: scope}).scopes == {"read", "write"}
