"""The stage that holds a token against the key that it is bound to: a client certificate (RFC 8705) or a DPoP key (RFC 9449).

A token that says it is bound (`cnf`) is never taken without proof, whether its API asks for bound tokens or not; an API
that asks takes no others. Runs after each authentication, so a verdict from memory is held to it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microgate.runtime.faults import Fault
from microgate.runtime.security.refusals import Reason, TokenError, challenged, takes_proofs

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation, Requirement, Security
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
    """The stage of an operation, None where no token is taken, or where each alternative of the literal reading has its own."""
    security = operation.security
    if security.opened_by or security.alternatives or not _TOKENS & {*security.schemes}:
        return None
    header = (api.auth_header or context.settings.auth.authorization_header).lower().encode()
    binding = Binding(context, header, security, security.bound_tokens)
    wanted = bool(security.bound_tokens)

    def bind(exchange: Exchange) -> Fault | None:
        consumer = exchange.consumer
        if consumer is None or consumer.credential not in _TOKENS:
            return None
        confirmation = consumer.claims.get("cnf")
        if confirmation is None and not wanted:
            return None
        return binding.hold(exchange, confirmation)

    return bind


def of_member(context: SecurityContext, header: bytes, security: Security, member: Requirement) -> Binding | None:
    """What a member of an alternative asks of its tokens, None where it is another credential."""
    if member.kind not in _TOKENS:
        return None
    return Binding(context, header, security, member.bound_tokens or security.bound_tokens)


class Binding:
    """What is asked of bound tokens: of all of an operation, or of those of one alternative (`wanted`)."""

    def __init__(self, context: SecurityContext, header: bytes, security: Security, wanted: str) -> None:
        self._wanted = wanted
        self._header = header
        self._certificates = context.certificates if context.asks_clients else None
        self._proofs: Proofs | None = context.proofs if takes_proofs(security) else None
        self._keeps_proof = not context.settings.auth.remove_auth_header_from_out_message
        self._faults = context.refusals(challenged(security))

    def hold(self, exchange: Exchange, confirmation: object) -> Fault | None:
        """Why a token may not be taken, whose claim `cnf` is `confirmation`."""
        try:
            self._check(exchange, confirmation)
        except TokenError as error:
            return self._refuse(error)
        return None

    def _check(self, exchange: Exchange, confirmation: object) -> None:
        if confirmation is None and not self._wanted:
            # RFC 9449 §7.1: the scheme DPoP says that the token is bound.
            if self._field(exchange)[:5].lower() == b"dpop ":
                raise TokenError(UNBOUND)
            return
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
