"""A raw client: sends exactly the bytes it is given, reads answers with a deadline, closes in every way there is."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Self

from harness.messages import Answer, Ended, Reader

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

TIMEOUT_SECONDS = 5.0
READ_BYTES = 262_144


class Client:
    """One connection to a gateway."""

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        unix: str = "",
        tls: ssl.SSLContext | None = None,
        server_name: str = "localhost",
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        if unix:
            raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            raw.settimeout(timeout)
            raw.connect(unix)
        else:
            raw = socket.create_connection((host, port), timeout)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = raw
        if tls is not None:
            try:
                self.socket = tls.wrap_socket(raw, server_hostname=server_name)
            except BaseException:
                raw.close()
                raise
        self.reader = Reader(lambda: self.socket.recv(READ_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(
        self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Answer:
        """Send a well-formed request and read its answer."""
        self.send(compose(method, target, headers, body))
        return self.answer(method)

    def get(self, target: str, *headers: tuple[str, str]) -> Answer:
        return self.request("GET", target, headers)

    def answer(self, method: str = "GET") -> Answer:
        """The next final answer. A cut one comes back with `complete` False; Ended means that there was none at all."""
        informational = []
        while True:
            start, fields, head = self.reader.head()
            answer = Answer(start, fields, head, informational=informational)
            if answer.status >= 200:
                break
            informational.append(answer.status)
        if method == "HEAD" or answer.status in (204, 304):
            answer.complete = True
            return answer
        try:
            self.reader.body(answer, until_close=True)
        except Ended as end:
            answer.reset = end.reset
        return answer

    def until_closed(self) -> bytes:
        """All bytes up to the end of the connection, however it ends."""
        while True:
            try:
                self.reader.fill()
            except Ended:
                rest, self.reader.buffer = self.reader.buffer, b""
                return rest

    def is_closed(self, *, within: float = TIMEOUT_SECONDS) -> bool:
        """Whether the other side closes without sending anything more."""
        self.socket.settimeout(within)
        try:
            self.reader.fill()
        except TimeoutError:
            return False
        except Ended as end:
            return end.clean
        return False

    def finish_sending(self) -> None:
        """Close the sending side only."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def compose(method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None) -> bytes:
    """The bytes of a request; Host and Content-Length are added where they are missing."""
    fields = list(headers)
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("Host", "gateway.test"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        fields.append(("Content-Length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")
