"""What a source says, as entries of the table: texts and JSON objects in the words of WSO2 (§6.11) and in ours.

A text is a revoked value. An object names what is revoked: `token`, `signature`, `jti` (with `issuer`), `key`, `consumer` or
`subject`; `expires` is when it would have ended by itself, and `issuedBefore` spares what was issued later. WSO2's objects
have `revokedToken` and `ttl`, or `jwt_signature` and `expiry_time`. Anything else raises ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.security.revocation import marks
from microgate.runtime.security.revocation.table import FOREVER, Entry

if TYPE_CHECKING:
    from microgate.settings.model import Settings

MAX_VALUE_BYTES = 65_536
_MILLISECONDS = 100_000_000_000  # larger numbers count them, or would be later than the year 5000
_MOMENT = 1_000_000_000  # smaller numbers are a life from now on, or would be before 2002
_VALUES = (
    ("token", "token"),
    ("revokedToken", "token"),
    ("signature", "token"),
    ("jwt_signature", "token"),
    ("jwtSignature", "token"),
    ("key", "token"),
    ("jti", "jti"),
    ("consumer", "consumer"),
    ("subject", "subject"),
)
_EXPIRIES = ("expires", "expiry_time", "expiryTime", "ttl")
_OTHERS = {"issuer", "issuedBefore"}
_NAMES = {name for name, _ in _VALUES} | set(_EXPIRIES) | _OTHERS
_DEFAULT_LEEWAY_SECONDS = 30
_MARGIN_SECONDS = 5  # clocks of machines differ, and so do the moments at which processes look at them


class Unreadable(NamedTuple):
    """Stands for a piece of a source that is not even a text or an object."""

    why: str


class Terms(NamedTuple):
    """`leeway` is how long after its expiry a token may still be good, `least` the shortest life of one that has no expiry."""

    leeway: int
    least: int

    @classmethod
    def of(cls, settings: Settings) -> Terms:
        skew_ms = settings.server.timestamp_skew
        leeway = _DEFAULT_LEEWAY_SECONDS if skew_ms < 0 else -(-skew_ms // 1000)
        # A verdict on an opaque token may be remembered for longer than the life that a notifier makes up for it.
        return cls(leeway + _MARGIN_SECONDS, settings.caching.token_cache_expiry_time)


def read(said: object, now: int, terms: Terms) -> Entry | None:
    """The entry, None where its time is over already; raises ValueError."""
    if isinstance(said, str):
        return Entry(_of_text(said), FOREVER)
    if isinstance(said, Unreadable):
        raise ValueError(said.why)  # noqa: TRY004 - as below
    if not isinstance(said, dict):
        raise ValueError("an entry is a text or an object")  # noqa: TRY004 - the input is wrong, not the caller
    unknown = [name for name in said if name not in _NAMES]
    if unknown:
        raise ValueError(f"an entry has the unknown member `{str(unknown[0])[:40]}`")
    named = [(name, kind) for name, kind in _VALUES if said.get(name) is not None]
    if len(named) != 1:
        raise ValueError("an entry names one thing that is revoked")
    name, kind = named[0]
    until = _until(said, now, terms)
    if until <= now:
        return None
    return Entry(_key(kind, _text(said, name), said), until, _before(said))


def _key(kind: str, value: str, said: dict[str, object]) -> bytes:
    issuer = _text(said, "issuer") if said.get("issuer") is not None else ""
    if kind == "consumer":
        return marks.of_consumer(value)
    if kind == "subject":
        return marks.of_subject(value, issuer)
    if kind == "jti" and issuer:
        return marks.of_issued(issuer, value)
    return _of_text(value)


def _of_text(value: str) -> bytes:
    data = value.strip().encode(errors="replace")
    if not 0 < len(data) <= MAX_VALUE_BYTES:
        raise ValueError(f"a revoked value has 1 to {MAX_VALUE_BYTES} bytes")
    return marks.of_value(data)


def _text(said: dict[str, object], name: str) -> str:
    value = said[name]
    if not isinstance(value, str) or not 0 < len(value) <= MAX_VALUE_BYTES:
        raise ValueError(f"`{name}` is a text of 1 to {MAX_VALUE_BYTES} bytes")
    return value


def _until(said: dict[str, object], now: int, terms: Terms) -> int:
    """When nobody would take the token any more, whatever is revoked; without a time that is never."""
    given = next((said[name] for name in _EXPIRIES if said.get(name) is not None), None)
    if given is None:
        return FOREVER
    number = _number(given)
    if number <= 0:
        return FOREVER
    if number < _MOMENT:
        return now + max(number, terms.least) + terms.leeway
    return min(_seconds(number) + terms.leeway, FOREVER)


def _before(said: dict[str, object]) -> int:
    given = said.get("issuedBefore")
    return 0 if given is None else max(1, min(_seconds(_number(given)), FOREVER))


def _seconds(number: int) -> int:
    return -(-number // 1000) if number > _MILLISECONDS else number


def _number(given: object) -> int:
    if isinstance(given, str):
        given = given.strip()
        if not given.isascii() or not given.removeprefix("-").isdecimal() or len(given) > 20:
            raise ValueError("a time is a number of seconds or milliseconds")
        return int(given)
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) < 1 << 63:
        raise ValueError("a time is a number of seconds or milliseconds")
    return int(given)
