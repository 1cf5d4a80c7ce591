"""The stage that holds a token against the key that it is bound to: a client certificate (RFC 8705) or a DPoP key (RFC 9449).

A token that says it is bound (`cnf`) is never taken without proof, whether its API asks for bound tokens or not; an API
that asks takes no others. Runs after each authentication, so a verdict from memory is held to it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microgate.runtime.faults import Fault
from microgate.runtime.security.refusals import Reason, TokenError, challenged

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Stage
    from microgate.runtime.security.certificates.dpop import Proofs
    from microgate.runtime.security.context import SecurityContext

UNBOUND = Reason("auth.bound.unbound", "the access token must be bound to its holder")
CONFIRMATION = Reason("auth.bound.confirmation", "the access token is bound in a way that is not supported")
CERTIFICATE = Reason("auth.bound.certificate", "the access token is bound to another client certificate")
SCHEME = Reason("auth.bound.scheme", "the access token is bound to a key and needs the scheme DPoP")

_TOKENS = frozenset({"jwt", "oauth2"})


def link(context: SecurityContext, api: Api, operation: Operation) -> Stage | None:
    """The stage of an operation, None where no token is taken."""
    security = operation.security
    kinds = {member.kind for alternative in security.alternatives for member in alternative} or {*security.schemes}
    if security.opened_by or not _TOKENS & kinds:
        return None
    header = (api.auth_header or context.settings.auth.authorization_header).lower().encode()
    holding = _Holding(context, header, operation)
    wanted = bool(security.bound_tokens)

    def bind(exchange: Exchange) -> Fault | None:
        consumer = exchange.consumer
        if consumer is None or consumer.credential not in _TOKENS:
            return None
        confirmation = consumer.claims.get("cnf")
        if confirmation is None and not wanted:
            return None
        return holding.hold(exchange, confirmation)

    return bind


class _Holding:
    """What an operation asks of bound tokens."""

    def __init__(self, context: SecurityContext, header: bytes, operation: Operation) -> None:
        self._wanted = operation.security.bound_tokens
        self._header = header
        self._certificates = context.certificates if context.asks_clients else None
        self._proofs: Proofs | None = context.proofs if self._wanted in ("dpop", "any") else None
        self._keeps_proof = not context.settings.auth.remove_auth_header_from_out_message
        self._faults = context.refusals(challenged(operation.security))

    def hold(self, exchange: Exchange, confirmation: object) -> Fault | None:
        try:
            self._check(exchange, confirmation)
        except TokenError as error:
            return self._refuse(error)
        return None

    def _check(self, exchange: Exchange, confirmation: object) -> None:
        members: dict[str, Any] = confirmation if isinstance(confirmation, dict) else {}
        certificate, key = members.get("x5t#S256"), members.get("jkt")
        if not (certificate or key):
            raise TokenError(UNBOUND if confirmation is None else CONFIRMATION)
        if (self._wanted == "dpop" and not key) or (self._wanted == "certificate" and not certificate):
            raise TokenError(UNBOUND)
        if certificate:
            self._check_certificate(exchange, certificate)
        word, _, token = self._field(exchange).partition(b" ")
        with_proof = word.lower() == b"dpop"
        if with_proof != bool(key):
            raise TokenError(SCHEME if key else UNBOUND)
        if key:
            self._check_proof(exchange, token.strip(b" "), key)

    def _field(self, exchange: Exchange) -> bytes:
        if self._header == b"authorization":
            return exchange.authorization
        return b"".join(exchange.values(self._header))

    def _check_certificate(self, exchange: Exchange, thumbprint: object) -> None:
        if exchange.certificate is None and self._certificates is not None:
            known = self._certificates.find(exchange)
            exchange.certificate = None if known is None else known.certificate
        if exchange.certificate is None or exchange.certificate.thumbprint != thumbprint:
            raise TokenError(CERTIFICATE)

    def _check_proof(self, exchange: Exchange, token: bytes, holder: object) -> None:
        if self._proofs is None or not isinstance(holder, str):
            raise TokenError(CONFIRMATION)
        self._proofs.check(exchange, token, holder)
        if not self._keeps_proof:
            exchange.passing = [line for line in exchange.passing if line[:5].lower() != b"dpop:"]

    def _refuse(self, error: TokenError) -> Fault:
        fault = self._faults.of(error)
        if error.reason.error != "use_dpop_nonce" or self._proofs is None:
            return fault
        return Fault(fault.kind, fault.reason, headers=(*fault.headers, (b"DPoP-Nonce", self._proofs.nonce())))
