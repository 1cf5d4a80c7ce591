"""A real backend on raw sockets that records every connection and byte, and answers as a script says.

A script is a function of one `Talk`: it may read the body, send any bytes, stall, close or reset. It is chosen for the whole
backend (`backend.script`) or by path (`backend.scripts`). One thread accepts, one serves each connection.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Self, TypeAlias

from harness.messages import Ended, Reader, Request
from harness.waiting import wait_until

READ_BYTES = 262_144


class Recorded:
    """One connection: what came in on it, and how it ended ("", "closed" by the peer, "reset" by it, "ours")."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests: list[Request] = []
        self.bytes = 0
        self.ended = ""


class Talk:
    """One request on a connection, in the hands of a script."""

    def __init__(self, backend: Backend, connection: socket.socket, reader: Reader, request: Request) -> None:
        self.backend = backend
        self.socket = connection
        self.reader = reader
        self.request = request
        self.over = False

    def read_body(self) -> bytes:
        """The rest of the request; what cannot be read leaves `request.complete` False and raises Ended."""
        if not self.request.complete:
            self.reader.body(self.request, until_close=False)
        return self.request.body

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        """End the connection with a FIN."""
        self.over = True

    def reset(self) -> None:
        """End the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.over = True

    def wait(self, event: threading.Event | None = None, *, seconds: float = 30.0) -> bool:
        """Do nothing until the event, the end of the backend, or the time is up."""
        waited = threading.Event() if event is None else event
        self.backend.waits.append(waited)
        return waited.wait(seconds)

    def wait_for_end(self, *, seconds: float = 30.0) -> None:
        """Read until the peer ends the connection; raises Ended then."""
        self.socket.settimeout(seconds)
        while True:
            self.reader.fill()
            self.reader.buffer = b""


Script: TypeAlias = Callable[[Talk], None]


def respond(body: bytes = b"ok", *, status: str = "200 OK", headers: tuple[tuple[str, str], ...] = ()) -> Script:
    """A plain answer with a length, after the whole request was read."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)

    def script(talk: Talk) -> None:
        talk.read_body()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode("latin-1")
        talk.send(head if talk.request.method == "HEAD" else head + body)

    return script


def raw(data: bytes, *, then: str = "keep", read: str = "all") -> Script:
    """Exactly these bytes. `read` is "all" or "head" of the request first; `then` is keep, close, reset, or hold."""

    def script(talk: Talk) -> None:
        if read == "all":
            talk.read_body()
        talk.send(data)
        if then == "close":
            talk.close()
        elif then == "reset":
            talk.reset()
        elif then == "hold":
            talk.wait_for_end()

    return script


def held(release: threading.Event) -> Script:
    """An empty answer once `release` is set, so that a test can look at a request in flight."""

    def script(talk: Talk) -> None:
        talk.read_body()
        talk.wait(release)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return script


def echo(talk: Talk) -> None:
    """The request's body back, chunk by chunk as it comes, under the framing it came with."""
    talk.read_body()
    body = talk.request.body
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Backend:
    """A server on a port of its own; `with Backend() as backend:` starts and stops it."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        unix: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.script: Script = script or respond()
        self.scripts: dict[str, Script] = {}
        self.connections: list[Recorded] = []
        self.waits: list[threading.Event] = []
        self.errors: list[BaseException] = []
        self._numbers = itertools.count()
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._stopped = False
        if unix:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(unix)
            self.port = 0
            self.url = f"unix:{unix}:"
        else:
            self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
            self.port = self._listener.getsockname()[1]
            self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._listener.listen(512)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._listener.shutdown(socket.SHUT_RDWR)
        for event in list(self.waits):
            event.set()
        with self._lock:
            for connection in self._open:
                _shut(connection)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a backend thread does not end"
        self._listener.close()
        assert not self.errors, self.errors

    # What was seen.

    @property
    def requests(self) -> list[Request]:
        """In the order in which their heads were read."""
        found = [request for connection in self.connections for request in connection.requests]
        return sorted(found, key=lambda request: request.number)

    @property
    def bytes(self) -> int:
        return sum(connection.bytes for connection in self.connections)

    def wait_for(self, count: int) -> list[Request]:
        """The requests, once there are so many heads."""
        return wait_until(
            lambda: self.requests if len(self.requests) >= count else None, f"{count} requests at the backend"
        )

    def forget(self) -> None:
        """Begin a new test: records and scripts are as at the start; open connections stay, as a pool has them."""
        for event in list(self.waits):
            event.set()
        self.waits.clear()
        self.scripts.clear()
        self.script = respond()
        for connection in self.connections:
            connection.requests = []
            connection.bytes = 0
        self.connections = [connection for connection in self.connections if not connection.ended]

    # Threads.

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            recorded = Recorded(len(self.connections))
            self.connections.append(recorded)
            self._start(self._serve, connection, recorded)

    def _serve(self, connection: socket.socket, recorded: Recorded) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            if self._stopped:
                return
            if self._tls is not None:
                connection = self._secure(connection, self._tls)
            self._converse(connection, recorded)
        except Ended as end:
            recorded.ended = recorded.ended or ("reset" if end.reset else "closed")
        except (ssl.SSLError, ConnectionError, BrokenPipeError):
            recorded.ended = recorded.ended or "reset"
        except BaseException as error:
            if not self._stopped:
                self.errors.append(error)
            raise
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            recorded.ended = recorded.ended or "ours"

    def _secure(self, connection: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        connection.settimeout(5)
        with self._lock:
            self._open.discard(connection)
        secured = tls.wrap_socket(connection, server_side=True)
        secured.settimeout(None)
        with self._lock:
            self._open.add(secured)
        return secured

    def _converse(self, connection: socket.socket, recorded: Recorded) -> None:
        def receive() -> bytes:
            data = connection.recv(READ_BYTES)
            recorded.bytes += len(data)
            return data

        reader = Reader(receive)
        while not self._stopped:
            start, fields, head = reader.head()
            request = Request(start, fields, head, connection=recorded.number, number=next(self._numbers))
            recorded.requests.append(request)
            talk = Talk(self, connection, reader, request)
            path = request.target.partition("?")[0]
            self.scripts.get(path, self.script)(talk)
            if talk.over:
                return
            talk.read_body()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # already gone
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """A port to which connections hang: nothing accepts there, and the queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A port that is taken, so that nobody else gets it, and where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
