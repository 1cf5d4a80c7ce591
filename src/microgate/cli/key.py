"""`microgate key`: makes, lists, revokes and rotates opaque API keys in a store, which running gateways follow."""

from __future__ import annotations

import ipaddress
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from microgate.cli.declaration import OUTPUT, Argument, Command, Option, whole_number
from microgate.cli.output import put
from microgate.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console
    from microgate.runtime.security.api_keys.key_book import KeyBook
    from microgate.runtime.security.api_keys.key_records import Record

LONGEST_SECONDS = 100 * 365 * 86_400
_BOUNDS = ("consumer", "application", "scope", "tier", "type", "api", "address", "referer", "lifetime")
# The options that each action takes beside the store.
_TAKEN = {"create": (*_BOUNDS, "output"), "list": ("output",), "revoke": (), "rotate": ("grace", "output")}
ACTIONS = tuple(_TAKEN)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from microgate.runtime.security.api_keys.key_book import KeyBook

    if not arguments.store:
        raise UsageError("--store is missing", "name the file that `apikey.store` names in the settings")
    book = KeyBook(Path(arguments.store))
    action, key_id = arguments.action, arguments.id
    if action in ("revoke", "rotate") and not key_id:
        raise UsageError(f"`{action}` needs the id of a key", "`microgate key list` shows them")
    if action in ("create", "list") and key_id:
        raise UsageError(f"unexpected argument `{key_id}`", f"`{action}` takes no id")
    _reject_strangers(arguments)
    {"create": _create, "list": _list, "revoke": _revoke, "rotate": _rotate}[action](book, arguments, console)
    return 0


def _reject_strangers(arguments: argparse.Namespace) -> None:
    """Say which option means nothing to the action, rather than to leave its user in good faith."""
    taken = _TAKEN[arguments.action]
    for option in COMMAND.options:
        name = option.flags[-1].removeprefix("--")
        given = getattr(arguments, name)
        if name in taken or name == "store" or given in ("", 0, [], None, "production"):
            continue
        takers = " and ".join(f"`{action}`" for action in ACTIONS if name in _TAKEN[action])
        raise UsageError(f"`{arguments.action}` takes no `--{name}`", f"it is for {takers}")


def _create(book: KeyBook, arguments: argparse.Namespace, console: Console) -> None:
    from microgate.runtime.security.api_keys.key_records import Record

    if not arguments.consumer:
        raise UsageError("--consumer is missing", "say whom the key is for")
    now = int(time.time())
    record = Record(
        id=_new_id(),
        consumer=_text(arguments.consumer, "--consumer"),
        created=now,
        application=_text(arguments.application, "--application"),
        scopes=_members(arguments.scope),
        tier=_text(arguments.tier, "--tier"),
        key_type=arguments.type.upper(),
        apis=tuple(_api(text) for text in arguments.api),
        addresses=tuple(_network(text) for text in arguments.address),
        referers=tuple(_page(text) for text in arguments.referer),
        expires=now + arguments.lifetime if arguments.lifetime else 0,
    )
    _hand_out(book.create(record), record, arguments, console)


def _hand_out(key: str, record: Record, arguments: argparse.Namespace, console: Console) -> None:
    put(key, arguments.output, console, secret=True)
    console.say(f"key {record.id} for {record.consumer}; it is shown this once and kept nowhere")


def _list(book: KeyBook, arguments: argparse.Namespace, console: Console) -> None:
    from microgate.cli.tables import render

    now = time.time()
    rows = [
        (
            record.id,
            record.state(now),
            record.consumer,
            record.application or "-",
            record.key_type,
            " ".join(record.scopes) or "-",
            ", ".join(f"{name}:{version}" for name, version in record.apis) or "all",
            _moment(record.expires),
        )
        for record in book.records()
    ]
    heads = ("ID", "STATE", "CONSUMER", "APPLICATION", "TYPE", "SCOPES", "APIS", "EXPIRES")
    put(render(heads, rows), arguments.output, console)


def _revoke(book: KeyBook, arguments: argparse.Namespace, console: Console) -> None:
    record = book.revoke(arguments.id)
    console.say(f"key {record.id} of {record.consumer} is revoked; gateways refuse it within a second")


def _rotate(book: KeyBook, arguments: argparse.Namespace, console: Console) -> None:
    key, record = book.rotate(arguments.id, _new_id(), arguments.grace)
    _hand_out(key, record, arguments, console)
    console.say(f"key {arguments.id} is good for {arguments.grace} more seconds")


def _new_id() -> str:
    return "k" + secrets.token_hex(8)


def _text(text: str, flag: str) -> str:
    if not text.isprintable() or len(text) > 256 or (text and not text.strip()):
        raise UsageError(f"`{flag}` takes 1 to 256 printable characters")
    return text


def _members(given: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(given).replace(",", " ").split()))


def _api(text: str) -> tuple[str, str]:
    name, _, version = _text(text, "--api").rpartition(":")
    if not name or not version:
        raise UsageError(f"`{text}` names no API", "write `NAME:VERSION`, or `NAME:*` for all versions")
    return name, version


def _page(text: str) -> str:
    if not text:
        raise UsageError("`--referer` is empty, and no page is called so", "write `shop.example.com/*`")
    return _text(text, "--referer")


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(text, strict=False)
    except ValueError:
        hint = "write `192.0.2.1` or `192.0.2.0/24`"
        raise UsageError(f"`{text}` is neither an address nor a network", hint) from None
    hint = f"did you mean the network `{wider}` or the address `{text.partition('/')[0]}`?"
    raise UsageError(f"`{text}` is an address inside a network", hint)


def _moment(seconds: int) -> str:
    if not seconds:
        return "never"
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return str(seconds)  # a document of keys may be edited by hand


COMMAND = Command(
    name="key",
    summary="make, list, revoke and rotate opaque API keys",
    run=_run,
    arguments=(
        Argument("ACTION", "what to do", choices=ACTIONS),
        Argument("ID", "key to revoke or rotate", default=""),
    ),
    options=(
        Option(
            ("--store",), "file of the keys, as `apikey.store` names it: `.json` for a document, else SQLite", "FILE"
        ),
        Option(("--consumer",), "whom a new key is for", "NAME", default=""),
        Option(("--application",), "application that calls with it", "NAME", default=""),
        Option(("--scope",), "scope to grant; several with blanks or commas", "SCOPE", repeated=True),
        Option(("--tier",), "application's tier for limits", "NAME", default=""),
        Option(("--type",), "endpoints to call", "TYPE", choices=("production", "sandbox"), default="production"),
        Option(
            ("--api",),
            "API that it is good for, `*` for all versions; without it for all",
            "NAME:VERSION",
            repeated=True,
        ),
        Option(("--address",), "address or network to call from; without it from anywhere", "NETWORK", repeated=True),
        Option(("--referer",), "page to call from, `*` for anything", "PATTERN", repeated=True),
        Option(
            ("--lifetime",),
            "seconds until it expires; 0 for never",
            "SECONDS",
            default="0",
            convert=whole_number(0, LONGEST_SECONDS),
        ),
        Option(
            ("--grace",),
            "seconds that a rotated key is still good for",
            "SECONDS",
            default="0",
            convert=whole_number(0, LONGEST_SECONDS),
        ),
        OUTPUT,
    ),
    about="The store has digests and no keys. Running gateways whose `apikey.store` names it follow each change within a second.",
    examples=(
        "microgate key create --store keys.db --consumer billing --scope read:invoices --api Billing:1.0.0",
        "microgate key rotate --store keys.db --grace 3600 k0123456789abcdef",
    ),
)
