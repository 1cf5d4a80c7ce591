"""The narrow waist: one request and its answer in flight.

An exchange joins a downstream stream (the client's side) with an upstream stream (the backend's side) and carries what
stages need in between. Protocols call its `on_…` methods and never see a policy; stages see its fields and never a socket.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from microgate.runtime import faults, soap_faults
from microgate.runtime.faults import Answer, Fault

if TYPE_CHECKING:
    from asyncio import Task

    # Field lines as on the wire, each `Name: value` without its end. An answer's never has hop-by-hop fields.
    Lines = list[bytes]

    from microgate.runtime.pipeline import Operation

# Request body that is held while stages decide or a connection is made; over it the client's side is paused.
HELD_BODY_BYTES = 65_536

# Why a body does not flow: the side it goes to is behind, stages have not decided, or a limit on bytes wants it slower.
HELD_BY_PEER, HELD_BY_STAGES, HELD_BY_RATE = 1, 2, 4
_BODY_HOLDS = 7
_ANSWER_SHIFT = 3


class Downstream(Protocol):
    """The client's side of an exchange, as the exchange sees it."""

    peer: str  # address of the directly connected peer; "unix" for a Unix socket. `Exchange.client` is the client's
    scheme: str  # "http" or "https", of this connection. `Exchange.scheme` is what trusted proxies say
    trusted: bool  # the directly connected peer is a trusted proxy
    forwarded: bytes  # the X-Forwarded-* lines that depend on the connection alone, each with its CRLF

    def send_whole(self, exchange: Exchange, start: bytes, lines: Lines, body: bytes) -> None:
        """Send a complete answer at once: `start` is a status line without its end, b"" for `exchange.status`'s usual one."""

    def send_head(self, exchange: Exchange, start: bytes, lines: Lines, length: int | None) -> None:
        """Begin an answer; `length` None means that its end is not known, so the connection has to show it."""

    def send_informational(self, start: bytes, lines: Lines) -> None: ...
    def send_body(self, chunk: bytes) -> None: ...
    def send_end(self, trailers: Lines | None) -> None: ...
    def flush(self) -> None:
        """Hand what was sent to the transport: called once at the end of each piece of upstream input."""

    def abort(self) -> None:
        """End the answer so that the client cannot take it for complete."""

    def client_behind(self, chain: list[bytes]) -> str:
        """The client's address behind the trusted proxies of an X-Forwarded-For chain."""

    def room(self) -> int:
        """Bytes of an answer that would leave this process at once, about."""

    def peer_certificate(self) -> bytes:
        """The certificate (DER) that the directly connected peer proved to own in the handshake; b"" without one."""

    def pause_body(self) -> None: ...
    def resume_body(self) -> None: ...
    def expect_continue(self) -> None:
        """Tell a waiting client to send its body."""


class Upstream(Protocol):
    """The backend's side of an exchange, as the exchange sees it."""

    def send_body(self, chunk: bytes) -> None: ...
    def send_end(self, trailers: Lines | None) -> None: ...
    def abort(self) -> None:
        """The exchange is over for us: close or release, and call nothing of the exchange any more."""

    def room(self) -> int:
        """Bytes of a body that would leave this process at once, about."""

    def pause_answer(self) -> None: ...
    def resume_answer(self) -> None: ...
    def expect_late(self, until: float) -> None:
        """The next piece of the request's body is held back here until then: the backend is not idle for it."""


class Application(NamedTuple):
    """What is known of the application that calls; "" for what nobody says."""

    name: str = ""
    id: str = ""
    uuid: str = ""
    owner: str = ""
    tier: str = ""


class Subscription(NamedTuple):
    """What an application's subscription to an API says; `refusal` is the reason why it may not call, "" where it may."""

    tier: str = ""
    publisher: str = ""
    tenant: str = ""  # of the subscriber
    refusal: str = ""
    epoch: int = 0  # of the records that it was found in; others may say otherwise


class Consumer:
    """Who calls. Made once per verified credential and shared by its exchanges."""

    __slots__ = (
        "application",
        "application_details",
        "assertion",
        "audience_only",
        "claims",
        "cleared",
        "consumer_key",
        "credential",
        "issuer",
        "key_type",
        "limits",
        "must_subscribe",
        "name",
        "named",
        "revocation_keys",
        "scopes",
        "subscriptions",
        "token",
        "until",
    )

    def __init__(
        self, name: str, credential: str, *, key_type: str = "PRODUCTION", scopes: frozenset[str] = frozenset()
    ) -> None:
        self.name = name
        self.credential = credential  # the kind: "jwt", "oauth2", "basic", "api_key", "mutual_tls", "forward"
        self.key_type = key_type  # exactly PRODUCTION chooses the production endpoints (WSO2 §8.1)
        self.scopes = scopes
        self.application = ""
        self.application_details: Application | None = None  # None where nobody has said anything
        self.must_subscribe: bool | None = None  # to the API; None: as the settings have it
        self.subscriptions: dict[str, Subscription] = {}  # by API id, as far as they were looked up
        self.named: dict[str, Any] = {}  # how the access log names it, by API id
        self.limits: dict[str, Any] = {}  # what it is counted in, by API id; throttling keeps it here
        self.assertion = b""  # a token for backends that came with the credential
        self.consumer_key = ""  # of the application, "" where nobody knows
        # Its key is the audience of a token: an application of the key manager, or the API itself, as most issuers have it.
        self.audience_only = False
        self.issuer = ""
        self.claims: dict[str, Any] = {}
        self.until = float("inf")  # seconds since 1970 from which the credential is not good any more
        self.token = b""  # a digest of the credential, where something is kept for each
        self.revocation_keys: tuple[bytes, ...] = ()  # what may be taken back of it, see security.revocation
        self.cleared = -1  # the state of revocations against which it was last found to stand

    @property
    def application_key(self) -> str:
        """What names its application best, "" where nobody knows one: an audience alone may be that of all callers."""
        details = self.application_details
        known = details.id or details.uuid or details.name if details is not None else ""
        return known or ("" if self.audience_only else self.consumer_key)


class ClientCertificate:
    """A client's certificate that was found good. Made once per certificate and shared by its exchanges."""

    __slots__ = ("issuer", "names", "not_after", "not_before", "serial", "subject", "thumbprint")

    def __init__(self, subject: str, thumbprint: str, not_before: float, not_after: float) -> None:
        self.subject = subject  # as RFC 4514 writes it
        self.thumbprint = thumbprint  # `x5t#S256` of RFC 8705: base64url of the SHA-256 of its DER form
        self.not_before = not_before  # seconds since 1970
        self.not_after = not_after
        self.issuer = ""
        self.serial = 0
        self.names: tuple[
            str, ...
        ] = ()  # subject alternative names: `DNS:a.example`, `URI:spiffe://…`, `email:…`, `IP:…`


class Exchange:
    """One request and its answer. All byte fields are as received; nothing is decoded before somebody needs it.

    `target` is in origin form; `path` is its part before "?". `lines` are the request's fields as received, `passing`
    those that go on to a backend. `derived` is what stages made of the fields alone, each under a key of its own, kept for as
    long as the head is; None where it is not kept. `length` is the request body's declared length, -1 for chunked, 0 for
    none. Times are `time.monotonic()` seconds, 0.0 for not yet.
    """

    __slots__ = (
        "answer_head_at",
        "authority",
        "authorization",
        "beside",
        "bytes_in",
        "bytes_out",
        "certificate",
        "client",
        "consumer",
        "derived",
        "done",
        "downstream",
        "dropped_names",
        "dues",
        "expects_continue",
        "fault",
        "head_sent",
        "held",
        "held_bytes",
        "holds",
        "keep_alive",
        "length",
        "lines",
        "method",
        "operation",
        "passing",
        "path",
        "quota",
        "request_complete",
        "request_id",
        "request_id_in",
        "scheme",
        "span_id",
        "started",
        "status",
        "target",
        "task",
        "trace_flags",
        "trace_id",
        "traceparent",
        "trailers",
        "upstream",
        "upstream_name",
        "upstream_started",
        "user_agent",
        "version",
    )

    def __init__(self, downstream: Downstream, method: str, target: bytes, lines: Lines) -> None:
        self.downstream = downstream
        self.client = downstream.peer
        self.scheme = downstream.scheme
        self.method = method
        self.target = target
        self.path = target
        self.lines = lines
        self.passing: Lines = []
        self.derived: dict[object, Any] | None = None
        self.version = 1  # the minor version of HTTP/1, 2 for HTTP/2
        self.authority = b""
        self.authorization = b""  # the one Authorization field; a repeated one is refused by the protocol
        self.request_id_in = b""
        self.traceparent = b""
        self.length = 0
        self.dropped_names: frozenset[bytes] | None = None  # lower-case fields that Connection takes along
        self.user_agent = b""
        self.expects_continue = False
        self.keep_alive = False  # the client's wish; the connection decides
        self.request_complete = False
        self.held: list[bytes] | None = None
        self.held_bytes = 0
        self.holds = 0  # why bodies are paused, of the request and above of the answer
        self.trailers: Lines | None = None
        self.operation: Operation = _UNROUTED
        self.consumer: Consumer | None = None
        self.beside: tuple[Consumer, ...] = ()  # others who vouched together with the consumer
        self.certificate: ClientCertificate | None = None  # set where an API uses certificates
        # Of the limits that counted it the one that is nearest to its end, what it has left (below zero: it was over it), when
        # that was, and which ones it was over although it passed.
        self.quota: Any = None
        self.dues: Any = None  # what limits want of its bodies and of its end; throttling keeps it here
        self.upstream: Upstream | None = None
        self.upstream_name = ""
        self.upstream_started = 0.0
        self.answer_head_at = 0.0
        self.started = monotonic()
        self.request_id = ""
        self.trace_id = ""
        self.span_id = ""
        self.trace_flags = "01"
        self.status = 0
        self.fault: Fault | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.head_sent = False
        self.done = False
        self.task: Task[None] | None = None

    # From the client's side.

    def on_request_body(self, chunk: bytes) -> None:
        self.bytes_in += len(chunk)
        limit = self.operation.max_body_bytes
        if 0 <= limit < self.bytes_in:
            self.fail(Fault(faults.BODY_TOO_LARGE))
        elif self.upstream is not None:
            self.upstream.send_body(chunk)
        elif not self.done:
            if self.held is None:
                self.held = []
            self.held.append(chunk)
            self.held_bytes += len(chunk)
            if self.held_bytes > HELD_BODY_BYTES:
                self.hold_body(HELD_BY_STAGES)
        if self.dues is not None:
            self.dues.on_body()

    def on_request_end(self, trailers: Lines | None) -> None:
        self.request_complete = True
        self.trailers = trailers
        if self.upstream is not None:
            self.upstream.send_end(trailers)

    def on_client_abort(self, reason: str = "client.abort") -> None:
        """The client is gone: whoever works for it stops."""
        if not self.done:
            if self.fault is None:
                self.fault = Fault(faults.CLIENT_ABORT, reason)
            if self.status == 0:
                self.status = self.fault.kind.status
            self._drop_upstream()
            self.finish()

    def on_stop(self) -> None:
        """The gateway ends, and with it the connection: nothing more can be sent."""
        if self.fault is None:
            self.fault = Fault(faults.GATEWAY_STOPPED)
        self.on_client_abort()

    # From the backend's side.

    def attach(self, upstream: Upstream) -> None:
        """A backend connection has taken the request's head; what was held of the body goes there."""
        self.upstream = upstream
        held, self.held = self.held, None
        if held:
            self.held_bytes = 0
            # First, so that the backend's side can pause it again.
            self.release_body(HELD_BY_STAGES | HELD_BY_PEER)
            upstream.send_body(b"".join(held))
        if self.request_complete:
            upstream.send_end(self.trailers)
        elif self.expects_continue:
            self.downstream.expect_continue()
        if self.holds & HELD_BY_RATE:
            upstream.expect_late(self.dues.deadline)

    def on_answer(self, status: int, start: bytes, lines: Lines, body: bytes) -> None:
        """The backend's whole answer, come in one piece; `start` is the status line as it came."""
        self.upstream = None
        if self.done:
            return
        self.status = status
        self.answer_head_at = monotonic()
        self.bytes_out = len(body)
        for stage in self.operation.answer_stages:
            stage(self, lines)
        self.head_sent = True
        self.downstream.send_whole(self, start, lines, body)
        self.finish()

    def on_answer_head(self, status: int, start: bytes, lines: Lines, length: int | None) -> None:
        """The backend's answer begins; stages may change its end-to-end fields."""
        self.status = status
        self.answer_head_at = monotonic()
        for stage in self.operation.answer_stages:
            stage(self, lines)
        self.head_sent = True
        self.downstream.send_head(self, start, lines, length)

    def on_answer_body(self, chunk: bytes) -> None:
        self.bytes_out += len(chunk)
        self.downstream.send_body(chunk)
        if self.dues is not None:
            self.dues.on_body()

    def on_answer_end(self, trailers: Lines | None) -> None:
        self.upstream = None
        if not self.done:
            self.downstream.send_end(trailers)
            self.finish()

    def on_answer_lost(self, fault: Fault) -> None:
        """The backend failed: before the head this becomes a fault, after it the client sees an aborted message."""
        self.upstream = None
        if self.done:
            return
        if self.head_sent:
            self.fault = fault
            self.downstream.abort()
            self.finish()
        else:
            self.fail(fault)

    # From both sides: a body flows while nothing holds it.

    def hold_body(self, why: int) -> None:
        self.holds |= why
        self.downstream.pause_body()

    def release_body(self, why: int) -> None:
        if self.holds & why:
            self.holds &= ~why
            if not self.holds & _BODY_HOLDS:
                self.downstream.resume_body()

    def hold_answer(self, why: int) -> None:
        self.holds |= why << _ANSWER_SHIFT
        if self.upstream is not None:
            self.upstream.pause_answer()

    def release_answer(self, why: int) -> None:
        if self.holds >> _ANSWER_SHIFT & why:
            self.holds &= ~(why << _ANSWER_SHIFT)
            if not self.holds >> _ANSWER_SHIFT and self.upstream is not None:
                self.upstream.resume_answer()

    # From the gateway itself.

    def fail(self, fault: Fault) -> None:
        """Give a fault as the answer, or abort an answer that has begun."""
        if self.done:
            return
        self.fault = fault
        if self.head_sent:
            self._drop_upstream()
            self.downstream.abort()
            self.finish()
        else:
            accept, wso2 = b",".join(self.values(b"accept")), self.operation.wso2_statuses
            self.answer(faults.render(fault, accept, wso2=wso2, form=soap_faults.version_of(self)))

    def answer(self, answer: Answer) -> None:
        """Give a complete answer of the gateway's own; it passes the answer's stages too."""
        if self.done:
            return
        self._drop_upstream()
        self.held = None
        self.status = answer.status
        lines = [b"%b: %b" % pair for pair in answer.headers]
        lines.append(faults.date_line())
        lines.append(b"Content-Length: %d" % len(answer.body))
        for stage in self.operation.answer_stages:
            stage(self, lines)
        self.head_sent = True
        body = b"" if self.method == "HEAD" else answer.body
        self.bytes_out = len(body)
        self.downstream.send_whole(self, b"", lines, body)
        self.finish()

    def values(self, name: bytes) -> list[bytes]:
        """The values of all request fields with this lower-case name, in order: one pass over the lines."""
        start = len(name)
        return [
            line[start + 1 :].strip(b" \t")
            for line in self.lines
            if line[:start].lower() == name and line[start : start + 1] == b":"
        ]

    def finish(self) -> None:
        """The exchange is over, however it ended; its hooks run exactly once."""
        if self.done:
            return
        self.done = True
        if self.task is not None:
            self.task.cancel()
            self.task = None
        for hook in self.operation.end_hooks:
            hook(self)

    def _drop_upstream(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()


class _Unrouted:
    """Stands for the operation until routing finds one, so that nobody asks whether there is one."""

    answer_stages: tuple[Any, ...] = ()
    end_hooks: tuple[Any, ...] = ()
    max_body_bytes = -1
    wso2_statuses = False


_UNROUTED: Any = _Unrouted()
