"""Typed messages between the steward and the workers, over one SEQPACKET pair per worker slot.

A message is one datagram of MessagePack, at most `MAX_BYTES`. The pair outlives the worker: a successor says `Hello` on it
and the steward sends it what it needs to know. Neither side ever blocks on it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from microgate.plan.model import Block  # noqa: TC001 - the decoder of messages looks it up

MAX_BYTES = 131_072


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    pass


M = TypeVar("M", bound=Message)


class Hello(Message, frozen=True, tag=True, array_like=True):
    """A worker begins to serve on `slot`; the steward answers with the state of all its jobs."""

    slot: int
    pid: int


class LogLines(Message, frozen=True, tag=True, array_like=True):
    """Whole access-log lines, each with its newline. `dropped` counts lines that found no room since the last message."""

    data: bytes
    dropped: int = 0


class KeyWanted(Message, frozen=True, tag=True, array_like=True):
    """A token needs a key that the worker does not know, `key_id` is "" where it does not say which; the steward answers with a
    `KeySet` of that source.
    """

    source: str
    key_id: str


class KeySet(Message, frozen=True, tag=True, array_like=True):
    """The steward's newest key set of a source, which is an address or a file as the settings name it.

    `jwks` is a key set with the usable keys alone, empty while there is none. Asking again makes sense after `wait_s`
    seconds; after `expires_s` the keys are void, with 0 they do not expire. `attempt` counts fetches, and while one is
    `pending` the answer to a `KeyWanted` is still to come.
    """

    source: str
    jwks: bytes
    attempt: int
    wait_s: float = 0.0
    expires_s: float = 0.0
    pending: bool = False


class Certificate(Message, frozen=True, tag=True, array_like=True):
    """The newest good content of an issuer's certificate file, PEM."""

    source: str
    pem: bytes


class SubscriberWanted(Message, frozen=True, tag=True, array_like=True):
    """A worker has no record of a consumer key's subscription to an API; the steward answers with a `Subscriber`."""

    consumer_key: str
    api_id: str


class Subscriber(Message, frozen=True, tag=True, array_like=True):
    """What the event hub says of a consumer key and an API; `available` is false where it cannot be asked.

    `application` is as in `exchange.Application`; `state` is "" without a subscription. Good for `good_for_s` seconds.
    """

    consumer_key: str
    api_id: str
    available: bool
    known: bool = False
    application: tuple[str, ...] = ()
    key_type: str = ""
    tier: str = ""
    publisher: str = ""
    state: str = ""
    good_for_s: float = 0.0


class SubscribersChanged(Message, frozen=True, tag=True, array_like=True):
    """Something changed among applications and subscriptions: records are to be looked up anew."""


class LimitsTouched(Message, frozen=True, tag=True, array_like=True):
    """Rows of the table of limits in which a worker has counted what other gateways should know, as 64-bit words."""

    rows: bytes


class BlockList(Message, frozen=True, tag=True, array_like=True):
    """A part of the callers whom a source shuts out; the parts come in order, and the last one puts all of them in force."""

    source: str
    part: int
    is_last: bool
    blocks: tuple[Block, ...]


class ThrottleEvents(Message, frozen=True, tag=True, array_like=True):
    """Admitted requests that a traffic manager is to count: each a body of a request to it."""

    events: tuple[bytes, ...]


class Greeting(Message, frozen=True, tag=True, array_like=True):
    """The steward has begun, or begun anew: workers that serve say `Hello` to it."""


class Drain(Message, frozen=True, tag=True, array_like=True):
    """The supervisor began to stop: readiness fails from now on."""


ToSteward = Hello | LogLines | KeyWanted | Drain | SubscriberWanted | LimitsTouched | ThrottleEvents
ToWorker = KeySet | Certificate | Greeting | Drain | Subscriber | SubscribersChanged | BlockList


def encode(message: Message) -> bytes:
    return msgspec.msgpack.encode(message)


def decode_for_steward(data: bytes) -> ToSteward:
    message: ToSteward = msgspec.msgpack.decode(data, type=ToSteward)
    return message


def decode_for_worker(data: bytes) -> ToWorker:
    message: ToWorker = msgspec.msgpack.decode(data, type=ToWorker)
    return message


class Channel(Protocol):
    """A worker's end. `send` never blocks; False means that there was no room and the message is not on its way."""

    def send(self, message: ToSteward) -> bool: ...
    def subscribe(self, kind: type[M], handler: Callable[[M], None]) -> None: ...


class Hub(Protocol):
    """The steward's end: all workers. Handlers get the worker's slot and the message."""

    workers: int

    def send(self, slot: int, message: ToWorker) -> bool: ...
    def broadcast(self, message: ToWorker) -> None: ...
    def subscribe(self, kind: type[M], handler: Callable[[int, M], None]) -> None: ...


# Once-only work that a room hands the steward: runs for the steward's whole life and is cancelled when it stops.
Job: TypeAlias = Callable[[Hub], Coroutine[Any, Any, None]]
