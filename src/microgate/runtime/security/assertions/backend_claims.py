"""What a token for a backend says of the caller and the API (WSO2 §6.10). `backend_jwt.py` signs it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from microgate.runtime.exchange import Application, Subscription
from microgate.runtime.security.subscriptions.stage import from_token, tenant_of
from microgate.runtime.security.tokens.claim_mapping import REGISTERED

if TYPE_CHECKING:
    from microgate.plan.model import Api
    from microgate.runtime.exchange import Consumer
    from microgate.settings.model import BackendJwt

# What the caller's token says for the gateway alone never goes on.
RESTRICTED = REGISTERED | {"application", "tierInfo", "subscribedAPIs", "keytype", "backendJwt"}
USER_TYPE = "Application_User"


class BackendClaims:
    """The claims of one gateway's tokens, by its settings. `lifetime_s` is how long a token is good."""

    def __init__(self, settings: BackendJwt) -> None:
        caching = settings.jwt_generator_caching
        self.lifetime_s = (
            caching.token_cache_expiry_time if caching.token_cache_enable else settings.token_expiry
        ) / 1000
        self._settings = settings
        self._dialect = settings.claim_dialect.rstrip("/") + "/"
        self._restricted = RESTRICTED | set(settings.restricted_claims)

    def make(self, consumer: Consumer, api: Api, now: float, retrieved: dict[str, Any]) -> dict[str, Any]:
        """All claims; those of the gateway beat those of the user, and those the ones of the caller's token."""
        others = consumer.claims | retrieved
        claims = {name: value for name, value in others.items() if name not in self._restricted}
        return claims | self._own(now, consumer.name) | self._dialect_claims(consumer, api)

    def _own(self, now: float, name: str) -> dict[str, Any]:
        audience = self._settings.audience
        own: dict[str, Any] = {
            "iss": self._settings.issuer,
            "sub": name,
            "iat": int(now),
            "exp": int(now + self.lifetime_s),
            "jti": str(uuid.uuid4()),
        }
        if audience:
            own["aud"] = audience[0] if len(audience) == 1 else list(audience)
        return own

    def _dialect_claims(self, consumer: Consumer, api: Api) -> dict[str, Any]:
        application = consumer.application_details or Application(name=consumer.application)
        subscription = consumer.subscriptions.get(api.id) or _from_token(consumer, api)
        said = {
            "enduser": consumer.name,
            "applicationid": application.id,
            "applicationUUId": application.uuid,
            "subscriber": application.owner,
            "applicationname": application.name,
            "applicationtier": application.tier,
            "apiname": api.name,
            "apicontext": api.base_path,
            "version": api.version,
            "tier": subscription.tier,
            "enduserTenantDomain": subscription.tenant,
            "keytype": consumer.key_type,
            "usertype": USER_TYPE,
        }
        return {self._dialect + name: value for name, value in said.items() if value}


def _from_token(consumer: Consumer, api: Api) -> Subscription:
    record = from_token(consumer.claims, api)
    if record is None:
        return Subscription()
    return Subscription(record.tier, record.publisher, record.tenant or tenant_of(record.application.owner))
