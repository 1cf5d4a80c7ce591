"""Refusals: each reason has its words, its status and its line in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from microgate.runtime import faults
from microgate.runtime.faults import render
from microgate.runtime.security.refusals import REASONS, Refusals

PAGE = Path(__file__).parents[4] / "docs/security/jwt.md"
REFUSALS = Refusals(("oauth2", "jwt"), wso2=False)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_401_with_one_challenge_or_503_without(reason) -> None:
    answer = render(REFUSALS.fault(reason), b"")
    challenges = [value for name, value in answer.headers if name == b"WWW-Authenticate"]
    if answer.status == 401:
        assert len(challenges) == 1
        assert challenges[0].startswith(b'Bearer realm="microgate"')
        assert (b"expired" in challenges[0]) == (reason == "auth.jwt.expired")
    else:
        assert (answer.status, challenges) == (503, [])
        assert (b"Retry-After", b"1") in answer.headers


@pytest.mark.parametrize("reason", [*REASONS, faults.SCOPES.label])
def test_every_reason_is_documented(reason) -> None:
    assert f"| `{reason}` |" in PAGE.read_text(encoding="utf-8")


def test_weakness_12_the_error_is_there_only_when_a_token_was() -> None:
    for reason in REASONS:
        challenge = dict(REFUSALS.fault(reason).headers).get(b"WWW-Authenticate", b"")
        assert (b'error="invalid_token"' in challenge) == (
            reason not in {"auth.missing", "auth.scheme", "auth.keys_unavailable"}
        )
