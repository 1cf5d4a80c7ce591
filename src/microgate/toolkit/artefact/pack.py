"""Writing an artefact: a plan becomes the one executable file, the same bytes for the same plan. The form and the opening
are in `plan/artefact.py`; the command line calls this at the end of a build.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from typing import TYPE_CHECKING

import msgspec

from microgate.errors import ProjectError
from microgate.plan.artefact import FORMAT, HEADER, MAGIC, MAX_BYTES, PRELUDE, Manifest
from microgate.plan.model import Plan, encode

if TYPE_CHECKING:
    from pathlib import Path


def pack(plan: Plan) -> bytes:
    """The bytes of the plan's artefact; they depend on nothing else, so on no clock, path, user or machine.

    Raises ProjectError for a plan that no artefact can hold.
    """
    try:
        manifest = msgspec.json.encode(Manifest(project=plan.project, engine=plan.engine, inputs=dict(plan.inputs)))
        body = encode(plan)
    except UnicodeEncodeError as error:
        raise ProjectError(
            f"a name of the project is not UTF-8: {error.object!r}", "rename the file or folder"
        ) from error
    content = PRELUDE.pack(MAGIC, FORMAT, len(manifest), len(body)) + manifest + body
    if len(content) > MAX_BYTES // 2:
        raise ProjectError(f"the compiled project has {len(content):,} bytes; an artefact holds {MAX_BYTES // 2:,}")
    return HEADER + content + hashlib.sha256(content).digest()


def write(data: bytes, file: Path) -> str:
    """Put an artefact at `file`, whole or not at all, executable by all; the hex SHA-256 of its bytes.

    What stood there before stays until the new one is complete. Raises ProjectError.
    """
    unfinished = file.with_name(f".{file.name[:100]}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            unfinished.chmod(0o755)
            unfinished.replace(file)
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink()
    except (FileExistsError, NotADirectoryError) as error:
        raise ProjectError(f"{file}: cannot be written: `{file.parent}` is not a folder") from error
    except OSError as error:
        raise ProjectError(f"{file}: cannot be written: {error.strerror or error}") from error
    return hashlib.sha256(data).hexdigest()
