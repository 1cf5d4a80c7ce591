"""`/token`, `/authorize`, `/revoke` and `/userinfo`: asked on behalf of clients at the key manager (WSO2 §6.13).

Requests and answers are passed on as they are, redirects too; what fails here is a fault, where 3.x answered 200 (weakness 7).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Answer, Fault
from microgate.runtime.protocols.fields import HOP_BY_HOP_NAMES
from microgate.runtime.security.calls import Service, ServiceError
from microgate.runtime.security.fetch import Question, Reply, make_tls

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.security.context import SecurityContext

MAX_BODY_BYTES = 65_536

# The service writes these itself, or cannot read what they ask for.
_OWN_NAMES = frozenset({b"host", b"content-length", b"accept-encoding", b"expect", b"user-agent"})
_ANSWER_NAMES = frozenset(name.decode() for name in HOP_BY_HOP_NAMES) | {"trailer", "content-length", "date"}


class TokenServices:
    """One worker's way to the key manager."""

    def __init__(self, context: SecurityContext) -> None:
        manager = context.settings.key_manager
        base = manager.server_url.rstrip("/")
        self._prefix = _path_of(base) + "/" + manager.token_context.strip("/")
        self._wso2 = context.settings.compatibility.statuses == "wso2"
        self._service = Service(
            "key manager's token service",
            base,
            partial(make_tls, context.settings),
            timeout_s=manager.timeout_in_millis / 1000,
            counter=context.counter,
        )
        context.closers.append(self._service.close)

    async def serve(self, exchange: Exchange, body: bytes) -> Answer | Fault:
        """The key manager's answer, whatever it says."""
        question = Question(exchange.method, _headers(exchange), body, self._prefix + exchange.target.decode("latin-1"))
        try:
            reply = await self._service.call(question)
        except ServiceError as error:
            return self._failure(exchange, str(error))
        return _answer(reply)

    def _failure(self, exchange: Exchange, why: str) -> Answer | Fault:
        if self._wso2:
            name = exchange.path.split(b"/")[1].decode("latin-1")
            text = f'{{"error":"error occurred while invoking the {name} endpoint"}}'
            return Answer(200, [(b"Content-Type", b"application/json")], text.encode())
        if why.startswith("gave no answer"):
            return Fault(faults.TOKEN_SERVICE_TIMEOUT)
        return Fault(faults.TOKEN_SERVICE if why.startswith("cannot be asked") else faults.TOKEN_SERVICE_BUSY)


def _path_of(base: str) -> str:
    slash = base.find("/", base.find("//") + 2)
    return base[slash:] if slash > 0 else ""


def _headers(exchange: Exchange) -> tuple[tuple[str, str], ...]:
    """The client's end-to-end fields, its credentials among them, and where it calls from."""
    dropped = exchange.dropped_names or frozenset()
    lines = [*exchange.passing, *exchange.downstream.forwarded.split(b"\r\n")]
    found = []
    for line in lines:
        name, colon, value = line.partition(b":")
        lower = name.lower()
        if colon and lower not in _OWN_NAMES and lower not in dropped and lower != b"authorization":
            found.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    if exchange.authorization:
        found.append(("Authorization", exchange.authorization.decode("latin-1")))
    return tuple(found)


def _answer(reply: Reply) -> Answer:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers if name not in _ANSWER_NAMES
    ]
    return Answer(reply.status, headers, reply.body)
