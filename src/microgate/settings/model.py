"""The whole of what can be configured, typed: one field per section of micro-gw.conf, with the structs where others find them.

A field's encoded name is the section's name in the file. `load.py` makes a `Settings`; the runtime only reads it.
"""

from typing import Annotated

import msgspec

from microgate.settings.backend import Backend, Etcd, Forwarding, HeaderConf, Names, ResponseLimits, Server
from microgate.settings.key_manager import KeyManager
from microgate.settings.listener import (
    SHIPPED_KEY_STORE,
    SHIPPED_TRUST_STORE,
    Admin,
    Compatibility,
    Http2,
    Listener,
    MutualTls,
    Runtime,
    ServerCertificate,
)
from microgate.settings.overload import Overload
from microgate.settings.pages import Pages
from microgate.settings.revocation import Revocation
from microgate.settings.section import acts, later, restricts
from microgate.settings.security import (
    ApiKey,
    Auth,
    BackendJwt,
    BackendJwtHeader,
    Caching,
    Dpop,
    EncryptedTokens,
    JwtIssuer,
    Security,
)
from microgate.settings.sight import AccessLog, Analytics, Apim, B7a
from microgate.settings.throttling import Throttling
from microgate.settings.user_stores import BasicAuth, UserStore

__all__ = [
    "SHIPPED_KEY_STORE",
    "SHIPPED_TRUST_STORE",
    "AccessLog",
    "Admin",
    "Analytics",
    "ApiKey",
    "Apim",
    "Auth",
    "B7a",
    "Backend",
    "BackendJwt",
    "BackendJwtHeader",
    "Caching",
    "Compatibility",
    "Dpop",
    "EncryptedTokens",
    "Etcd",
    "Forwarding",
    "HeaderConf",
    "Http2",
    "JwtIssuer",
    "KeyManager",
    "Listener",
    "MutualTls",
    "Names",
    "Overload",
    "Pages",
    "ResponseLimits",
    "Revocation",
    "Runtime",
    "Security",
    "Server",
    "ServerCertificate",
    "Settings",
    "Throttling",
    "Validation",
]


class Validation(msgspec.Struct, frozen=True, rename="camel"):
    """Messages against their schemas."""

    enable_request_validation: Annotated[bool, restricts("refuse requests that break their schema")] = False
    enable_response_validation: Annotated[bool, restricts("refuse answers that break their schema")] = False


class Settings(msgspec.Struct, frozen=True, rename="camel"):
    """Everything configured. `raw` keeps keys whose names come from the plan, such as `<upstream>_prod_endpoint_0`."""

    listener: Listener = msgspec.field(name="listenerConfig", default=Listener())
    admin: Admin = msgspec.field(name="adminConfig", default=Admin())
    runtime: Runtime = msgspec.field(name="runtimeConfig", default=Runtime())
    access_log: AccessLog = msgspec.field(name="accessLogConfig", default=AccessLog())
    forwarding: Forwarding = msgspec.field(name="forwardingConfig", default=Forwarding())
    compatibility: Compatibility = Compatibility()
    auth: Auth = msgspec.field(name="authConfig", default=Auth())
    issuers: Annotated[tuple[JwtIssuer, ...], acts("issuers of tokens")] = msgspec.field(
        name="jwtTokenConfig", default=()
    )
    basic_auth: BasicAuth = msgspec.field(name="basicAuthConfig", default=BasicAuth())
    user_stores: Annotated[tuple[UserStore, ...], acts("where users are")] = msgspec.field(name="userStore", default=())
    encrypted_tokens: EncryptedTokens = msgspec.field(name="encryptedTokenConfig", default=EncryptedTokens())
    server: Server = Server()
    backend: Backend = msgspec.field(name="httpClients", default=Backend())
    names: Names = msgspec.field(name="resolver", default=Names())
    http2: Http2 = Http2()
    mutual_tls: MutualTls = msgspec.field(name="mutualSSLConfig", default=MutualTls())
    dpop: Dpop = msgspec.field(name="dpopConfig", default=Dpop())
    security: Security = Security()
    pages: Pages = msgspec.field(name="corsConfiguration", default=Pages())
    validation: Validation = msgspec.field(name="validationConfig", default=Validation())
    overload: Overload = msgspec.field(name="overloadConfig", default=Overload())
    throttling: Throttling = msgspec.field(name="throttlingConfig", default=Throttling())
    key_manager: KeyManager = msgspec.field(name="keyManager", default=KeyManager())
    revocation: Revocation = msgspec.field(name="tokenRevocationConfig", default=Revocation())
    caching: Caching = Caching()
    api_key: ApiKey = msgspec.field(name="apikey", default=ApiKey())
    backend_jwt_header: BackendJwtHeader = msgspec.field(name="jwtConfig", default=BackendJwtHeader())
    backend_jwt: BackendJwt = msgspec.field(name="jwtGeneratorConfig", default=BackendJwt())
    b7a: B7a = B7a()
    analytics: Analytics = Analytics()
    apim: Apim = Apim()
    etcd: Etcd = msgspec.field(name="", default=Etcd())
    usage_data_path: Annotated[str, later("folder of analytics files")] = msgspec.field(
        name="api.usage.data.path", default=""
    )
    datacenter_id: Annotated[str, later("host name in analytics")] = ""
    raw: dict[str, str] = msgspec.field(default_factory=dict)
