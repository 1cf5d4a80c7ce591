"""The pair between the supervisor and one child: orders go down, words come up, and an end of file says that the other is gone.

Children ignore signals, because a terminal and some service managers send them to every process at once and would break the
order of a stop; what they act on is an order. What steward and workers say to each other is in control.py.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

# Orders of the supervisor.
DRAIN: Final = b"drain"  # stop accepting, finish what is in flight, end
RETIRE: Final = b"retire"  # the same, but a successor takes over the listeners
LEAD: Final = b"lead"  # to a steward: the admin listener is yours
STOP: Final = b"stop"  # end as soon as what is at hand is written
REFRESH: Final = b"refresh"  # look at certificate files now

# Words of a child.
SERVING: Final = b"serving"
UNREADY: Final = b"unready"  # the steward's answer to DRAIN: readiness fails from now on
RETIRED: Final = b"retired"  # the steward's answer to RETIRE: it has let go of the admin listener
_FAILED: Final = b"failed\0"

_MAX_BYTES = 4_096


class Lifeline:
    """One end. Neither end ever blocks; both have room for more messages than there are orders in a life."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock

    def fileno(self) -> int:
        return self._socket.fileno()

    def tell(self, message: bytes) -> None:
        """Send; the death of the other side is noticed by reading, not here."""
        with suppress(OSError):
            self._socket.send(message)

    def tell_failure(self, message: str, hint: str) -> None:
        """A child cannot start: what the user should read."""
        self.tell(_FAILED + f"{message}\0{hint}".encode(errors="replace")[: _MAX_BYTES - len(_FAILED)])

    def hear(self) -> bytes | None:
        """The next message, b"" when the other side is gone, None when there is nothing now."""
        try:
            return self._socket.recv(_MAX_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def close(self) -> None:
        self._socket.close()


class Orders:
    """A child's ear in its running loop: what the supervisor says, one after the other; b"" once the supervisor is gone."""

    def __init__(self, line: Lifeline) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.get = self._heard.get
        self._loop.add_reader(line.fileno(), self._hear)

    def _hear(self) -> None:
        while (order := self._line.hear()) is not None:
            self._heard.put_nowait(order)
            if not order:
                self._loop.remove_reader(self._line.fileno())
                return


def open_pair() -> tuple[Lifeline, Lifeline]:
    """The supervisor's end and the child's."""
    upper, lower = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Lifeline(upper), Lifeline(lower)


def failure(message: bytes) -> tuple[str, str] | None:
    """Message and hint if a child's word is that it cannot start."""
    if not message.startswith(_FAILED):
        return None
    text, _, hint = message[len(_FAILED) :].decode(errors="replace").partition("\0")
    return text, hint
