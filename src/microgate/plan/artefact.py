"""The artefact's form, and opening one: a shell header, then a manifest and a plan, closed by a digest.

The bytes are fixed here for both sides: `toolkit/artefact/pack.py` writes them, the command line opens them to serve or
show. Nothing of the toolkit is imported, because serving an artefact must not pay for building one.

    header (HEADER_BYTES) | magic | format u32 | manifest length u32 | plan length u64 | manifest | plan | SHA-256

The digest covers everything between the header and itself; the header is compared byte for byte.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import struct
from typing import TYPE_CHECKING

import msgspec

from microgate.errors import ArtefactError
from microgate.plan.model import Plan, decode

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1  # raised when an older engine could misread a newer artefact
HEADER_BYTES = 1024  # the same in every format, so that an older engine finds the format number of a newer artefact
MAGIC = b"\x93MGATE\r\n"  # a text-mode copy breaks it
PRELUDE = struct.Struct(">8sIIQ")  # magic, format, length of the manifest, length of the plan
DIGEST_BYTES = 32
MAX_BYTES = 1 << 30  # far above any plan; a length beyond it is damage

# One group, opened as early as can be: a shell runs nothing of a script that was cut inside it, and says so.
_FIRST_LINES = b"#!/bin/sh\n{ # microgate artefact:"
_SCRIPT = (
    _FIRST_LINES
    + b""" a gateway in one file. Run it; do not edit it, data follows this header.
engine=${MICROGATE:-microgate}
if command -v "$engine" >/dev/null 2>&1; then
  exec "$engine" run "$0" "$@"
elif [ -n "$MICROGATE" ]; then
  echo "$0: \\$MICROGATE names no program: $MICROGATE" >&2
else
  echo "$0: needs the microgate engine: 'pip install microgate', or set MICROGATE to its path" >&2
fi
exit 127
}
"""
)
HEADER = _SCRIPT.ljust(HEADER_BYTES - 1, b"#") + b"\n"


class Manifest(msgspec.Struct, frozen=True):
    """What an artefact says about itself without its plan: for people, inventories and `microgate inspect`."""

    project: str
    engine: str  # version of microgate that built it
    inputs: dict[str, str]  # path relative to the project -> hex SHA-256


class Artefact(msgspec.Struct, frozen=True):
    """An opened and verified artefact. `digest` is the hex SHA-256 of the whole file, as `sha256sum` prints it."""

    manifest: Manifest
    plan: Plan
    digest: str
    size_bytes: int


def is_artefact(path: Path) -> bool:
    """Whether the file means to be an artefact, sound or not. False for what cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES + len(MAGIC))
    except OSError:
        return False
    return _opens_as_artefact(head) or head[HEADER_BYTES:] == MAGIC


def open_artefact(path: Path) -> Artefact:
    """Read, verify and decode an artefact; raises ArtefactError with one line for anything less than a sound one."""
    try:
        data = _read(path)
        return verify(data)
    except ArtefactError as error:
        raise ArtefactError(f"{path}: {error}", error.hint) from error.__cause__
    except IsADirectoryError as error:
        raise ArtefactError(
            f"{path}: is a folder, not an artefact", "give the file that `microgate build PROJECT` made"
        ) from error
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error


def verify(data: bytes) -> Artefact:
    """The artefact in `data`; raises ArtefactError."""
    manifest_length, plan_length = _lengths(data, len(data))
    if data[:HEADER_BYTES] != HEADER:
        raise _damaged("its header was changed")
    content = memoryview(data)[HEADER_BYTES:-DIGEST_BYTES]
    if not hmac.compare_digest(hashlib.sha256(content).digest(), data[-DIGEST_BYTES:]):
        raise _damaged("its digest does not match its content")
    manifest = content[PRELUDE.size : PRELUDE.size + manifest_length]
    plan = content[PRELUDE.size + manifest_length :]
    assert len(plan) == plan_length
    digest = hashlib.sha256(data).hexdigest()
    try:
        return Artefact(
            manifest=msgspec.json.decode(manifest, type=Manifest),
            plan=msgspec.structs.replace(decode(bytes(plan)), digest=digest),
            digest=digest,
            size_bytes=len(data),
        )
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _damaged("its content is not a plan") from error


def _read(path: Path) -> bytes:
    # Non-blocking, so that a named pipe is refused instead of waited for.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - opened by descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ArtefactError("is not a file")
        head = file.read(HEADER_BYTES + PRELUDE.size)
        # Before anything is read whole, so that a wrong file of any size costs nothing.
        _lengths(head, status.st_size)
        body = file.read(status.st_size - len(head))
    return head + body


def _lengths(head: bytes, size: int) -> tuple[int, int]:
    if len(head) < HEADER_BYTES + PRELUDE.size:
        if _opens_as_artefact(head):
            raise _damaged("it is truncated")
        raise ArtefactError("is not an artefact", "build one with `microgate build PROJECT`")
    magic, number, manifest_length, plan_length = PRELUDE.unpack_from(head, HEADER_BYTES)
    if magic != MAGIC:
        if _opens_as_artefact(head):
            raise _damaged("its magic number is wrong")
        raise ArtefactError("is not an artefact", "build one with `microgate build PROJECT`")
    if number > FORMAT:
        raise ArtefactError(
            f"has format {number}; this engine reads format {FORMAT}",
            "install a newer microgate, or build the project again with this one",
        )
    expected = HEADER_BYTES + PRELUDE.size + manifest_length + plan_length + DIGEST_BYTES
    if number < 1 or expected > MAX_BYTES or size > expected:
        raise _damaged("its lengths do not add up")
    if size < expected:
        raise _damaged("it is truncated")
    return manifest_length, plan_length


def _opens_as_artefact(head: bytes) -> bool:
    """Whether a file's beginning is that of an artefact, be it cut within its first lines."""
    return head.startswith(_FIRST_LINES) or (head.startswith(b"#!") and _FIRST_LINES.startswith(head))


def _damaged(reason: str) -> ArtefactError:
    return ArtefactError(f"is damaged or was tampered with: {reason}", "copy it again, or build the project again")
