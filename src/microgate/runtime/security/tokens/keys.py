"""The steward's work for token keys: it follows each configured key set and tells the workers (`followed_keys.py`).

A set is fetched at the start, renewed at intervals, and fetched at once for a key that a worker asks for: one fetch in
flight, and one such per cool-down over all workers. While a source is down its last keys stay in use until they expire.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from microgate.runtime import control
from microgate.runtime.control import Hello, KeySet, KeyWanted
from microgate.runtime.security.counting import uncounted
from microgate.runtime.security.fetch import Documents, FetchError, is_loopback, parse_address
from microgate.runtime.security.tokens.discovery import Discovered, source_of
from microgate.runtime.security.tokens.key_sets import KeySetError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microgate.runtime.control import Hub, Job
    from microgate.runtime.security.counting import Counter
    from microgate.settings.model import JwtIssuer, Settings

    Ask = Callable[[], Awaitable[bytes | None]]

MAX_KEY_SET_BYTES = control.MAX_BYTES - 4_096

log = logging.getLogger("microgate.security")


class Pace(NamedTuple):
    """When a source is asked, in seconds. `first_retry` doubles up to `retry` while there is no key at all."""

    renew: float
    first_retry: float
    retry: float
    cool_down: float
    expiry: float  # 0: never


REMOTE = Pace(renew=300.0, first_retry=1.0, retry=30.0, cool_down=30.0, expiry=86_400.0)
LOCAL = Pace(renew=2.0, first_retry=2.0, retry=2.0, cool_down=1.0, expiry=0.0)


def jobs(settings: Settings, counter: Counter = uncounted, *, remote: Pace = REMOTE) -> list[Job]:
    """One job for each key set that the settings name, for the steward."""
    issuers: dict[str, list[JwtIssuer]] = {}
    for entry in settings.issuers:
        source = source_of(entry)
        if source:
            issuers.setdefault(source, []).append(entry)
    found: list[Job] = []
    for source, entries in issuers.items():
        names = [entry.issuer for entry in entries]
        if source == entries[0].jwks_file:
            found.append(_job(source, names, KeyFile(source).ask, LOCAL))
            continue
        documents = Documents(settings)
        asked = Discovered(names[0], documents) if entries[0].discovery else _Remote(source, documents)
        found.append(_job(source, names, _counted(asked.ask, counter), remote))
    return found


def _counted(ask: Ask, counter: Counter) -> Ask:
    fetched, failed = counter("key_set_fetches"), counter("key_set_failures")

    async def count() -> bytes | None:
        fetched(1)
        try:
            return await ask()
        except FetchError:
            failed(1)
            raise

    return count


def _job(source: str, issuers: list[str], ask: Ask, pace: Pace) -> Job:
    async def follow(hub: Hub) -> None:
        await Follower(source, issuers, ask, pace, hub).run()

    return follow


class Follower:
    """One source: its newest good key set, and when to ask again."""

    def __init__(self, source: str, issuers: list[str], ask: Ask, pace: Pace, hub: Hub) -> None:
        self._source = source
        self._name = f"key set {source} of issuer {', '.join(issuers)}"
        self._ask = ask
        self._pace = pace
        self._hub = hub
        self._jwks = b""
        self._key_ids: frozenset[str] = frozenset()
        self._attempts = 0
        self._failures = 0
        self._trouble = ""
        self._asking = True
        self._asked_for = False
        self._good_at = 0.0
        self._ask_next_at = 0.0
        self._on_demand_at = 0.0
        self._due = asyncio.Event()

    async def run(self) -> None:
        self._hub.subscribe(Hello, self._on_hello)
        self._hub.subscribe(KeyWanted, self._on_wanted)
        while True:
            await self._renew()
            self._due.clear()
            try:
                async with asyncio.timeout(self._ask_next_at - monotonic()):
                    await self._due.wait()
            except TimeoutError:
                continue

    def state(self) -> KeySet:
        now = monotonic()
        expires_s = max(self._good_at + self._pace.expiry - now, 0.001) if self._jwks and self._pace.expiry else 0.0
        return KeySet(
            source=self._source,
            jwks=self._jwks,
            attempt=self._attempts,
            wait_s=max(self._next_at() - now, 0.0),
            expires_s=expires_s,
            pending=self._asking,
        )

    def _next_at(self) -> float:
        """When the source is asked again at the earliest, should a worker wish it."""
        return min(self._on_demand_at, self._ask_next_at) if self._jwks else self._ask_next_at

    def _on_hello(self, slot: int, message: Hello) -> None:
        self._tell(slot)

    def _on_wanted(self, slot: int, message: KeyWanted) -> None:
        if message.source != self._source:
            return
        self._asked_for = True
        if self._asking:
            return  # the answer to all comes when the fetch is done
        now = monotonic()
        # Without any key the retries are under way: a fetch on demand is kept for a rotation.
        if not self._jwks or message.key_id in self._key_ids or now < self._on_demand_at:
            self._tell(slot)
            return
        self._on_demand_at = now + self._pace.cool_down
        self._asking = True
        self._due.set()

    def _tell(self, slot: int) -> None:
        self._hub.send(slot, self.state())

    async def _renew(self) -> None:
        """Ask the source once, and tell the workers what they do not know yet."""
        self._asking = True
        self._attempts += 1
        document = None
        try:
            document = await self._ask()
            if document is not None:
                self._take(document)
        except (FetchError, KeySetError) as error:
            self._fail(str(error))
        self._asking = False
        self._plan_next()
        if document is not None or self._asked_for:
            self._asked_for = False
            self._hub.broadcast(self.state())

    def _take(self, document: bytes) -> None:
        jwks = shorten(document)
        if len(jwks) > MAX_KEY_SET_BYTES:
            raise KeySetError(f"is larger than {MAX_KEY_SET_BYTES} bytes")
        if self._trouble or not self._jwks:
            log.info("the %s is there", self._name)
        self._trouble = ""
        self._failures = 0
        self._jwks = jwks
        self._good_at = monotonic()
        self._key_ids = frozenset(member.get("kid", "") for member in msgspec.json.decode(jwks)["keys"]) - {""}

    def _fail(self, trouble: str) -> None:
        self._failures += 1
        if self._jwks and self._pace.expiry and monotonic() >= self._good_at + self._pace.expiry:
            self._jwks = b""
            self._key_ids = frozenset()
            self._trouble = ""
        if trouble != self._trouble:
            effect = (
                "its last keys stay in use" if self._jwks else "tokens of this issuer are refused until it is there"
            )
            log.warning("the %s cannot be used: %s; %s", self._name, trouble, effect)
        self._trouble = trouble

    def _plan_next(self) -> None:
        pace = self._pace
        delay = pace.renew
        if self._failures:
            # Without any key every call fails, so the first retries come soon; with keys there is no hurry.
            delay = pace.retry if self._jwks else min(pace.first_retry * 2 ** min(self._failures - 1, 16), pace.retry)
        self._ask_next_at = monotonic() + delay


class _Remote:
    """A key set behind an address."""

    def __init__(self, url: str, documents: Documents) -> None:
        self._url = url
        self._documents = documents
        self._warned = False

    async def ask(self) -> bytes | None:
        address = parse_address(self._url)
        if not address.secure and not is_loopback(address) and not self._warned:
            self._warned = True
            log.warning("the key set %s comes without TLS: who can change it on its way can sign tokens", self._url)
        return await self._documents.get(address)


class KeyFile:
    """Key material in a file, read when it changes."""

    def __init__(self, file: str) -> None:
        self._path = Path(file)
        self._seen: tuple[int, int, int] | None = None

    async def ask(self) -> bytes | None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen == self._seen:
                return None
            self._seen = seen
            if status.st_size > MAX_KEY_SET_BYTES:
                raise FetchError(f"it is larger than {MAX_KEY_SET_BYTES} bytes")
            return self._path.read_bytes()
        except OSError as error:
            self._seen = None
            raise FetchError((error.strerror or "it cannot be read").lower()) from None
