"""The file of blocks that may change while the gateway runs (`throttlingConfig.blockingFile`): its form, and who follows it.

Each line is a JSON object in the words of `blockingConditions` in policies.yaml; empty lines and those that begin with `#` say
nothing. A file with a mistake changes nothing, since half of it could shut out the wrong ones: the last good list stays.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from microgate.errors import SettingsError
from microgate.plan.model import Block
from microgate.runtime.address_ranges import Ranges
from microgate.runtime.throttling.blocks.block_sender import MAX_NETWORKS, BlockSender

if TYPE_CHECKING:
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.throttling.blocks.blocking import Blocks
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.throttling")

SOURCE = "file"
LOOK_SECONDS = 0.25
ROOM_SECONDS = 0.02  # until there may be room again in the way to a worker
MAX_BYTES = 4 << 20
MAX_BLOCKS = 10_000
_MAX_VALUE = 1_024
_SUBJECTS = ("api", "user", "application", "address", "addresses")
_SETTING = "throttlingConfig.blockingFile"


class BlockingFileError(ValueError):
    """Why a file is no list of blocks, in one line that shows nothing of it."""


def load(path: str) -> tuple[Block, ...]:
    """The blocks of a file; raises BlockingFileError."""
    try:
        with Path(path).open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise BlockingFileError((error.strerror or "it cannot be read").lower()) from None
    return read(data)


def read(data: bytes) -> tuple[Block, ...]:
    """The blocks of a file's content; raises BlockingFileError."""
    if len(data) > MAX_BYTES:
        raise BlockingFileError(f"it is larger than {MAX_BYTES} bytes")
    found: list[Block] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            found.append(_block(text))
        except BlockingFileError as error:
            raise BlockingFileError(f"line {number}: {error}") from None
        if len(found) > MAX_BLOCKS:
            raise BlockingFileError(f"there are more than {MAX_BLOCKS} blocks in it")
    return tuple(found)


def _block(text: bytes) -> Block:
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BlockingFileError("it is no JSON object") from None
    if not isinstance(said, dict):
        raise BlockingFileError("it is no JSON object")
    if not said.keys() <= {*_SUBJECTS, "invert"}:
        raise BlockingFileError(f"it has a key beside {', '.join(f'`{name}`' for name in _SUBJECTS)} and `invert`")
    subjects = [name for name in _SUBJECTS if name in said]
    invert = said.get("invert", False)
    if len(subjects) != 1:
        raise BlockingFileError("it names not exactly one of `api`, `user`, `application` and `address`")
    if not isinstance(invert, bool):
        raise BlockingFileError("`invert` is neither `true` nor `false`")
    kind, value = subjects[0], said[subjects[0]]
    if kind in ("address", "addresses"):
        return Block("address", networks=_networks(value), invert=invert)
    if invert:
        raise BlockingFileError("only addresses can be inverted")
    return Block(kind, value=_value(kind, value))


def _value(kind: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_VALUE:
        raise BlockingFileError(f"`{kind}` is no text, or one of more than {_MAX_VALUE} characters")
    if kind == "api" and not value.startswith("/"):
        raise BlockingFileError("`api` is a base path, which begins with `/`")
    if kind == "application" and not all(part.strip() for part in value.partition(":")):
        raise BlockingFileError("`application` is `<owner>:<name>`")
    return value


def _networks(value: Any) -> tuple[str, ...]:
    networks = [value] if isinstance(value, str) else value
    if not isinstance(networks, list) or not networks or not all(isinstance(text, str) for text in networks):
        raise BlockingFileError("`address` is an address, a network or a range, or a list of them")
    if len(networks) > MAX_NETWORKS:
        raise BlockingFileError(f"there are more than {MAX_NETWORKS} addresses; write several lines")
    for position, text in enumerate(networks, start=1):
        try:
            Ranges((text.strip(),))
        except ValueError:
            raise BlockingFileError(f"address {position} of it is no address, network or range `first-last`") from None
    return tuple(text.strip() for text in networks)


def prove(settings: Settings) -> None:
    """Raise SettingsError where the file of the settings cannot be used: nobody would be shut out."""
    path = settings.throttling.blocking_file
    if not path:
        return
    try:
        load(path)
    except BlockingFileError as error:
        raise SettingsError(f"{_SETTING}: cannot use `{path}`: {error}") from None


def begin(path: str, blocks: Blocks) -> None:
    """Put the file in force in a worker that begins, before it serves. Where it cannot be used now, the steward has the last
    good list.
    """
    with suppress(BlockingFileError):
        blocks.replace(SOURCE, load(path))


def jobs(settings: Settings) -> list[Job]:
    """The steward's work: none where the settings name no file."""
    path = settings.throttling.blocking_file
    if not path:
        return []

    async def follow(hub: Hub) -> None:
        await Follower(path, hub).run()

    return [follow]


class Follower:
    """The file: its newest good content."""

    def __init__(self, path: str, hub: Hub) -> None:
        self._path = path
        self._sender = BlockSender(hub, SOURCE)
        self._seen: tuple[int, ...] | None = None
        self._blocks: tuple[Block, ...] | None = None
        self._trouble = ""

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS if self._sender.push() else ROOM_SECONDS)

    def look(self) -> None:
        """Read the file if it has changed."""
        try:
            status = Path(self._path).stat()
            now = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
            if now == self._seen:
                return
            self._seen = now
            self._take(load(self._path))
        except OSError as error:
            self._seen = None
            self._fail((error.strerror or "it cannot be read").lower())
        except BlockingFileError as error:
            self._fail(str(error))

    def _take(self, blocks: tuple[Block, ...]) -> None:
        if self._trouble or (self._blocks is not None and blocks != self._blocks):
            log.info("%d blocks of `%s` are in force", len(blocks), self._path)
        self._trouble = ""
        if blocks != self._blocks:
            self._blocks = blocks
            self._sender.replace(blocks)

    def _fail(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("cannot use `%s`: %s; the last good list stays in force", self._path, trouble)
        self._trouble = trouble
