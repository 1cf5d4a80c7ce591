"""HTTP/1.1 messages as tests read them: one reader for both ends, which keeps the bytes as they came.

Deliberately simple and independent of the parser the gateway uses, so that the two do not share a mistake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_BODY_BYTES = 4 * 1024 * 1024

Fields = list[tuple[str, str]]


class Ended(Exception):  # noqa: N818 - not an error in itself: the other side has closed
    """The connection ended; `clean` means before any byte of a message, `reset` that it was not a FIN."""

    def __init__(self, *, clean: bool, reset: bool) -> None:
        super().__init__(f"connection {'reset' if reset else 'closed'} {'between' if clean else 'inside'} messages")
        self.clean = clean
        self.reset = reset


@dataclass
class Message:
    """One message. `complete` is False where the connection ended inside it; `size` counts body bytes, kept or not."""

    start: str
    headers: Fields
    head: bytes = b""
    body: bytes = b""
    size: int = 0
    trailers: Fields = field(default_factory=list)
    chunks: int = 0
    complete: bool = False

    def header(self, name: str) -> str | None:
        """The field's value, None where it is absent; repeated ones are joined with ", "."""
        found = self.all(name)
        return ", ".join(found) if found else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Answer(Message):
    """An answer as a client read it."""

    informational: list[int] = field(default_factory=list)
    reset: bool = False

    @property
    def version(self) -> str:
        return self.start.split(" ", 1)[0]

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fault(self) -> int | None:
        """The code of a fault in WSO2's form, None for any other answer."""
        if not self.body.startswith(b'{"fault"'):
            return None
        return self.json["fault"]["code"]


@dataclass
class Request(Message):
    """A request as a backend read it; `number` counts over all its connections."""

    connection: int = 0
    number: int = 0

    @property
    def method(self) -> str:
        return self.start.split(" ", 1)[0]

    @property
    def target(self) -> str:
        return self.start.split(" ")[1]


class Reader:
    """Takes messages from a stream of bytes; `receive` returns b"" at a FIN and raises OSError at a reset."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self.buffer = b""
        self.received = 0

    def fill(self) -> None:
        """Read more, or raise Ended."""
        try:
            data = self._receive()
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(clean=not self.buffer, reset=True) from error
        if not data:
            raise Ended(clean=not self.buffer, reset=False)
        self.received += len(data)
        self.buffer += data

    def head(self) -> tuple[str, Fields, bytes]:
        """Start line, fields and the bytes of both."""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        raw, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        start, *lines = raw.decode("latin-1").split("\r\n")
        return start, [_field(line) for line in lines], raw + b"\r\n\r\n"

    def body(self, message: Message, *, until_close: bool) -> None:
        """Read a body by the message's own framing; raises Ended where it is cut short."""
        coding = message.header("transfer-encoding")
        length = message.header("content-length")
        if coding is not None and coding.lower().endswith("chunked"):
            self._chunks(message)
        elif length is not None:
            self._exactly(message, int(length))
        elif until_close:
            self._rest(message)
        message.complete = True

    def _chunks(self, message: Message) -> None:
        while True:
            size = int(self._line().partition(b";")[0], 16)
            if size == 0:
                break
            message.chunks += 1
            self._exactly(message, size)
            assert self._line() == b"", "a chunk is longer than it says"
        while line := self._line():
            message.trailers.append(_field(line.decode("latin-1")))

    def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _exactly(self, message: Message, size: int) -> None:
        while size:
            if not self.buffer:
                self.fill()
            piece, self.buffer = self.buffer[:size], self.buffer[size:]
            size -= len(piece)
            _take(message, piece)

    def _rest(self, message: Message) -> None:
        while True:
            _take(message, self.buffer)
            self.buffer = b""
            try:
                self.fill()
            except Ended as end:
                if end.reset:
                    raise
                return


def _take(message: Message, piece: bytes) -> None:
    message.size += len(piece)
    if message.size <= KEPT_BODY_BYTES:
        message.body += piece


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")
