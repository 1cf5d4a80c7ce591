"""What the security stages of one worker share: the trusted issuers, the verdicts on tokens, the clock.

Assembly makes one and hands it to every `link`. The code that verifies tokens is imported only where an issuer is
configured, for it takes `cryptography` along.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from microgate.errors import about
from microgate.plan.model import Plan
from microgate.runtime.extensions import Extensions
from microgate.runtime.security import refusals, schemes
from microgate.runtime.security.certificates import client_trust
from microgate.runtime.security.counting import uncounted
from microgate.runtime.security.refusals import Refusals, TokenError
from microgate.runtime.security.subscriptions import stage as subscriptions
from microgate.runtime.security.verdicts import Verdict, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.control import Channel
    from microgate.runtime.exchange import Consumer
    from microgate.runtime.security.assertions.backend_jwt import BackendTokens
    from microgate.runtime.security.calls import Service
    from microgate.runtime.security.certificates.client_certificates import ClientCertificates
    from microgate.runtime.security.certificates.dpop import Proofs
    from microgate.runtime.security.certificates.replay import ReplayRegion
    from microgate.runtime.security.counting import Counter
    from microgate.runtime.security.revocation.stage import Revocations
    from microgate.runtime.security.revocation.table import Region
    from microgate.runtime.security.schemes import Scheme
    from microgate.runtime.security.tokens.issuers import Issuers
    from microgate.settings.model import Settings

VERDICT_BYTES = 32 << 20
_NO_PLAN = Plan(project="", engine="", apis=(), upstreams=())

log = logging.getLogger("microgate.security")


class SecurityContext:
    """`channel` leads to the steward, None where there is none; `clock` gives seconds since 1970, `counter` and
    `gauge` give what counts. `extensions` are the project's Python, which runs where there is a `plan` alone.

    Raises KeyMaterialError when a configured key cannot be had.
    """

    def __init__(  # noqa: PLR0913 - filled by one caller, assembly, with keywords
        self,
        settings: Settings,
        channel: Channel | None,
        *,
        replays: tuple[ReplayRegion, int] | None = None,
        plan: Plan | None = None,
        counter: Counter = uncounted,
        gauge: Counter = uncounted,
        clock: Callable[[], float] = time.time,
        revocations: Region | None = None,
    ) -> None:
        self.settings = settings
        self.extensions = Extensions(plan or _NO_PLAN)
        self.verdicts = Verdicts(VERDICT_BYTES, settings.caching.token_cache_capacity, clock, counter, gauge)
        self._verified = counter("token_verifications")
        self.channel = channel
        self.clock = clock
        self.counter = counter
        self.gauge = gauge
        self.subscriptions = subscriptions.load(settings, plan, channel)
        self._backend_tokens: BackendTokens | None = None
        self._refusals: dict[tuple[str, ...], Refusals] = {}
        self._schemes: dict[str, Scheme | None] = {}
        self.closers: list[Callable[[], None]] = []  # of schemes that keep connections
        self._certificates: ClientCertificates | None = None
        self.asks_clients = plan is not None and client_trust.demand(plan, settings) is not None
        self._replays = replays
        self._proofs: Proofs | None = None
        self.mark: Callable[[Consumer, bytes], None] = _leave  # notes by what a caller can be revoked
        self.revocations: Revocations | None = None
        if revocations is not None and settings.revocation.in_use:
            from microgate.runtime.security.revocation import stage

            self.revocations = stage.Revocations(revocations, clock)
            self.mark = stage.mark
        self._issuers: Issuers | None = None
        if settings.issuers:
            from microgate.runtime.security.tokens import issuers

            self._issuers = issuers.load(
                settings, channel, self.verdicts.clear, self.extensions if plan is not None else None
            )
            self.closers.append(self._issuers.close)
        if settings.user_stores and plan is not None:
            self.scheme("basic")  # a provider of users that cannot be loaded stops the start, not a request

    def service(self, name: str, url: str, *, timeout_s: float = 5.0) -> Service:
        """A service that requests wait for, closed with everything else. `name` is how logs call it."""
        from microgate.runtime.security.calls import Service
        from microgate.runtime.security.fetch import make_tls

        tls = partial(make_tls, self.settings)
        service = Service(name, url, tls, timeout_s=timeout_s, counter=self.counter)
        self.closers.append(service.close)
        return service

    def scheme(self, kind: str) -> Scheme | None:
        """The scheme of this kind, the same for all operations; None where the settings leave it without any means."""
        if kind not in self._schemes:
            self._schemes[kind] = schemes.make(kind, self)
        return self._schemes[kind]

    @property
    def certificates(self) -> ClientCertificates:
        """The certificates of clients, for operations that use them; raises KeyMaterialError."""
        if self._certificates is None:
            from microgate.runtime.security.certificates.client_certificates import ClientCertificates

            self._certificates = ClientCertificates(self.settings, self.clock)
        return self._certificates

    @property
    def proofs(self) -> Proofs:
        """What checks that the sender of a request holds the key of its token."""
        if self._proofs is None:
            from microgate.runtime.security.certificates import dpop, replay

            region, slot = self._replays or (replay.open_region(1, self.clock), 0)
            self._proofs = dpop.Proofs(
                self.settings.dpop, replay.Replays(region, slot), region, self.clock, self.counter
            )
        return self._proofs

    def close(self) -> None:
        for close in self.closers:
            close()
        if self._certificates is not None:
            self._certificates.close()

    @property
    def backend_tokens(self) -> BackendTokens | None:
        """Tokens for backends, None where none are made; raises KeyMaterialError and SettingsError."""
        if self._backend_tokens is None and self.settings.backend_jwt.jwt_generator_enabled:
            from microgate.runtime.security.assertions.backend_jwt import BackendTokens

            self._backend_tokens = BackendTokens(self)
        return self._backend_tokens

    def refusals(self, schemes: tuple[str, ...]) -> Refusals:
        """The faults for operations with these schemes."""
        if schemes not in self._refusals:
            self._refusals[schemes] = Refusals(schemes, wso2=self.settings.compatibility.statuses == "wso2")
        return self._refusals[schemes]

    def admit(self, value: bytes, token: bytes) -> Consumer:
        """Verify a token and remember the verdict under the header's `value`; raises TokenError."""
        if self._issuers is None:
            raise TokenError(refusals.ISSUER)
        self._verified(1)
        now = self.clock()
        verdict = self._issuers.verify(token, now)
        longest = now + self.settings.caching.token_cache_expiry_time
        if verdict.until > longest:
            verdict = Verdict(longest, verdict.consumer, verdict.text_bytes)
        self.verdicts.keep(value, verdict)
        return verdict.consumer


def _leave(consumer: Consumer, credential: bytes) -> None:
    pass


def prove(settings: Settings, plan: Plan) -> None:
    """Raise KeyMaterialError for a configured key that cannot be had: for the supervisor, before anything serves."""
    SecurityContext(settings, None)
    subscriptions.prove(settings, plan)
    if settings.revocation.in_use:
        from microgate.runtime.security.revocation import jobs as revocation

        with about("tokenRevocationConfig"):
            revocation.prove(plan, settings)
    if settings.backend_jwt.jwt_generator_enabled:
        from microgate.runtime.security.assertions import backend_signer

        with about("jwtGeneratorConfig", "listenerConfig"):
            backend_signer.load(settings)
    if any("api_key" in operation.security.schemes for api in plan.apis for operation in api.operations):
        from microgate.runtime.security.api_keys import scheme as api_keys

        with about("apikey.tokenConfigs.certificateFile", "apikey.store"):
            api_keys.prove(settings)
    if settings.b7a.users or settings.user_stores:
        from microgate.runtime.security.passwords.user_stores import making

        making.prove(settings)
    elif any("basic" in operation.security.schemes for api in plan.apis for operation in api.operations):
        log.warning(
            "nobody can log in: operations take passwords, and there is no user in [b7a.users] and no [[userStore]]"
        )
    if client_trust.demand(plan, settings) is not None:
        from microgate.runtime.security.certificates import client_certificates

        with about("mutualSSLConfig", "listenerConfig.trustStorePath"):
            client_certificates.prove(settings, plan.apis)
