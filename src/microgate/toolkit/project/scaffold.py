"""Making a project folder (WSO2 §2.2). It is put together beside its place and moved there when it is whole, so a failed
`init` leaves what was there before. Downloads are in `download.py`.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tomllib
from typing import TYPE_CHECKING

from microgate.errors import ProjectError, UsageError
from microgate.settings.toml_errors import explain
from microgate.toolkit.project import layout
from microgate.toolkit.project.stubs import STUBS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_NAME_BYTES = 200  # leaves room for what file systems add to a name of 255


def initialise(
    folder: Path, definitions: Iterable[tuple[str, bytes]], deployment: Path | None = None, *, force: bool = False
) -> None:
    """Make the project `folder` with the OpenAPI files (name, content). Raises ProjectError or UsageError.

    With `force` an existing project is replaced; a folder that is not a project is never touched.
    """
    _check_place(folder, force=force)
    deployment_text = _read_deployment(deployment) if deployment else None
    staging = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        try:
            _fill(staging, definitions)
            if deployment_text is not None:
                (staging / layout.DEPLOYMENT).write_bytes(deployment_text)
            _move_in(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise ProjectError(f"{folder}: cannot be made: {error.strerror or error}") from error


def _check_place(folder: Path, *, force: bool) -> None:
    name = folder.name
    if not name or name == ".." or not name.isprintable() or len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        raise UsageError(
            f"`{folder}` cannot be the name of a project", "give a plain folder name, as in `init petstore`"
        )
    if not folder.parent.is_dir():
        raise ProjectError(f"{folder.parent}: is not a folder", "make it first; `init` makes the last folder only")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ProjectError(f"{folder}: exists and is not a folder")
    if not folder.exists():
        return
    if not force:
        raise ProjectError(f"project `{folder}` already exists", "use -f or --force to replace it with a fresh one")
    if any(folder.iterdir()) and not layout.is_project(folder):
        raise ProjectError(
            f"{folder}: is not a project, so --force does not delete it", "choose another name, or delete it yourself"
        )


def _read_deployment(file: Path) -> bytes:
    try:
        content = file.read_bytes()
        text = content.decode()
        tomllib.loads(text)
    except OSError as error:
        raise ProjectError(f"{file}: cannot be read: {error.strerror or error}") from error
    except tomllib.TOMLDecodeError as error:
        flaw = explain(error, text)
        raise ProjectError(f"{file}:{flaw.line}:{flaw.column}: is not TOML: {flaw.message}", flaw.hint) from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"{file}: is not UTF-8 text") from error
    except RecursionError as error:
        raise ProjectError(f"{file}: is nested too deeply") from error
    return content


def _fill(folder: Path, definitions: Iterable[tuple[str, bytes]]) -> None:
    folder.mkdir()
    for path, text in STUBS.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for name, content in definitions:
        file = folder / layout.DEFINITIONS / name
        if file.exists():
            raise ProjectError(f"two API definitions are named `{name}`", "rename one of them")
        file.write_bytes(content)


def _move_in(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    folder.rename(old)
    try:
        staging.rename(folder)
    except OSError:
        with contextlib.suppress(OSError):
            old.rename(folder)
        raise
    shutil.rmtree(old)
