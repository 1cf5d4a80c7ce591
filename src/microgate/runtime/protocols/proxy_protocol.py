"""The PROXY protocol, versions 1 and 2: the first bytes of a connection name the client that a balancer speaks for.

Only trusted proxies are asked for it (`listenerConfig.proxyProtocol`); a header that is wrong ends the connection.
"""

from __future__ import annotations

import ipaddress

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_V1_BYTES = 107
MAX_V2_BYTES = 4_096


class ProxyHeader:
    """Collects the header of one connection. `source` is the client's address once known, "" where none is given."""

    def __init__(self) -> None:
        self._data = b""
        self.source = ""
        self.failed = False

    def feed(self, data: bytes) -> bytes | None:
        """What follows the header, or None while it is incomplete or when it has failed."""
        self._data += data
        if self._data[:12] == SIGNATURE[: len(self._data)][:12]:
            return self._feed_v2()
        return self._feed_v1()

    def _feed_v1(self) -> bytes | None:
        line, end, rest = self._data.partition(b"\r\n")
        if not end:
            self.failed = len(line) > MAX_V1_BYTES or not line.startswith(b"PROXY "[: len(line)])
            return None
        words = line.split(b" ")
        if len(line) > MAX_V1_BYTES or words[0] != b"PROXY":
            self.failed = True
            return None
        if words[1:2] == [b"UNKNOWN"]:
            return rest
        if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6") or not self._set_source(words[2].decode("latin-1")):
            self.failed = True
            return None
        return rest

    def _feed_v2(self) -> bytes | None:
        data = self._data
        if len(data) < 16:
            return None
        command, family = data[12], data[13]
        end = 16 + int.from_bytes(data[14:16], "big")
        if command >> 4 != 2 or (command & 15) > 1 or end > MAX_V2_BYTES:
            self.failed = True
            return None
        if len(data) < end:
            return None
        size = {1: 4, 2: 16}.get(family >> 4, 0)
        if command & 15 and size:
            if end < 16 + 2 * size + 4:
                self.failed = True
                return None
            self.source = str(ipaddress.ip_address(data[16 : 16 + size]))
        return data[end:]

    def _set_source(self, text: str) -> bool:
        try:
            self.source = str(ipaddress.ip_address(text))
        except ValueError:
            return False
        return True
