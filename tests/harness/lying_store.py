"""A store that misbehaves: it lets everybody in and then answers as it is told to, from a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

GREETINGS = (b"PING", b"AUTH", b"SELECT")


class LyingStore:
    """`answer` gives the bytes that follow a command; None ends the connection, and b"" is silence."""

    def __init__(self, answer: Callable[[bytes], bytes | None], greeting: bytes = b"+OK\r\n") -> None:
        self.answer = answer
        self.greeting = greeting
        self.pause_s = 0.0
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._ended = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # A socket that is only closed leaves the thread that waits in it there.
        for one in (self._server, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65_536):
                # One command a time is enough for tests, but a pipeline of them may come in one piece.
                for command in data.split(b"*")[1:]:
                    if any(word in command for word in GREETINGS):
                        connection.sendall(self.greeting)
                        continue
                    self._ended.wait(self.pause_s)
                    answer = self.answer(command)
                    if answer is None:
                        return
                    connection.sendall(answer)
