"""Long bodies, read in pieces as large as the other side takes without waiting, so that a slow peer's share is not held here.

A connection that is in the middle of a long body reads through a `PieceReader` instead of by itself; short messages never
come this way. What the system holds of it on both sides is bounded too, by `bound_held`, until a body has shown that it is
not held up. Without Linux none of this is done.
"""

from __future__ import annotations

import array
import asyncio
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if sys.platform == "linux":
    from fcntl import ioctl

if TYPE_CHECKING:
    from asyncio import Transport
    from collections.abc import Callable

LONG_BODY_BYTES = 32_768 if sys.platform == "linux" else sys.maxsize  # from so many bytes on, a body is read in pieces
MAX_UNSENT_BYTES = 131_072
MAX_UNREAD_BYTES = 65_536  # what the system takes in ahead of us, on a connection that has shown nothing yet
TRUSTED_BYTES = 262_144  # moved without a wait, after which the system may take in as much as it thinks right
MAX_PIECE_BYTES = 65_536
MIN_PIECE_BYTES = 2_048
PROBING_PIECES = 3

_BUFFER_LOCK = 72  # SO_BUF_LOCK of linux/socket.h: whether the system may change the sizes of buffers
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_UNSENT_REQUEST = 0x894B  # SIOCOUTQNSD of linux/sockios.h


def _can_release() -> bool:
    """Whether a size that was set for what arrives can be given back to the system (Linux 5.15)."""
    if sys.platform != "linux":
        return False
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, _BUFFER_LOCK, 0)
        except OSError:
            return False
    return True


_CAN_RELEASE = _can_release()

# Filled and emptied within one turn of the loop, so all connections of a process share it.
_buffer = memoryview(bytearray(MAX_PIECE_BYTES))
_unsent = array.array("i", [0])


def bound_held(sock: socket.socket) -> None:
    """Bound what the system holds of a TCP connection, unsent or unread; a listening socket hands it on to what it accepts."""
    if _NOTSENT_LOWAT is not None:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, MAX_UNSENT_BYTES)
            if _CAN_RELEASE:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_UNREAD_BYTES)


def room(transport: Transport) -> int:
    """Bytes that the system would take now for the peer, after `bound_held`; a guess that is never far too high."""
    if sys.platform != "linux":
        return MAX_UNSENT_BYTES
    sock = transport.get_extra_info("socket")
    try:
        ioctl(sock.fileno(), _UNSENT_REQUEST, _unsent)
    except (OSError, ValueError):
        return MAX_UNSENT_BYTES  # no TCP
    return MAX_UNSENT_BYTES - _unsent[0] - transport.get_write_buffer_size()


class PieceReader(asyncio.BufferedProtocol):
    """Stands between a transport and `connection` while a long body comes; `room` is that of the side which it goes to."""

    __slots__ = ("_brimful", "_connection", "_room", "_transport", "_until_trusted")

    def __init__(self, connection: asyncio.Protocol, transport: Transport, room: Callable[[], int]) -> None:
        self._connection = connection
        self._transport = transport
        self._room = room
        self._until_trusted = TRUSTED_BYTES
        self._brimful = 0  # pieces read in a row for a peer without room that was never waited for

    def begin(self, *, paused: bool) -> None:
        """Read for the connection from now on; `paused` says that it does not read at present."""
        _hand_over(self._transport, self, paused=paused)

    def end(self, *, paused: bool) -> None:
        """Leave reading to the connection again."""
        self._distrust()
        _hand_over(self._transport, self._connection, paused=paused)

    def get_buffer(self, sizehint: int) -> memoryview:
        # Half of the room each time: what is read last, and may have to wait here, is a small piece.
        size = self._room() >> 1
        if size >= MAX_PIECE_BYTES:
            self._brimful = 0
            return _buffer
        if size < MIN_PIECE_BYTES:
            # A peer that has no room and still takes piece after piece is reading as fast as we are.
            self._brimful += 1
            size = MIN_PIECE_BYTES << max(0, self._brimful - PROBING_PIECES)
            if size >= MAX_PIECE_BYTES:
                return _buffer
        return _buffer[:size]

    def buffer_updated(self, nbytes: int) -> None:
        if self._until_trusted > 0:
            self._until_trusted -= nbytes
            if self._until_trusted <= 0:
                _release(self._transport)
        self._connection.data_received(bytes(_buffer[:nbytes]))

    def waited(self) -> None:
        """The other side could not take more for a while."""
        self._brimful = 0
        self._distrust()

    def _distrust(self) -> None:
        if self._until_trusted <= 0 and _CAN_RELEASE:
            sock = self._transport.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_UNREAD_BYTES)
        self._until_trusted = TRUSTED_BYTES

    def eof_received(self) -> bool | None:
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


def _hand_over(transport: Transport, protocol: asyncio.BaseProtocol, *, paused: bool) -> None:
    # A loop asks how to read when reading begins.
    if not paused:
        transport.pause_reading()
    transport.set_protocol(protocol)
    if not paused:
        transport.resume_reading()


def _release(transport: Transport) -> None:
    if _CAN_RELEASE:
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, _BUFFER_LOCK, 0)
