"""Refusals: each reason has its words, its status and its line in the documentation."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from microgate.runtime import faults, security
from microgate.runtime.faults import render
from microgate.runtime.security.refusals import EXPIRED, INVALID_TOKEN, Reason, Refusals

PAGES = Path(__file__).parents[4] / "docs/security"
REFUSALS = Refusals(("oauth2", "jwt"), wso2=False)


def _reasons() -> list[Reason]:
    """Every reason that a module of the room has as a constant."""
    found: dict[str, Reason] = {}
    for module in pkgutil.walk_packages(security.__path__, f"{security.__name__}."):
        members = vars(importlib.import_module(module.name))
        found |= {value: value for value in members.values() if isinstance(value, Reason)}
    return sorted(found.values())


REASONS = _reasons()


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_401_with_one_challenge_or_503_without(reason) -> None:
    answer = render(REFUSALS.fault(reason), b"")
    challenges = [value for name, value in answer.headers if name == b"WWW-Authenticate"]
    if answer.status == 401:
        assert len(challenges) == 1
        assert challenges[0].startswith(b'Bearer realm="microgate"')
        assert (b"expired" in challenges[0]) == ("expired" in reason.told and reason.endswith(".expired"))
    else:
        assert challenges == []
        assert answer.status in (403, 429, 503)
        assert ((b"Retry-After", b"1") in answer.headers) == (answer.status == 503)


@pytest.mark.parametrize("reason", [*REASONS, faults.SCOPES.label])
def test_every_reason_is_documented(reason) -> None:
    assert any(f"| `{reason}` |" in page.read_text(encoding="utf-8") for page in PAGES.glob("*.md"))


def test_weakness_12_the_error_is_there_only_when_a_token_was() -> None:
    for reason in REASONS:
        challenge = dict(REFUSALS.fault(reason).headers).get(b"WWW-Authenticate", b"")
        assert (b'error="invalid_token"' in challenge) == bool(reason.told and reason.error == INVALID_TOKEN)


def test_each_scheme_has_its_own_challenge_and_errors_stand_in_that_of_tokens() -> None:
    refusals = Refusals(("basic", "oauth2", "jwt", "api_key"), wso2=False)
    lines = [value for _, value in refusals.fault(EXPIRED).headers]
    assert [line.partition(b" ")[0] for line in lines] == [b"Bearer", b"Basic", b"ApiKey"]
    assert [b"error=" in line for line in lines] == [True, False, False]
