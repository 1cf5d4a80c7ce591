"""Certificate files of issuers, followed while the gateway runs: the steward looks at each, the workers change their key.

The steward proves a changed file before anybody hears of it, so a broken one is one line in the log and the last good key
stays. issuers.py loads the first one; key sets are in keys.py.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from microgate.runtime.control import Certificate, Hello
from microgate.runtime.security.fetch import FetchError
from microgate.runtime.security.tokens.keys import LOCAL, KeyFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.control import Channel, Hub, Job
    from microgate.runtime.security.tokens.signatures import VerificationKey
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.security")

# Contents that this process or the one that it was forked from has made keys of. The supervisor proves what there is at the
# start, so that the steward need not touch the libraries for it.
_proved: set[bytes] = set()


def jobs(settings: Settings) -> list[Job]:
    """One job for each certificate file that the settings name, for the steward."""
    return [_job(file) for file in dict.fromkeys(entry.certificate_file for entry in settings.issuers) if file]


def _job(file: str) -> Job:
    async def follow(hub: Hub) -> None:
        await Follower(file, hub).run()

    return follow


class Follower:
    """One file: its newest good content."""

    def __init__(self, file: str, hub: Hub) -> None:
        self._source = file
        self._file = KeyFile(file)
        self._hub = hub
        self._pem = b""
        self._trouble = ""

    async def run(self) -> None:
        self._hub.subscribe(Hello, self._on_hello)
        while True:
            try:
                pem = await self._file.ask()
                if pem is not None:
                    self._take(pem)
            except FetchError as error:
                self._fail(str(error))
            await asyncio.sleep(LOCAL.renew)

    def _take(self, pem: bytes) -> None:
        trouble = "" if pem in _proved else _trouble_with(pem)
        if trouble:
            self._fail(trouble)
            return
        if (self._pem and pem != self._pem) or self._trouble:
            log.info("a new key of issuers is in use: %s", self._source)
        self._trouble = ""
        self._pem = pem
        self._hub.broadcast(Certificate(self._source, pem))

    def _fail(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("cannot use `%s`: %s; the last good key stays in use", self._source, trouble)
        self._trouble = trouble

    def _on_hello(self, slot: int, message: Hello) -> None:
        if self._pem:
            self._hub.send(slot, Certificate(self._source, self._pem))


def _trouble_with(pem: bytes) -> str:
    """Why no key can be made of a file's content, "" where one can."""
    from microgate.runtime.security.tokens.signatures import UnusableKeyError, from_pem

    try:
        from_pem(pem)
    except UnusableKeyError as error:
        return str(error)
    return ""


class FollowedCertificate:
    """A worker's key of one file. `on_loss` is called when another key takes its place."""

    def __init__(self, source: str, pem: bytes, channel: Channel | None, on_loss: Callable[[], None]) -> None:
        """Raise UnusableKeyError where `pem` has no key. An empty `source` is not followed."""
        from microgate.runtime.security.tokens.signatures import from_pem

        self.source = source
        self.key: VerificationKey = from_pem(pem)
        _proved.add(pem)
        self._pem = pem
        self._on_loss = on_loss
        if source and channel is not None:
            channel.subscribe(Certificate, self._on_certificate)

    def _on_certificate(self, message: Certificate) -> None:
        if message.source == self.source:
            self.take(message.pem)

    def take(self, pem: bytes) -> None:
        """Use another key, which whoever brings it has proved."""
        if pem == self._pem:
            return
        from microgate.runtime.security.tokens.signatures import from_pem

        self.key = from_pem(pem)
        self._pem = pem
        self._on_loss()
