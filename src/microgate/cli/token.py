"""`microgate token`: prints a signed token for development, which `microgate run --dev` trusts and nothing else does."""

from __future__ import annotations

import argparse
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from microgate.cli.declaration import OUTPUT, Command, Option, whole_number
from microgate.cli.output import put

if TYPE_CHECKING:
    from microgate.cli.console import Console

LONGEST_SECONDS = 10 * 365 * 86_400


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from microgate.cli import development_keys

    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": development_keys.ISSUER,
        "sub": arguments.subject,
        "aud": development_keys.ISSUER,
        "iat": now,
        "exp": now + int(arguments.lifetime),
        "jti": secrets.token_hex(16),
    }
    # Scopes are one string with blanks between them (RFC 8693 §4.2); a list with commas is what people type.
    scopes = " ".join(" ".join(arguments.scope).replace(",", " ").split())
    if scopes:
        claims["scope"] = scopes
    claims.update(arguments.claim)
    put(development_keys.sign(claims, arguments.algorithm), arguments.output, console, secret=True)
    console.detail(f"signed with the keys beside {development_keys.key_set_file()}")
    return 0


def _claim(text: str) -> tuple[str, Any]:
    """What is JSON means what it means there, so that lists and numbers can be said; all else is text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"`{text}` is not `NAME=VALUE`")
    try:
        return name, json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return name, value


def _refuse(constant: str) -> None:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(constant)


COMMAND = Command(
    name="token",
    summary="print a signed token for development; only `run --dev` trusts it",
    run=_run,
    options=(
        Option(("--scope",), "scope to grant; several with blanks or commas", "SCOPE", repeated=True),
        Option(("--subject",), "whom the token is for", "NAME", default="developer"),
        Option(
            ("--claim",),
            "one more claim; a VALUE that is JSON is taken as such, anything else as text",
            "NAME=VALUE",
            repeated=True,
            convert=_claim,
        ),
        Option(
            ("--lifetime",),
            "seconds until it expires",
            "SECONDS",
            default="3600",
            convert=whole_number(1, LONGEST_SECONDS),
        ),
        Option(("--algorithm",), "signature", "NAME", choices=("RS256", "ES256"), default="RS256"),
        OUTPUT,
    ),
    about="The first call makes the key pairs in the user's state folder, readable by the user alone.",
    examples=(
        "TOKEN=$(microgate token --scope read:pets)",
        "TOKEN=$(microgate token --subject ann --claim consumerKey=mobile --claim plan=gold)",
        'curl -H "Authorization: Bearer $TOKEN" ...',
    ),
)
