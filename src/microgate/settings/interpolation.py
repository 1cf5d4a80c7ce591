"""Placeholders in the values of micro-gw.conf: `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}`, `${mgw-runtime.home}`.

Only what is written is filled, once: a value that comes in through a placeholder is not looked at again.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from microgate.settings.listener import SHIPPED_KEY_STORE, SHIPPED_TRUST_STORE

MAX_SECRET_BYTES = 65_536


class PlaceholderError(Exception):
    """Why a placeholder cannot be filled, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Filled(NamedTuple):
    text: str
    changed: bool
    from_file: bool


def fill(text: str, environ: Mapping[str, str]) -> Filled:
    """The text with its placeholders filled; raises PlaceholderError.

    A path of the stores that 3.x shipped stays as it is where there is no such file.
    """
    if "${" not in text:
        return Filled(text, changed=False, from_file=False)
    done: list[str] = []
    rest, from_file = text, False
    while "${" in rest:
        before, _, rest = rest.partition("${")
        inner, closing, rest = rest.partition("}")
        if not closing:
            raise PlaceholderError(f"`${{{inner}` has no closing brace")
        if inner in {"mgw-runtime.home", "ballerina.home"} and text in {SHIPPED_KEY_STORE, SHIPPED_TRUST_STORE}:
            return _shipped(text, environ)
        done += (before, _value(inner, environ))
        from_file = from_file or inner.startswith("file:")
    return Filled("".join([*done, rest]), changed=True, from_file=from_file)


def _value(inner: str, environ: Mapping[str, str]) -> str:
    kind, _, rest = inner.partition(":")
    if kind == "env" and rest:
        name, has_default, default = rest.partition(":-")
        value = environ.get(name) or (default if has_default else environ.get(name))
        if value is None:
            raise PlaceholderError(
                f"the environment variable `{name}` is not set", f"set it, or write `${{env:{name}:-default}}`"
            )
        return value
    if kind == "file" and rest:
        return _content(rest)
    if inner in {"mgw-runtime.home", "ballerina.home"}:
        home = environ.get("MGW_HOME")
        if not home:
            raise PlaceholderError(
                f"`${{{inner}}}` needs the environment variable `MGW_HOME`", "set it, or write the path itself"
            )
        return home if inner == "mgw-runtime.home" else f"{home}/runtime"
    raise PlaceholderError(
        f"unknown placeholder `${{{inner}}}`",
        "there are `${env:NAME:-default}`, `${file:PATH}` and `${mgw-runtime.home}`",
    )


def _content(path: str) -> str:
    """The content of a secret's file without its final line end."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not imported for this alone
            data = file.read(MAX_SECRET_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise PlaceholderError(f"cannot read `{path}`: {(error.strerror or 'unreadable').lower()}") from None
    except ValueError:  # not UTF-8, or a path with NUL
        raise PlaceholderError(f"cannot read `{path}`: it is no text") from None
    if len(data) > MAX_SECRET_BYTES:
        raise PlaceholderError(f"cannot read `{path}`: it is larger than {MAX_SECRET_BYTES} bytes")
    return text.removesuffix("\n").removesuffix("\r")


def _shipped(text: str, environ: Mapping[str, str]) -> Filled:
    home = environ.get("MGW_HOME")
    path = text.replace("${mgw-runtime.home}", home) if home else ""
    if path and os.path.exists(path):  # noqa: PTH110 - as above
        return Filled(path, changed=True, from_file=False)
    return Filled(text, changed=False, from_file=False)
