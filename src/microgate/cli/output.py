"""Where a command's data goes: standard output, or the file of `-o`, written whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from microgate.errors import ProjectError

if TYPE_CHECKING:
    from microgate.cli.console import Console


def put(text: str, file: str | None, console: Console, *, secret: bool = False) -> None:
    """Print the text, or write it to the file with a final newline; a `secret` for its owner alone. Raises ProjectError."""
    if file is None:
        console.data(text)
        return
    path = Path(file)
    if path.exists() and not path.is_file():
        # A pipe, terminal or /dev/stdout is written to; it cannot be replaced.
        _write(path, text)
        return
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        unfinished.touch(0o600 if secret else 0o666)
        _write(unfinished, text, shown=path)
        unfinished.replace(path)
    except OSError as error:
        raise ProjectError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _write(path: Path, text: str, shown: Path | None = None) -> None:
    try:
        path.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ProjectError(f"{shown or path}: cannot be written: {error.strerror or error}") from error
