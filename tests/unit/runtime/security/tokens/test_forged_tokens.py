"""R10: forged and broken tokens, made by the hundred from good ones. None may pass, each has its reason.

The operation trusts one issuer with keys of every algorithm, whose public forms an attacker knows too.
"""

from __future__ import annotations

import pytest

from harness.forgery import Scene, corpus
from harness.minting import ALGORITHMS, ISSUER, NOW, Clock, Gate, b64, good_claims, settings_of
from microgate.runtime.faults import render
from microgate.runtime.security import refusals
from microgate.runtime.security.context import SecurityContext
from microgate.settings.model import JwtIssuer


@pytest.fixture
def strict_gate(key_set_file) -> Gate:
    issuer = JwtIssuer(issuer=ISSUER, jwks_file=key_set_file, audience=("shop",))
    return Gate(SecurityContext(settings_of(issuer), None, clock=Clock()))


def test_r10_no_forged_token_is_accepted(strict_gate, signers) -> None:
    forged = corpus(Scene(signers, NOW))
    assert len({token for _, token, _ in forged}) >= 500
    wrong = []
    for name, token, expected in forged:
        exchange = strict_gate.judge(b"Bearer " + token)
        fault = exchange.fault
        if fault is None or exchange.consumer is not None:
            wrong.append(f"{name}: accepted")
            continue
        answer = render(fault, b"")
        challenges = [value for field, value in answer.headers if field == b"WWW-Authenticate"]
        if answer.status != 401 or len(challenges) != 1 or (expected and fault.reason != expected):
            wrong.append(f"{name}: {answer.status} {fault.reason} instead of {expected}")
        if (b"expired" in challenges[0]) != (fault.reason == refusals.EXPIRED):
            wrong.append(f"{name}: {fault.reason} with {challenges[0]!r}")
    assert wrong == []


def test_r10_the_good_ones_among_them_still_pass(strict_gate, signers) -> None:
    for name in ALGORITHMS:
        assert strict_gate.reason(signers[name].token(good_claims(aud="shop"))) == ""
        assert (
            strict_gate.reason(
                signers[name].token(good_claims(aud="shop") | {"exp": NOW - 29, "nbf": NOW + 29, "iat": NOW + 29})
            )
            == ""
        )
        assert (
            strict_gate.reason(signers[name].token(good_claims(aud="shop"), jku="http://127.0.0.1:9/", typ="at+jwt"))
            == ""
        )


def test_r10_forged_tokens_leave_no_trace_in_the_cache(key_set_file, signers) -> None:
    context = SecurityContext(settings_of(JwtIssuer(issuer=ISSUER, jwks_file=key_set_file)), None, clock=Clock())
    gate = Gate(context)
    good = signers["ES256"].token()
    assert gate.reason(good) == ""
    size = context.verdicts.size_bytes
    for index in range(2_000):
        assert gate.reason(good[:-60] + b64(index.to_bytes(15, "big")) + good[-40:]) == refusals.SIGNATURE
    assert (len(context.verdicts), context.verdicts.size_bytes) == (1, size)
