"""Forward authentication against a scripted service: what it sees, what its word does, and what is remembered of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from harness import aio
from harness.backend import Backend, raw, respond
from harness.contexts import context_of, run
from harness.minting import NOW, Client, Clock, settings_of
from microgate.plan.model import Api, ForwardAuth, KeyPlace, Operation, Plan, Requirement, Security
from microgate.runtime.exchange import Exchange
from microgate.runtime.faults import Fault, render
from microgate.runtime.security import authenticate
from microgate.runtime.security.taken_names import taken_names

if TYPE_CHECKING:
    from harness.backend import Talk


class Stage:
    """The authenticate stage of an operation that a service decides about."""

    def __init__(
        self, service: Backend, clock: Clock | None = None, *, security: Security | None = None, **told
    ) -> None:
        forward = ForwardAuth(url=f"{service.url}/check?x=1", **{"timeout_ms": 500} | told)
        operation = Operation(
            id="op", method="GET", path="/op", security=security or Security(schemes=("forward",)), forward_auth=forward
        )
        api = Api(id="api", name="Api", version="1", base_path="/api", file="a.yaml", operations=(operation,))
        context = context_of(settings_of(), clock or Clock())
        self.stage = authenticate.link(context, api, operation)

    async def judge(self, *lines: bytes, target: bytes = b"/api/op?a=b%20c", authorization: bytes = b"") -> Exchange:
        exchange = Exchange(Client(), "POST", target, list(lines))
        exchange.authority = b"api.example.com"
        exchange.authorization = authorization
        exchange.passing = list(lines)
        outcome = self.stage(exchange)
        if outcome is not None and not isinstance(outcome, Fault):
            outcome = await outcome
        exchange.fault = outcome
        return exchange


def test_the_service_sees_the_request_and_what_was_named() -> None:
    async def main() -> None:
        stage = Stage(service, send_headers=("authorization", "cookie", "host", "x-forwarded-for"))
        lines = (b"Cookie: a=1", b"cookie: b=2", b"X-Other: 3", b"X-Forwarded-For: 10.0.0.1", b"Host: evil")
        exchange = await stage.judge(*lines, authorization=b"Digest \xe4")
        assert exchange.fault is None
        assert exchange.consumer.credential == "forward"

    with Backend(respond()) as service:
        run(main())
        request = service.requests[0]
    assert (request.method, request.target, request.body) == ("GET", "/check?x=1", b"")
    assert [(name, value) for name, value in request.headers if name.lower() not in ("host", "user-agent")] == [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example.com"),
        ("x-forwarded-uri", "/api/op?a=b%20c"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-original-method", "POST"),
        ("x-original-uri", "/api/op?a=b%20c"),
        ("x-original-url", "https://api.example.com/api/op?a=b%20c"),
        ("authorization", "Digest \xe4"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ]


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "204 No Content"])
def test_what_the_service_says_of_the_caller_goes_to_the_backend_and_the_clients_word_does_not(status) -> None:
    async def main() -> None:
        stage = Stage(service, take_headers=("x-user", "x-role"))
        lines = (b"X-User: root", b"x_user: root", b"X-Role: admin", b"X-Roles: kept", b"Accept: */*")
        exchange = await stage.judge(*lines)
        assert exchange.passing == [b"X-Roles: kept", b"Accept: */*", b"x-user: ann", b"x-role: a", b"x-role: b"]
        assert exchange.consumer.name == "ann"
        service.script = respond()
        assert (await stage.judge(*lines)).passing == [b"X-Roles: kept", b"Accept: */*"]

    fields = (("X-User", "ann"), ("X-Role", "a"), ("X-Role", "b"), ("X-Secret", "s"))
    with Backend(respond(b"", status=status, headers=fields)) as service:
        run(main())


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        ("401 Unauthorized", (("WWW-Authenticate", 'Cookie realm="x"'),), (401, 900901, ['Cookie realm="x"'])),
        ("401 Unauthorized", (), (401, 900901, ['Bearer realm="microgate"'])),
        ("403 Forbidden", (("WWW-Authenticate", "Step-Up"),), (403, 403, ["Step-Up"])),
        ("403 Forbidden", (("Set-Cookie", "a=b"),), (403, 403, [])),
    ],
)
def test_a_refusal_is_passed_on_with_its_challenge(status, fields, expected) -> None:
    async def main() -> None:
        exchange = await Stage(service).judge()
        answer = render(exchange.fault, b"")
        challenges = [value.decode() for name, value in answer.headers if name == b"WWW-Authenticate"]
        assert (answer.status, exchange.fault.kind.code, challenges) == expected
        assert b"Set-Cookie" not in dict(answer.headers)

    with Backend(respond(b"secret", status=status, headers=fields)) as service:
        run(main())


CLOSED = {
    "redirect": respond(b"", status="302 Found", headers=(("Location", "/login"),)),
    "not found": respond(b"", status="404 Not Found"),
    "busy": respond(b"", status="429 Too Many Requests"),
    "failure": respond(b"", status="500 Internal Server Error"),
    "informational only": raw(b"HTTP/1.1 103 Early Hints\r\n\r\n", then="close"),
    "no HTTP": raw(b"hello\r\n", then="close"),
    "closed": raw(b"", then="close"),
    "reset": raw(b"", then="reset"),
    "slow": raw(b"HTTP/1.1 200", then="hold"),
    "cut short": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", then="close"),
    "a huge field": respond(headers=(("X-User", "x" * 9_000),)),
    "a field with a control": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User: a\x01b\r\n\r\n"),
    "endless": respond(b"x" * 2_000_000),
}


@pytest.mark.parametrize("name", CLOSED)
def test_any_other_answer_admits_nobody(name) -> None:
    async def main() -> None:
        exchange = await Stage(service, take_headers=("x-user",)).judge()
        assert exchange.consumer is None
        assert (exchange.fault.kind.status, exchange.fault.reason) == (503, "auth.forward.answer")

    with Backend(CLOSED[name]) as service:
        run(main())


def test_a_verdict_is_for_equal_fields_and_an_equal_target() -> None:
    clock = Clock()

    async def main() -> None:
        stage = Stage(
            service, clock, send_headers=("cookie",), take_headers=("x-user",), cache_by=("cookie",), cache_s=30
        )
        for _ in range(3):
            exchange = await stage.judge(b"Cookie: a", b"X-Other: 1", b"X-User: root")
            assert exchange.passing == [b"Cookie: a", b"X-Other: 1", b"x-user: ann"]
        assert len(service.requests) == 1
        await stage.judge(b"Cookie: b")
        await stage.judge(b"Cookie: a", b"Cookie: b")
        await stage.judge(b"Cookie: a,b")
        await stage.judge(b"Cookie:")
        await stage.judge()
        assert len(service.requests) == 6
        await stage.judge(b"Cookie: a", target=b"/api/op?a=c")
        assert len(service.requests) == 7
        clock.now = NOW + 30
        await stage.judge(b"Cookie: a")
        assert len(service.requests) == 8

    with Backend(respond(headers=(("X-User", "ann"),))) as service:
        run(main())


def test_a_refusal_is_remembered_for_a_shorter_while() -> None:
    clock = Clock()

    async def main() -> None:
        stage = Stage(service, clock, send_headers=("cookie",), cache_by=("cookie",), cache_s=300)
        for _ in range(3):
            exchange = await stage.judge(b"Cookie: a")
            assert [value for _, value in exchange.fault.headers] == [b"Own"]
        assert len(service.requests) == 1
        clock.now += 10
        await stage.judge(b"Cookie: a")
        assert len(service.requests) == 2

    with Backend(respond(b"", status="401 Unauthorized", headers=(("WWW-Authenticate", "Own"),))) as service:
        run(main())


def test_without_a_cache_each_request_is_asked_about_and_equal_ones_at_a_time_share_the_call() -> None:
    release = threading.Event()

    def held(talk: Talk) -> None:
        talk.read_body()
        talk.wait(release)
        respond()(talk)

    async def main() -> None:
        stage = Stage(service, send_headers=("cookie",))
        for _ in range(3):
            await stage.judge(b"Cookie: a")
        assert len(service.requests) == 3
        service.script = held
        waiting = [asyncio.ensure_future(stage.judge(b"Cookie: a")) for _ in range(100)]
        other = asyncio.ensure_future(stage.judge(b"Cookie: b"))
        await aio.until(lambda: len(service.requests) == 5)
        release.set()
        assert all(exchange.fault is None for exchange in await asyncio.gather(*waiting, other))
        assert len(service.requests) == 5

    with Backend(respond()) as service:
        run(main())


def test_a_credential_of_another_scheme_is_that_schemes_to_judge() -> None:
    async def main() -> None:
        stage = Stage(service, security=Security(schemes=("oauth2", "jwt", "forward")))
        assert (await stage.judge(authorization=b"Bearer a.b.c")).fault.reason == "auth.jwt.issuer"
        assert service.bytes == 0
        assert (await stage.judge(authorization=b"Negotiate abc")).fault is None
        assert (await stage.judge()).fault is None

    with Backend(respond()) as service:
        run(main())


def test_case_11_it_takes_its_part_in_a_literal_alternative() -> None:
    security = Security(
        schemes=("forward", "jwt"),
        alternatives=((Requirement("jwt"), Requirement("forward")), (Requirement("forward"),)),
    )

    async def main() -> None:
        stage = Stage(service, security=security)
        assert (await stage.judge()).consumer.credential == "forward"
        service.script = respond(b"", status="403 Forbidden")
        assert (await stage.judge()).fault.kind.status == 403

    with Backend(respond()) as service:
        run(main())


def test_the_fields_of_services_are_the_gateways_own() -> None:
    taking = ForwardAuth(url="http://127.0.0.1/", take_headers=("x-user", "authorization"))
    operations = (
        Operation(id="a", method="GET", path="/a", forward_auth=taking),
        Operation(id="b", method="GET", path="/b", security=Security(key_places=(KeyPlace("header", "x-key"),))),
    )
    api = Api(id="api", name="Api", version="1", base_path="/", file="a.yaml", operations=operations)
    plan = Plan(project="p", engine="1", apis=(api,), upstreams=())
    assert taken_names(plan) == {b"x-user"}
    assert taken_names(msgspec.structs.replace(plan, apis=())) == frozenset()
