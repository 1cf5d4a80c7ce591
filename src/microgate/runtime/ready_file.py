"""The file that tells a script the real ports, written once every worker serves (`--ready-file`)."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from microgate.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

    from microgate.runtime.listeners import Listeners


def write_ready_file(path: Path, listeners: Listeners) -> None:
    """Write atomically, so that whoever sees the file sees all of it. Ports are null where there is no such listener."""
    content = {
        "pid": os.getpid(),
        "http": listeners.port("http"),
        "https": listeners.port("https"),
        "token": listeners.port("token"),
        "admin": listeners.admin.port if listeners.admin is not None else None,
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(content) + "\n", encoding="ascii")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot write the ready file `{path}`: {reason}") from error
