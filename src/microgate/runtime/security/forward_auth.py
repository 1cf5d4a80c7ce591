"""The scheme that leaves the decision to an HTTP service of the project: it is told about the request and admits it or not.

An operation says with `x-microgate-forward-auth` what the service sees and what of its answer the backend gets. A service that
does not answer plainly admits nobody. `calls.py` makes the calls.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from microgate.runtime import faults
from microgate.runtime.exchange import Consumer
from microgate.runtime.faults import Fault
from microgate.runtime.security.calls import ServiceError, Shared
from microgate.runtime.security.fetch import Question
from microgate.runtime.security.opaque.token_memory import TokenMemory
from microgate.runtime.security.refusals import Reason, TokenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.plan.model import Api, ForwardAuth, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.security.calls import Service
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.fetch import Reply
    from microgate.runtime.security.schemes import Judgement

MAX_TAKEN_BYTES = 8_192

REFUSED = Reason("auth.forward.refused")
FORBIDDEN = Reason("auth.forward.forbidden", kind=faults.FORWARD_REFUSED)
ANSWER = Reason("auth.forward.answer", kind=faults.AUTH_SERVICE_UNAVAILABLE)

# Fields that address or frame the call itself, so a client's never go along.
_OWN = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "te", "trailer", "upgrade", "expect", "user-agent"}
)
# What services call the user, where the operation takes it along.
_USER_NAMES = ("remote-user", "x-forwarded-user", "x-auth-request-user", "x-user")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class _Admitted(Consumer):
    """Who calls, and what the backend is told by the service."""

    __slots__ = ("lines",)

    def __init__(self, name: str, lines: list[bytes]) -> None:
        super().__init__(name, "forward")
        self.lines = lines


class ForwardAuthentication:
    """The services of one worker."""

    def __init__(self, context: SecurityContext) -> None:
        self.context = context
        self.memory = TokenMemory(context)
        self._services: dict[tuple[str, int], Service] = {}

    def for_operation(self, api: Api, operation: Operation) -> _OfOperation:
        assert operation.forward_auth is not None
        return _OfOperation(self, operation.forward_auth, f"{api.id} {operation.id}")

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> NoReturn:
        raise AssertionError("it is asked for an operation")

    def service(self, told: ForwardAuth) -> Service:
        """Operations with the same address share its connections and its breaker."""
        key = (told.url, told.timeout_ms)
        if key not in self._services:
            name = f"authorization service {told.url}"
            self._services[key] = self.context.service(name, told.url, timeout_s=told.timeout_ms / 1000)
        return self._services[key]


class _OfOperation:
    """The service as one operation has it."""

    def __init__(self, shared: ForwardAuthentication, told: ForwardAuth, identity: str) -> None:
        self._service = shared.service(told)
        self._memory = shared.memory
        self._clock = shared.context.clock
        self._sent = tuple((name, name.encode()) for name in told.send_headers if name not in _OWN)
        self._taken = tuple(told.take_headers)
        self._taken_names = frozenset(name.encode() for name in told.take_headers)
        self._cached_by = tuple(name.encode() for name in told.cache_by)
        self._cache_s = told.cache_s
        self._identity = identity.encode()
        self._asked: Shared[_Admitted] = Shared()

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Judgement:
        if not self._cache_s:
            return self._ask(exchange, b"")
        digest = self._memory.digest(self._key(exchange))
        known = self._memory.find(digest)
        if known is not None:
            assert isinstance(known, _Admitted)
            return self._admit(exchange, known)
        self._memory.check(digest)
        return self._ask(exchange, digest)

    def _key(self, exchange: Exchange) -> bytes:
        """What two requests must share to share a verdict: the fields of `cache_by`, and the target, which services look at."""
        parts = [self._identity, exchange.target]
        for name in self._cached_by:
            values = exchange.values(name)
            parts += [b"%d" % len(values), *values]
        return b"\n".join(parts)  # neither a target nor a value holds a line break

    async def _ask(self, exchange: Exchange, digest: bytes) -> _Admitted:
        question = self._question(exchange)
        admitted = await self._asked.get(question, partial(self._call, question, digest))
        return self._admit(exchange, admitted)

    def _question(self, exchange: Exchange) -> Question:
        host = exchange.authority.decode("latin-1")
        target = exchange.target.decode("latin-1")
        told = {
            "x-forwarded-method": exchange.method,
            "x-forwarded-proto": exchange.scheme,
            "x-forwarded-host": host,
            "x-forwarded-uri": target,
            "x-forwarded-for": exchange.client,
            "x-original-method": exchange.method,
            "x-original-uri": target,
            "x-original-url": f"{exchange.scheme}://{host}{target}",
        }
        fields = [
            (name, value.decode("latin-1"))
            for name, key in self._sent
            if name not in told
            for value in _values(exchange, key)
        ]
        return Question("GET", (*told.items(), *fields))

    async def _call(self, question: Question, digest: bytes) -> _Admitted:
        try:
            reply = await self._service.call(question)
        except ServiceError as error:
            self._service.complain(f"{error}")
            raise TokenError(ANSWER) from None
        if reply.status in (401, 403):
            refusal = _refusal(reply)
            if digest:
                self._memory.refuse(digest, refusal, self._cache_s)
            raise refusal
        if not 200 <= reply.status < 300:
            self._service.complain(f"is of no use: it answers {reply.status}")
            raise TokenError(ANSWER)
        admitted = self._read(reply)
        if digest:
            admitted.until = self._clock() + self._cache_s
            self._memory.keep(digest, admitted, sum(map(len, admitted.lines)))
        return admitted

    def _read(self, reply: Reply) -> _Admitted:
        taken = [(name, value) for name in self._taken for key, value in reply.headers if key == name]
        if sum(len(name) + len(value) for name, value in taken) > MAX_TAKEN_BYTES or not all(
            _VALUE.fullmatch(value) for _, value in taken
        ):
            self._service.complain("is of no use: its answer has fields that cannot be sent on")
            raise TokenError(ANSWER)
        members = dict(taken)
        user = next((members[name] for name in _USER_NAMES if name in members), "")
        return _Admitted(user, [f"{name}: {value}".encode("latin-1") for name, value in taken])

    def _admit(self, exchange: Exchange, admitted: _Admitted) -> _Admitted:
        """Whatever the client calls like a field of the service stays here, in every spelling."""
        if self._taken_names:
            exchange.passing = [
                *(line for line in exchange.passing if _name(line) not in self._taken_names),
                *admitted.lines,
            ]
        return admitted


def _values(exchange: Exchange, name: bytes) -> Iterable[bytes]:
    return (exchange.authorization,) if name == b"authorization" and exchange.authorization else exchange.values(name)


def _name(line: bytes) -> bytes:
    return line[: line.find(b":")].lower().replace(b"_", b"-")


def _refusal(reply: Reply) -> TokenError:
    """The service's 401 or 403 in our words, with its own challenges."""
    challenges = tuple(
        (b"WWW-Authenticate", value.encode("latin-1"))
        for name, value in reply.headers
        if name == "www-authenticate" and _VALUE.fullmatch(value)
    )
    reason = REFUSED if reply.status == 401 else FORBIDDEN
    return TokenError(reason, Fault(reason.kind, reason, headers=challenges) if challenges else None)
