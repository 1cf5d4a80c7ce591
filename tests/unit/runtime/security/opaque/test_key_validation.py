"""3.x's key-validation service: its messages, read without trust, and the scheme that asks it for each operation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest

from harness.backend import Backend, respond
from harness.contexts import context_of, run
from harness.minting import NOW, Client, Clock, settings_of
from microgate.plan.model import Api, Operation, Security
from microgate.runtime.exchange import Exchange
from microgate.runtime.faults import Fault
from microgate.runtime.security import authenticate
from microgate.runtime.security.opaque import key_validation_messages as messages
from microgate.runtime.security.opaque.key_validation_messages import Resource, ResultError
from microgate.settings.model import Caching, KeyManager

if TYPE_CHECKING:
    from harness.backend import Script

OPERATION = Operation(id="getPet", method="GET", path="/pet/{id}", security=Security())
API = Api(id="api", name="Pets", version="1.0.0", base_path="/pets", file="a.yaml", operations=(OPERATION,))


def document(**members: str) -> bytes:
    inner = "".join(f"<ax:{name}>{value}</ax:{name}>" for name, value in members.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
        '<ns:validateKeyResponse xmlns:ns="http://org.apache.axis2/xsd"><ns:return xmlns:ax="http://dto/xsd">'
        f"{inner}</ns:return></ns:validateKeyResponse></soapenv:Body></soapenv:Envelope>"
    ).encode()


GOOD = {
    "authorized": "true",
    "applicationName": "shop &amp; co",
    "consumerKey": "key-1",
    "endUserName": "alice@carbon.super",
    "issuedTime": str(NOW * 1000),
    "validityPeriod": "60000",
    "type": "SANDBOX",
    "validationStatus": "0",
}


def said(**members: str) -> Script:
    return respond(document(**GOOD | members), headers=(("Content-Type", "text/xml"),))


class Stage:
    """The authenticate stage of one operation, asking a service."""

    def __init__(
        self, service: Backend, clock: Clock | None = None, *, operation: Operation = OPERATION, **more
    ) -> None:
        manager = KeyManager(server_url=service.url, enable_legacy_mode=True)
        settings = msgspec.structs.replace(settings_of(key_manager=manager), **more)
        self.context = context_of(settings, clock or Clock())
        self.stage = authenticate.link(self.context, API, operation)

    async def judge(self, token: bytes = b"token-1") -> Exchange:
        exchange = Exchange(Client(), "GET", b"/pets/pet/1", [])
        exchange.authorization = b"Bearer " + token
        outcome = self.stage(exchange)
        if outcome is not None and not isinstance(outcome, Fault):
            outcome = await outcome
        exchange.fault = outcome
        return exchange


def test_the_question_names_the_token_and_the_resource() -> None:
    async def main() -> None:
        assert (await Stage(service).judge()).fault is None

    with Backend(said()) as service:
        run(main())
        request = service.requests[0]
    assert (request.method, request.target) == ("POST", "/services/APIKeyValidationService")
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["soapaction"] == '"urn:validateKey"'
    assert headers["authorization"] == "Basic YWRtaW46YWRtaW4="
    body = ET.fromstring(request.body)[1][0]
    assert body.tag == "{http://org.apache.axis2/xsd}validateKey"
    assert {one.tag.partition("}")[2]: one.text for one in body} == {
        "context": "/pets/1.0.0",
        "version": "1.0.0",
        "accessToken": "token-1",
        "requiredAuthenticationLevel": "Any",
        "clientDomain": "*",
        "matchingResource": "/pet/{id}",
        "httpVerb": "GET",
        "tenantDomain": "carbon.super",
        "keyManagers": "all",
    }


@pytest.mark.parametrize(
    ("base", "context", "tenant"),
    [
        ("/pets", "/pets/1.0.0", "carbon.super"),
        ("/pets/1.0.0", "/pets/1.0.0", "carbon.super"),
        ("/t/example.com/pets", "/t/example.com/pets/1.0.0", "example.com"),
        ("/", "/1.0.0", "carbon.super"),
    ],
)
def test_the_context_has_the_version_and_the_tenant(base, context, tenant) -> None:
    resource = messages.resource_of(msgspec.structs.replace(API, base_path=base), OPERATION)
    assert (resource.context, resource.tenant) == (context, tenant)


def test_what_would_be_markup_is_text() -> None:
    question = messages.question(Resource("/a&b", "<1>", "/{x}", "GET", "t"), "a<b>&c")
    values = [one.text for one in ET.fromstring(question)[1][0]]
    assert values[:3] == ["/a&b", "<1>", "a<b>&c"]


def test_who_calls_is_in_the_answer() -> None:
    consumer = messages.consumer_of(messages.read(document(**GOOD)), NOW)
    assert (consumer.name, consumer.application, consumer.consumer_key) == ("alice@carbon.super", "shop & co", "key-1")
    assert (consumer.key_type, consumer.until) == ("SANDBOX", NOW + 60)
    twice = document(**GOOD).replace(b"<ax:type>", b"<ax:scopes>read</ax:scopes><ax:scopes>write</ax:scopes><ax:type>")
    assert messages.consumer_of(messages.read(twice), NOW).scopes == {"read", "write"}
    for validity in ("-1", "0", "", "x", "9" * 30, str(2**63)):
        endless = messages.read(document(**GOOD | {"validityPeriod": validity}))
        assert messages.consumer_of(endless, NOW).until == float("inf")


BOMB = (
    b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    b"<a><return><authorized>&b;</authorized></return></a>"
)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<",
        b"{}",
        b"<a/>",
        b"\xff\xfe<a/>",
        document(),
        document(authorized="yes"),
        document(authorized="TRUE"),
        document(authorized="false").replace(
            b"</ax:authorized>", b"</ax:authorized><ax:authorized>true</ax:authorized>"
        ),
        document(authorized="true").replace(
            b"</soapenv:Body>", b"<return><authorized>true</authorized></return></soapenv:Body>"
        ),
        document(authorized="true") + b"<more/>",
        document(authorized="true")[:-10],
        document(authorized="true").replace(b"UTF-8", b"no-such"),
        b'<!DOCTYPE a SYSTEM "http://192.0.2.1/x"><a><return><authorized>true</authorized></return></a>',
        BOMB,
        b"<a>" * 100 + b"<return><authorized>true</authorized></return>" + b"</a>" * 100,
        b"<a>" + b"x" * 70_000 + b"</a>",
    ],
)
def test_an_answer_that_is_not_plain_is_none(answer) -> None:
    with pytest.raises(ResultError):
        messages.read(answer)


@pytest.mark.parametrize(
    ("status", "http", "code", "reason"),
    [
        ("900901", 401, 900901, "auth.key_validation.refused"),
        ("900902", 401, 900901, "auth.key_validation.refused"),
        ("", 401, 900901, "auth.key_validation.refused"),
        ("<b/>", 401, 900901, "auth.key_validation.refused"),
        ("900903", 401, 900903, "auth.key_validation.expired"),
        ("900904", 401, 900904, "auth.key_validation.inactive"),
        ("900905", 401, 900905, "auth.key_validation.type"),
        ("900906", 403, 900906, "auth.key_validation.resource"),
        ("900907", 401, 900907, "auth.key_validation.blocked"),
        ("900908", 403, 900908, "auth.key_validation.not_subscribed"),
        ("900909", 401, 900909, "auth.key_validation.subscription"),
        ("900910", 403, 900910, "auth.key_validation.scopes"),
        ("900900", 503, 900900, "auth.key_validation.answer"),
    ],
)
def test_each_code_of_the_service_has_its_status(status, http, code, reason) -> None:
    async def main() -> None:
        fault = (await Stage(service).judge()).fault
        assert (fault.kind.status, fault.kind.code, fault.reason) == (http, code, reason)

    with Backend(said(authorized="false", validationStatus=status)) as service:
        run(main())


def test_a_verdict_is_for_one_operation_until_the_token_ends() -> None:
    clock = Clock()
    other = msgspec.structs.replace(OPERATION, id="putPet", method="PUT")

    async def main() -> None:
        stage = Stage(service, clock)
        for _ in range(3):
            assert (await stage.judge()).consumer.name == "alice@carbon.super"
        assert len(service.requests) == 1
        stage.stage = authenticate.link(stage.context, API, other)
        assert (await stage.judge()).fault is None
        assert [re.search(rb"httpVerb>(\w+)", one.body)[1] for one in service.requests] == [b"GET", b"PUT"]
        clock.now = NOW + 60
        assert (await stage.judge()).fault.kind.code == 900903

    with Backend(said()) as service:
        run(main())


def test_the_cache_can_be_switched_off() -> None:
    async def main() -> None:
        stage = Stage(service, caching=Caching(enabled=False))
        for _ in range(3):
            assert (await stage.judge()).fault is None
        assert len(service.requests) == 3

    with Backend(said()) as service:
        run(main())


@pytest.mark.parametrize("script", [respond(b"no"), respond(b"", status="500 Internal Server Error"), respond(BOMB)])
def test_a_service_without_a_plain_answer_admits_nobody(script) -> None:
    async def main() -> None:
        fault = (await Stage(service).judge()).fault
        assert (fault.kind.status, fault.kind.code, fault.kind.wso2) == (503, 900900, 500)

    with Backend(script) as service:
        run(main())
