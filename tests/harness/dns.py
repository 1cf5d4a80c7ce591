"""A real name server on a loopback UDP socket, whose records a test changes while it runs.

It answers A and AAAA of exactly the names it is given, can fall silent or fail, and counts what it was asked.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from typing import Self

_TYPES = {1: "A", 28: "AAAA"}
_FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3


class NameServer:
    """`records` maps a name to its addresses by type. `silent` types get no answer at all, `failing` ones SERVFAIL."""

    def __init__(self, records: dict[str, dict[str, list[str]]] | None = None, *, ttl: int = 60) -> None:
        self.records = records or {}
        self.ttl = ttl
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self.asked: Counter[tuple[str, str]] = Counter()
        self._start(("127.0.0.1", 0))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def go_away(self) -> None:
        """Close the socket: queries are refused by the system."""
        self._address = self._socket.getsockname()
        self._stop()

    def come_back(self) -> None:
        """Serve again, on the same port."""
        self._start(self._address)

    def fall_silent(self) -> None:
        self.silent = {"A", "AAAA"}

    def recover(self) -> None:
        self.silent, self.failing = set(), set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start(self, address: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        # An empty datagram to itself ends the thread.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            answer = self._answer(query)
            if answer:
                self._socket.sendto(answer, client)

    def _answer(self, query: bytes) -> bytes:
        name, end = _read_name(query)
        kind = _TYPES.get(struct.unpack("!H", query[end : end + 2])[0], "")
        self.asked[name, kind] += 1
        if kind in self.silent:
            return b""
        code, addresses = NO_ERROR, self.records.get(name, {}).get(kind, [])
        if kind in self.failing:
            code, addresses = SERVER_FAILURE, []
        elif name not in self.records:
            code = NO_SUCH_NAME
        header = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(addresses), 0, 0)
        return header + query[12 : end + 4] + b"".join(self._record(kind, text, query) for text in addresses)

    def _record(self, kind: str, text: str, query: bytes) -> bytes:
        data = socket.inet_pton(_FAMILIES[kind], text)
        number = next(number for number, known in _TYPES.items() if known == kind)
        return b"\xc0\x0c" + struct.pack("!HHIH", number, 1, self.ttl, len(data)) + data


def _read_name(query: bytes) -> tuple[str, int]:
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode().lower())
        place += 1 + query[place]
    return ".".join(labels), place + 1
