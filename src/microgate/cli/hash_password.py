"""`microgate hash-password`: reads a password and prints what the settings are to store of it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from microgate.cli.declaration import Argument, Command, Option
from microgate.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from microgate.runtime.security.passwords import stored_forms as passwords

    name = arguments.name
    if ":" in name or not name.isprintable():
        raise UsageError(f"`{name}` is no name of a user", "a name has neither colons nor control characters")
    password = _password().encode()
    if len(password) > passwords.MAX_PASSWORD_BYTES:
        raise UsageError(f"the password is longer than {passwords.MAX_PASSWORD_BYTES} bytes")
    if arguments.algorithm == "bcrypt" and len(password) > passwords.BCRYPT_BYTES:
        console.warning(f"bcrypt looks at the first {passwords.BCRYPT_BYTES} bytes of a password alone")
    stored = passwords.make_stored(arguments.algorithm, password)
    if not name:
        console.data(stored)
        return 0
    key = name if _BARE_KEY.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    console.data(f'[b7a.users.{key}]\npassword = "{stored}"')
    return 0


def _password() -> str:
    """From a terminal twice and unseen, else the first line of standard input; raises UsageError."""
    if sys.stdin is not None and sys.stdin.isatty():
        import getpass

        try:
            password = getpass.getpass("Password: ")
            if getpass.getpass("Once more: ") != password:
                raise UsageError("the two are not the same")
        except EOFError:
            password = ""
    else:
        try:
            password = sys.stdin.readline() if sys.stdin is not None else ""
        except UnicodeDecodeError:
            raise UsageError("the password is no text in the encoding of this system") from None
        password = password.rstrip("\r\n")
    if not password or not password.isprintable():
        what = "has control characters, or bytes that are no text" if password else "is empty"
        raise UsageError(f"the password {what}", "give it as the first line of standard input, or type it")
    return password


COMMAND = Command(
    name="hash-password",
    summary="read a password and print what to store of it",
    run=_run,
    arguments=(Argument("NAME", "the user; with it, the lines for the settings are printed", default=""),),
    options=(
        Option(
            ("--algorithm",),
            "how it is stored",
            "ALGORITHM",
            choices=("argon2id", "scrypt", "bcrypt", "sha256"),
            default="argon2id",
        ),
    ),
    about="The password is asked for on a terminal, else it is the first line of standard input; never an argument.",
    examples=("microgate hash-password ann", "microgate hash-password < password.txt"),
)
