"""The ways of proving who calls: what each offers the stage that chooses among them, and where each is made.

A scheme is made once per worker, when the first operation that takes it is linked, and its code is imported only then.
`authenticate.py` calls them; a scheme never sees another one.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from microgate.runtime.exchange import Consumer

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.recalling import Recall

Judgement: TypeAlias = Consumer | Awaitable[Consumer]


class Scheme(Protocol):
    """One way of proving who calls."""

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Judgement:
        """Who calls with `credential`, found in a field with `value`; raises TokenError, at once or when awaited.

        An awaitable is for what has to be asked for. What was judged good is remembered by the scheme.
        """


@runtime_checkable
class PerOperation(Protocol):
    """A scheme that judges otherwise for each operation."""

    def for_operation(self, api: Api, operation: Operation) -> Scheme: ...


@runtime_checkable
class Recalling(Protocol):
    """A scheme that knows again whom it judged good, without a closer look at the request."""

    @property
    def recall(self) -> Recall:
        """Gives who calls, by the Authorization field or a key; None for all that has to be judged. It refuses nobody."""


def of(context: SecurityContext, kind: str, api: Api, operation: Operation) -> Scheme | None:
    """The scheme of this kind as the operation has it; None where the settings leave it without any means."""
    scheme = context.scheme(kind)
    return scheme.for_operation(api, operation) if isinstance(scheme, PerOperation) else scheme


def make(kind: str, context: SecurityContext) -> Scheme | None:
    """The scheme of one of `plan.model.Security.schemes`; None for one that the settings leave without any means."""
    if kind == "jwt":
        from microgate.runtime.security.tokens.scheme import SelfContained

        return SelfContained(context)
    if kind == "mutual_tls":
        from microgate.runtime.security.certificates.client_certificates import MutualTls

        return MutualTls(context)
    if kind == "oauth2":
        from microgate.runtime.security.opaque import scheme as opaque

        return opaque.make(context)
    if kind == "basic":
        from microgate.runtime.security.passwords.scheme import Basic

        return Basic(context)
    if kind == "api_key":
        from microgate.runtime.security.api_keys import scheme as api_keys

        return api_keys.make(context)
    if kind == "forward":
        from microgate.runtime.security.forward_auth import ForwardAuthentication

        return ForwardAuthentication(context)
    return None


def looks_self_contained(token: bytes) -> bool:
    """Two dots, or four where it is encrypted; some issuers put a dot into opaque tokens too."""
    return token.count(b".") in (2, 4)
