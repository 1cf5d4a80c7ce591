"""The authorise stage: any one of the operation's scopes suffices, and the 403 names them."""

from __future__ import annotations

import pytest

from harness.minting import ISSUER, Gate, challenge, good_claims, settings_of
from microgate.plan.model import Api, Operation, Security
from microgate.runtime.faults import render
from microgate.runtime.security import authorise
from microgate.runtime.security.context import SecurityContext
from microgate.settings.model import Compatibility, JwtIssuer


@pytest.mark.parametrize(
    ("members", "allowed"),
    [
        ({"scope": "read"}, True),
        ({"scope": "write other"}, True),
        ({"scope": ["write"]}, True),
        ({"scope": None, "scp": "read other"}, True),
        ({"scope": None, "scp": ["read"]}, True),
        ({"scope": "write,other"}, True),
        ({"scope": "a,b read"}, True),
        ({"scope": "a,read b"}, False),
        ({"scope": ["a read"]}, False),
        ({"scope": [["read"], 5, None]}, False),
        ({"scope": {"read": 1}}, False),
        ({"scope": "other"}, False),
        ({"scope": "readwrite"}, False),
        ({"scope": "READ"}, False),
        ({"scope": ""}, False),
        ({"scope": None}, False),
    ],
)
def test_case_12_any_one_scope_in_every_shape(members, allowed, context, signers) -> None:
    gate = Gate(context, scopes=("read", "write"))
    for _ in range(2):
        exchange = gate.judge(b"Bearer " + signers["ES256"].token(good_claims(**members)))
        if allowed:
            assert exchange.fault is None
        else:
            assert (exchange.fault.kind.status, exchange.fault.kind.code) == (403, 900910)
            assert challenge(exchange) == ('Bearer realm="microgate", error="insufficient_scope", scope="read write"')


def test_a_scope_that_cannot_stand_in_a_challenge_is_left_out(context, signers) -> None:
    exchange = Gate(context, scopes=('a"b', "c")).judge(b"Bearer " + signers["ES256"].token())
    assert challenge(exchange) == 'Bearer realm="microgate", error="insufficient_scope"'


def test_without_scopes_there_is_no_stage(context) -> None:
    def stage_of(security: Security) -> object:
        operation = Operation(id="op", method="GET", path="/", security=security)
        api = Api(id="a", name="a", version="1", base_path="/a", file="a.yaml", operations=(operation,))
        return authorise.link(context, api, operation)

    assert stage_of(Security()) is None
    assert stage_of(Security(scopes=("read",), opened_by="x-wso2-disable-security at a.yaml:1")) is None
    assert stage_of(Security(scopes=("read",))) is not None


def test_nobody_known_is_nobody_allowed(context) -> None:
    gate = Gate(context, scopes=("read",))
    gate.stages = gate.stages[1:]
    assert gate.judge().fault.kind.status == 403


def test_the_old_answer_has_no_challenge(key_set_file, signers, clock) -> None:
    issuer = JwtIssuer(issuer=ISSUER, jwks_file=key_set_file)
    settings = settings_of(issuer, compatibility=Compatibility(statuses="wso2"))
    gate = Gate(SecurityContext(settings, None, clock=clock), scopes=("admin",))
    exchange = gate.judge(b"Bearer " + signers["ES256"].token())
    assert challenge(exchange) == ""
    assert render(exchange.fault, b"", wso2=True).status == 403
