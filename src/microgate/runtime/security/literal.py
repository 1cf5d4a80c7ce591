"""`security` of a description read as OpenAPI means it: any alternative suffices, with all of its
members and all of their scopes.

Chosen by the project; the default is WSO2's reading in `authenticate.py`.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.exchange import Consumer
from microgate.runtime.security import key_places, refusals, schemes
from microgate.runtime.security.certificates import bound_tokens
from microgate.runtime.security.refusals import TokenError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.plan.model import Api, Operation, Requirement, Security
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.pipeline import Outcome, Stage
    from microgate.runtime.security.certificates.bound_tokens import Binding
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.key_places import Finder
    from microgate.runtime.security.schemes import Scheme

# Who calls, where several members say so: the one that knows most.
_RANK = ("jwt", "oauth2", "basic", "api_key", "forward", "mutual_tls")
_WORDS = {b"bearer": ("jwt", "oauth2"), b"basic": ("basic",)}


class _Member(NamedTuple):
    """One requirement, ready to be asked."""

    kind: str
    scheme: Scheme | None
    scopes: frozenset[str]
    find_key: Finder
    binding: Binding | None


class _Found(NamedTuple):
    """What a request brings for a member."""

    member: _Member
    value: bytes
    credential: bytes


def link(context: SecurityContext, header: bytes, api: Api, operation: Operation) -> Stage:
    """The stage of an operation whose `header` carries what has a word before it, `Bearer` or `Basic`."""
    security = operation.security
    alternatives = tuple(
        tuple(
            _member(
                schemes.of(context, requirement.kind, api, operation),
                requirement,
                bound_tokens.of_member(context, header, security, requirement),
            )
            for requirement in alternative
        )
        for alternative in security.alternatives
    )
    return _Reading(context, header, alternatives, security).authenticate


def _member(scheme: Scheme | None, requirement: Requirement, binding: Binding | None) -> _Member:
    return _Member(
        requirement.kind,
        scheme,
        frozenset(requirement.scopes),
        key_places.finder(requirement.key_places),
        binding,
    )


class _Reading:
    """The alternatives of one operation."""

    def __init__(
        self,
        context: SecurityContext,
        header: bytes,
        alternatives: tuple[tuple[_Member, ...], ...],
        security: Security,
    ) -> None:
        self._header = header
        self._alternatives = alternatives
        self._faults = context.refusals(refusals.challenged(security))
        self._takes_proofs = refusals.takes_proofs(security)
        self._mark = context.mark

    def authenticate(self, exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        """Try the alternatives that the request brings everything for, in their order."""
        try:
            complete, brings = self._complete(exchange)
        except TokenError as error:
            return self._faults.of(error)
        if not complete:
            return self._faults.fault(refusals.WRONG_SCHEME if brings else refusals.MISSING)
        if complete == [[]]:
            # Anybody may call who says nothing; a credential that cannot be judged does not make its bearer nobody.
            return self._faults.fault(refusals.WRONG_SCHEME) if brings else None
        return self._try(exchange, complete)

    def _complete(self, exchange: Exchange) -> tuple[list[list[_Found]], bool]:
        """The alternatives whose members all have a credential, the one for anybody last; and whether there is any."""
        values = exchange.values(self._header)
        if len(values) > 1:
            raise TokenError(refusals.REPEATED)
        value = values[0] if values else b""
        word, _, credential = value.partition(b" ")
        kinds = _WORDS.get(word.lower(), ())
        if word.lower() == b"dpop" and self._takes_proofs:
            kinds, value = _WORDS[b"bearer"], b"Bearer " + credential.strip(b" ")
        brings = bool(value)
        complete: list[list[_Found]] = []
        for alternative in self._alternatives:
            found = []
            for member in alternative:
                at = _find(member, exchange, (value, credential.strip(b" ")), kinds)
                brings = brings or bool(at is not None and at.credential)
                if at is not None:
                    found.append(at)
            if len(found) == len(alternative):
                complete.append(found)
        return sorted(complete, key=lambda found: not found), brings

    async def _try(self, exchange: Exchange, complete: list[list[_Found]]) -> Fault | None:
        refusal: Fault | None = None
        for found in complete:
            try:
                judged = [await self._judge(at, exchange) for at in found]
            except TokenError as error:
                refusal = refusal or self._faults.of(error)
                continue
            lacking = [at.member for at, who in zip(found, judged, strict=True) if not at.member.scopes <= who.scopes]
            if lacking:
                refusal = self._faults.insufficient_scope(tuple(sorted(lacking[0].scopes)))
                continue
            # Last: a proof is good once, so nothing of the alternative may fail after it.
            unbound = next(filter(None, map(_hold, found, judged, repeat(exchange))), None)
            if unbound is not None:
                refusal = unbound  # it may bring the nonce that is needed
                continue
            if judged:
                judged.sort(key=lambda who: _rank(who.credential))
                exchange.consumer, *others = judged
                exchange.beside += tuple(others)
            elif refusal is not None:
                break  # a credential that is not good does not make its bearer nobody
            return None
        return refusal

    async def _judge(self, found: _Found, exchange: Exchange) -> Consumer:
        assert found.member.scheme is not None
        judged = found.member.scheme.judge(exchange, found.value, found.credential)
        consumer = judged if isinstance(judged, Consumer) else await judged
        self._mark(consumer, found.credential)
        return consumer


def _find(member: _Member, exchange: Exchange, field: tuple[bytes, bytes], kinds: tuple[str, ...]) -> _Found | None:
    if member.scheme is None:
        return None
    if member.kind == "api_key":
        key = member.find_key(exchange)
        return _Found(member, key, key) if key else None
    if member.kind == "forward" or (member.kind == "mutual_tls" and exchange.certificate is not None):
        return _Found(member, b"", b"")
    if member.kind not in kinds:
        return None
    value, credential = field
    if member.kind != "basic" and (member.kind == "jwt") != schemes.looks_self_contained(credential):
        return None
    return _Found(member, value, credential)


def _hold(found: _Found, who: Consumer, exchange: Exchange) -> Fault | None:
    return None if found.member.binding is None else found.member.binding.hold(exchange, who.claims.get("cnf"))


def _rank(kind: str) -> int:
    return _RANK.index(kind) if kind in _RANK else len(_RANK)
