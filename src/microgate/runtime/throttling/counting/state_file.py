"""What callers have used up, in a file, so that it outlives the gateway where settings ask for that.

The steward writes it every half minute and the supervisor at the end, each time whole and in place of the one before. A file that
cannot be read is left aside with a warning: nobody is refused for it.
"""

from __future__ import annotations

import logging
import os
import struct
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from microgate.errors import SettingsError
from microgate.runtime.throttling.counting.clock import LimitClock
from microgate.runtime.throttling.counting.table import CELLS, LOW, META, Table, is_bucket, window_of
from microgate.runtime.throttling.counting.windows import count_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.runtime.throttling.counting.table import LimitRegion

log = logging.getLogger("microgate.throttling")

WRITE_SECONDS = 30.0
BLOCK_ROWS = 512

_MAGIC = b"microgate limits 1\n"
_ROW = struct.Struct("<qqqq")  # both words of the digest, the kind of row, its count or level
_CHECK = struct.Struct("<I")


def write(region: LimitRegion, path: Path) -> None:
    """Write all counts that still matter; raises OSError, and the file before stays as it was then."""
    table = Table(region, None)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    checksum = 0
    try:
        with aside.open("wb") as file:
            file.write(_MAGIC)
            for rows in _rows(table, LimitClock(table)):
                checksum = zlib.crc32(rows, checksum)
                file.write(rows)
            file.write(_CHECK.pack(checksum))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _rows(table: Table, clock: LimitClock) -> Iterator[bytes]:
    offset = clock.offset
    now = clock.monotonic() + offset
    for begin in range(0, table.rows, BLOCK_ROWS):
        found = b"".join(
            _ROW.pack(words[0], words[LOW], words[META], value)
            for _, words in table.block(begin, BLOCK_ROWS)
            if (value := _value(words, table.slots, now, offset))
        )
        if found:
            yield found


def _value(words: list[int], slots: int, now: float, offset: float) -> int:
    """The one word that says what a row says: what this node counted in its newest window, or when a bucket will be full.

    0 where it matters no more.
    """
    cells = words[CELLS : CELLS + slots + 1]
    if is_bucket(words[META]):
        # A moment of the wall clock, for the monotonic one begins anew with the machine.
        full_at = max(cells) + int(offset * 1_000_000)
        return full_at if full_at > now * 1_000_000 else 0
    window_s = window_of(words[META])
    shift = count_bits(window_s)
    number = max(cells) >> shift
    if number < int(now // window_s) - 1:
        return 0
    base = number << shift
    return base + sum(cell - base for cell in cells if cell > base)


def read(region: LimitRegion, path: Path) -> int:
    """Take up the counts of a file into memory that nobody counts in yet; how many. A file that is not there has none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as error:
        log.warning("the counts of limits begin at nothing: %s: %s", path, (error.strerror or str(error)).lower())
        return 0
    rows = data[len(_MAGIC) : -_CHECK.size]
    whole = data.startswith(_MAGIC) and len(rows) % _ROW.size == 0 and data.endswith(_CHECK.pack(zlib.crc32(rows)))
    if not whole:
        log.warning("the counts of limits begin at nothing: %s is not whole, or not a file of counts", path)
        return 0
    table = Table(region, None)
    table.use_common()
    clock = LimitClock(table)
    offset, now = clock.offset, clock.monotonic()
    for high, low, kind, value in _ROW.iter_unpack(rows):
        row = table.find(struct.pack("<qq", high, low), kind)
        table.cells[row + CELLS + table.slots] = _taken_up(kind, value, now, offset)
    return len(rows) // _ROW.size


def _taken_up(kind: int, value: int, now: float, offset: float) -> int:
    """A word for the cell. The wall clock may have stood later when it was written: nothing is further ahead than a window."""
    window_s = window_of(kind)
    if is_bucket(kind):
        return min(value - int(offset * 1_000_000), int((now + window_s) * 1_000_000))
    shift = count_bits(window_s)
    present = int((now + offset) // window_s)
    return value if value >> shift <= present else (present << shift) + (value & ((1 << shift) - 1))


def prove(path: str) -> None:
    """Raise SettingsError where no file could ever be kept there: better told at the start than when the gateway ends."""
    file = Path(path)
    if file.is_dir():
        problem = "it is a directory"
    elif not file.parent.is_dir():
        problem = "there is no such folder"
    elif not os.access(file.parent, os.W_OK | os.X_OK):
        problem = "nothing can be written into its folder"
    else:
        return
    raise SettingsError(f"throttlingConfig.stateFile: cannot keep counts in `{path}`: {problem}")


class StateFile:
    """The file of one gateway. Trouble is told once, and its end too."""

    def __init__(self, region: LimitRegion, path: str) -> None:
        self._region = region
        self._path = Path(path)
        self._fails = False

    def read(self) -> None:
        started = time.monotonic()
        count = read(self._region, self._path)
        if count:
            log.info("took up %d counts of limits in %.1f s: %s", count, time.monotonic() - started, self._path)

    def write(self) -> None:
        try:
            write(self._region, self._path)
        except OSError as error:
            if not self._fails:
                reason = (error.strerror or str(error)).lower()
                log.error("the counts of limits cannot be kept: %s: %s", self._path, reason)  # noqa: TRY400 - no traceback
            self._fails = True
            return
        if self._fails:
            log.info("the counts of limits are kept again: %s", self._path)
        self._fails = False
