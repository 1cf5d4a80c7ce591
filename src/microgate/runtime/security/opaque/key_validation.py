"""The scheme of opaque tokens with 3.x's key-validation service, a SOAP call that judges token and resource at once.

It knows scopes and subscriptions itself, so a verdict is good for one operation only (WSO2 §6.3). `keyManager.enableLegacyMode`
switches it on; what the messages look like is in `key_validation_messages.py`.
"""

from __future__ import annotations

from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.security.calls import ServiceError, Shared
from microgate.runtime.security.fetch import Question
from microgate.runtime.security.opaque import key_validation_messages as messages
from microgate.runtime.security.opaque import service_credentials
from microgate.runtime.security.opaque.key_validation_messages import Resource, ResultError
from microgate.runtime.security.opaque.scheme import check_form
from microgate.runtime.security.opaque.token_memory import TokenMemory
from microgate.runtime.security.refusals import Reason, TokenError

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.schemes import Judgement

ANSWER = Reason("auth.key_validation.answer", kind=faults.AUTH_SERVICE_UNAVAILABLE)
REFUSED = Reason("auth.key_validation.refused", "the access token is not accepted")
# The service's own codes of WSO2 §7.2. What it says in any other code is a plain refusal.
REFUSALS = {
    "900900": ANSWER,
    "900903": Reason("auth.key_validation.expired", "the access token expired", faults.ACCESS_TOKEN_EXPIRED),
    "900904": Reason("auth.key_validation.inactive", "the access token is not active", faults.ACCESS_TOKEN_INACTIVE),
    "900905": Reason("auth.key_validation.type", "the access token is of the wrong type", faults.ACCESS_TOKEN_TYPE),
    "900906": Reason("auth.key_validation.resource", kind=faults.NO_MATCHING_RESOURCE),
    "900907": Reason("auth.key_validation.blocked", "the API is blocked", faults.SUBSCRIPTION_BLOCKED),
    "900908": Reason("auth.key_validation.not_subscribed", kind=faults.NOT_SUBSCRIBED),
    "900909": Reason(
        "auth.key_validation.subscription", "the subscription is not active", faults.SUBSCRIPTION_INACTIVE
    ),
    "900910": Reason("auth.key_validation.scopes", kind=faults.SCOPES),
}


class KeyValidation:
    """One service, asked by one worker; operations share the connections and what is remembered."""

    def __init__(self, context: SecurityContext) -> None:
        settings = context.settings
        manager = settings.key_manager
        url = f"{manager.server_url.rstrip('/')}/services/APIKeyValidationService"
        self.service = context.service("key-validation service", url, timeout_s=manager.timeout_in_millis / 1000)
        self.credentials = service_credentials.of(manager.security, context.service)
        self.memory = TokenMemory(context, lasting=settings.caching.enabled)
        self.asked: Shared[Consumer] = Shared()
        self.clock = context.clock
        self.mark = context.mark
        self.issuer = manager.issuer

    def for_operation(self, api: Api, operation: Operation) -> _OfOperation:
        return _OfOperation(self, messages.resource_of(api, operation))

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Judgement:
        raise AssertionError("it is asked for an operation")


class _OfOperation:
    """The service's verdicts on tokens for one operation."""

    def __init__(self, shared: KeyValidation, resource: Resource) -> None:
        self._shared = shared
        self._resource = resource
        # No token holds a line break, so two pairs never make one key.
        self._suffix = f"\n{resource.context}\n{resource.version}\n{resource.template}\n{resource.method}".encode()

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Judgement:
        memory = self._shared.memory
        digest = memory.digest(credential + self._suffix)
        known = memory.find(digest)
        if known is not None:
            return known
        check_form(credential)
        memory.check(digest)
        return self._shared.asked.get(digest, partial(self._ask, credential, digest))

    async def _ask(self, token: bytes, digest: bytes) -> Consumer:
        shared = self._shared
        try:
            document = await self._call(token)
            result = messages.read(document)
        except ServiceError as error:
            shared.service.complain(f"{error}")
            raise TokenError(ANSWER) from None
        except ResultError as error:
            shared.service.complain(f"is of no use: its answer {error}")
            raise TokenError(ANSWER) from None
        if result.get("authorized") != "true":
            refusal = TokenError(REFUSALS.get(result.get("validationStatus", ""), REFUSED))
            if refusal.reason is not ANSWER:
                shared.memory.refuse(digest, refusal)
            raise refusal
        consumer = messages.consumer_of(result, shared.clock())
        if consumer.until <= shared.clock():
            raise TokenError(REFUSALS["900903"])
        consumer.issuer = shared.issuer
        consumer.token = blake2b(token, digest_size=16).digest()
        shared.mark(consumer, token)
        shared.memory.keep(digest, consumer, len(document))
        return consumer

    async def _call(self, token: bytes) -> bytes:
        shared = self._shared
        body = messages.question(self._resource, token.decode("ascii"))
        for is_last in (False, True):
            credentials = await shared.credentials.fields()
            reply = await shared.service.call(Question("POST", (*messages.FIELDS, *credentials), body))
            if reply.status not in (401, 403) or is_last or not shared.credentials.refused(credentials):
                break
        if reply.status != 200:
            raise ResultError(f"is {reply.status}")
        return reply.body
