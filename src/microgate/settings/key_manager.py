"""Settings of the service that judges opaque tokens, and of how the gateway authenticates there (WSO2 §5.3)."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts


class BasicCredentials(Section, frozen=True):
    """User and password at the key manager."""

    enabled: Annotated[bool, acts("authenticate with them")] = True
    username: Annotated[str, acts("user")] = "admin"
    password: Annotated[str, acts("password", secret=True)] = "admin"  # noqa: S105 - the default of 3.x


class ClientCredential(Section, frozen=True):
    """The client credentials grant."""

    enabled: Annotated[bool, acts("use this grant", switch=True)] = False
    client_id: Annotated[str, acts("client")] = ""
    client_secret: Annotated[str, acts("its secret", secret=True)] = ""
    scopes: Annotated[str, acts("scopes, comma separated")] = ""


class PasswordGrant(Section, frozen=True):
    """The password grant."""

    enabled: Annotated[bool, acts("use this grant", switch=True)] = False
    client_id: Annotated[str, acts("client")] = ""
    client_secret: Annotated[str, acts("its secret", secret=True)] = ""
    scopes: Annotated[str, acts("scopes, comma separated")] = ""
    username: Annotated[str, acts("user")] = ""
    password: Annotated[str, acts("password", secret=True)] = ""


class DirectToken(Section, frozen=True):
    """A fixed token."""

    enabled: Annotated[bool, acts("use this token", switch=True)] = False
    access_token: Annotated[str, acts("the token", secret=True)] = ""


class RefreshGrant(Section, frozen=True):
    """The refresh grant."""

    enabled: Annotated[bool, acts("refresh the token", switch=True)] = False
    refresh_url: Annotated[str, acts("where")] = ""
    scopes: Annotated[str, acts("scopes, comma separated")] = ""
    refresh_token: Annotated[str, acts("the refresh token", secret=True)] = ""
    client_id: Annotated[str, acts("client")] = ""
    client_secret: Annotated[str, acts("its secret", secret=True)] = ""


class OAuthCredentials(Section, frozen=True):
    """A token for the key manager."""

    enabled: Annotated[bool, acts("authenticate with a token, where Basic is off", switch=True)] = False
    credential_bearer: Annotated[
        Literal["AUTH_HEADER_BEARER", "POST_BODY_BEARER", "NO_BEARER"], acts("where the client's credentials go")
    ] = "AUTH_HEADER_BEARER"
    token_url: Annotated[str, acts("token endpoint")] = ""
    client_credential: ClientCredential = ClientCredential()
    password: PasswordGrant = PasswordGrant()
    direct_token: DirectToken = DirectToken()
    refresh: RefreshGrant = RefreshGrant()


class KeyManagerSecurity(Section, frozen=True):
    """How the gateway authenticates at the key manager."""

    basic: BasicCredentials = BasicCredentials()
    oauth2: OAuthCredentials = OAuthCredentials()


class KeyManager(Section, frozen=True):
    """The service that judges opaque tokens."""

    server_url: Annotated[str, acts("base address, such as `https://localhost:9443`; without it nothing is asked")] = ""
    token_context: Annotated[str, acts("path segment of the token services")] = "oauth2"  # noqa: S105 - a path
    enable_legacy_mode: Annotated[bool, acts("the SOAP service of key validation instead of introspection")] = False
    issuer: Annotated[str, acts("issuer of tokens whose answer names none")] = "https://localhost:9443/oauth2/token"
    remote_user_claim_retrieval_enabled: Annotated[bool, acts("ask for more claims of opaque tokens, for backends")] = (
        False
    )
    introspection_url: Annotated[
        str, acts("address of an introspection service (RFC 7662) in place of `serverUrl` and `tokenContext`")
    ] = msgspec.field(name="introspectionURL", default="")
    introspection_answer: Annotated[
        Literal["json", "jwt"], acts("`jwt` demands signed answers (RFC 9701) of an issuer of `jwtTokenConfig`")
    ] = "json"
    introspection_issuer: Annotated[str, acts("claim `iss` of signed answers; unset: `issuer`")] = ""
    audience: Annotated[str, acts("must be among `aud` of an introspected token, where set")] = ""
    max_requests_per_minute: Annotated[
        int, acts("requests to the token services that each worker takes from one address in a minute", low=1)
    ] = 600
    timeout_in_millis: Annotated[int, acts("longest wait for an answer", low=1, high=60_000)] = 5_000
    security: KeyManagerSecurity = KeyManagerSecurity()
