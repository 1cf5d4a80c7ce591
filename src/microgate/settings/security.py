"""Settings of who may call: credentials, token issuers, the key manager, revocation, users and caches."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts, later, restricts


class Auth(Section, frozen=True):
    """The header that carries the credential."""

    authorization_header: Annotated[str, acts("header that carries the credential")] = "Authorization"
    remove_auth_header_from_out_message: Annotated[bool, acts("do not send the credential on")] = True


class ClaimName(Section, frozen=True):
    """A claim of an issuer under another name."""

    remote_claim: Annotated[str, later("name in the token")]
    local_claim: Annotated[str, later("name in the gateway")]


class JwtIssuer(Section, frozen=True):
    """An issuer of self-contained tokens."""

    issuer: Annotated[str, acts("must equal the claim `iss`")]
    audience: Annotated[str, acts("must be among the claim `aud`, where set")] = ""
    certificate_alias: Annotated[str, acts("certificate in the trust store")] = ""
    certificate_file: Annotated[str, acts("PEM file with a certificate or public key")] = ""
    jwks_file: Annotated[str, acts("file with a JSON Web Key Set")] = ""
    jwks_url: Annotated[str, acts("address of a JSON Web Key Set")] = msgspec.field(name="jwksURL", default="")
    validate_subscription: Annotated[
        bool | None, restricts("check the subscription; unset: as `security.validateSubscriptions`")
    ] = None
    consumer_key_claim: Annotated[str, acts("claim that names the application")] = "aud"
    # Ours takes a scope list as it comes, which is all that the shipped transformer was for.
    claim_mapper_class_name: Annotated[
        str,
        restricts(
            "class that changes the claims before they are judged",
            harmless=("org.wso2.micro.gateway.jwt.transformer.DefaultJwtTransformer",),
        ),
    ] = ""
    remote_user_claim_retrieval_enabled: Annotated[bool, later("ask for more claims")] = False
    claims: Annotated[tuple[ClaimName, ...], restricts("claims to rename before they are judged")] = ()


class Security(Section, frozen=True):
    """Subscriptions."""

    validate_subscriptions: Annotated[bool, restricts("an application must have subscribed to the API")] = False


class BasicCredentials(Section, frozen=True):
    """User and password at the key manager."""

    enabled: Annotated[bool, later("authenticate with them")] = True
    username: Annotated[str, later("user")] = "admin"
    password: Annotated[str, later("password", secret=True)] = "admin"  # noqa: S105 - the default of 3.x


class ClientCredential(Section, frozen=True):
    """The client credentials grant."""

    enabled: Annotated[bool, later("use this grant", switch=True)] = False
    client_id: Annotated[str, later("client")] = ""
    client_secret: Annotated[str, later("its secret", secret=True)] = ""
    scopes: Annotated[str, later("scopes, comma separated")] = ""


class PasswordGrant(Section, frozen=True):
    """The password grant."""

    enabled: Annotated[bool, later("use this grant", switch=True)] = False
    client_id: Annotated[str, later("client")] = ""
    client_secret: Annotated[str, later("its secret", secret=True)] = ""
    scopes: Annotated[str, later("scopes, comma separated")] = ""
    username: Annotated[str, later("user")] = ""
    password: Annotated[str, later("password", secret=True)] = ""


class DirectToken(Section, frozen=True):
    """A fixed token."""

    enabled: Annotated[bool, later("use this token", switch=True)] = False
    access_token: Annotated[str, later("the token", secret=True)] = ""


class RefreshGrant(Section, frozen=True):
    """The refresh grant."""

    enabled: Annotated[bool, later("refresh the token", switch=True)] = False
    refresh_url: Annotated[str, later("where")] = ""
    scopes: Annotated[str, later("scopes, comma separated")] = ""
    refresh_token: Annotated[str, later("the refresh token", secret=True)] = ""
    client_id: Annotated[str, later("client")] = ""
    client_secret: Annotated[str, later("its secret", secret=True)] = ""


class OAuthCredentials(Section, frozen=True):
    """A token for the key manager."""

    enabled: Annotated[bool, later("authenticate with a token, where Basic is off", switch=True)] = False
    credential_bearer: Annotated[
        Literal["AUTH_HEADER_BEARER", "POST_BODY_BEARER", "NO_BEARER"], later("where the client's credentials go")
    ] = "AUTH_HEADER_BEARER"
    token_url: Annotated[str, later("token endpoint")] = ""
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

    server_url: Annotated[str, later("base address")] = "https://localhost:9443"
    token_context: Annotated[str, later("path segment of the token services")] = "oauth2"  # noqa: S105 - a path
    enable_legacy_mode: Annotated[bool, later("the SOAP service instead of introspection")] = False
    issuer: Annotated[str, later("issuer named to the claim retriever")] = "https://localhost:9443/oauth2/token"
    remote_user_claim_retrieval_enabled: Annotated[bool, later("ask for more claims of opaque tokens")] = False
    security: KeyManagerSecurity = KeyManagerSecurity()


class RealtimeRevocation(Section, frozen=True):
    """Revocations as they happen."""

    enable_realtime_message_retrieval: Annotated[bool, restricts("subscribe to revoked tokens")] = False
    jms_connection_topic: Annotated[str, later("topic")] = "tokenRevocation"
    jms_connection_initial_context_factory: Annotated[str, later("Java class of the broker")] = msgspec.field(
        name="jmsConnectioninitialContextFactory", default="wso2mbInitialContextFactory"
    )
    jms_connection_provider_url: Annotated[str, later("the broker's address", secret=True)] = (
        "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'"
    )
    jms_connection_username: Annotated[str, later("user at the broker")] = ""
    jms_connection_password: Annotated[str, later("password at the broker", secret=True)] = ""


class PersistentRevocation(Section, frozen=True):
    """Revocations from before the start."""

    enable_persistent_storage_retrieval: Annotated[bool, restricts("load revoked tokens at start")] = False
    type: Annotated[str, later("`default`, `etcd` or a function of the project")] = "default"
    use_default: Annotated[bool, later("etcd, in the words of 3.1")] = False
    endpoint_url: Annotated[str, later("where they are kept")] = msgspec.field(
        name="endpointURL", default="https://localhost:9443/internal/data/v1"
    )
    username: Annotated[str, later("user there")] = "admin"
    password: Annotated[str, later("password there", secret=True)] = "admin"  # noqa: S105 - the default of 3.x


class Revocation(Section, frozen=True):
    """Tokens taken back before they expire."""

    realtime: RealtimeRevocation = RealtimeRevocation()
    persistent: PersistentRevocation = PersistentRevocation()


class Caching(Section, frozen=True):
    """Verdicts on credentials, kept."""

    enabled: Annotated[bool, later("keep verdicts of the legacy key validation")] = True
    token_cache_expiry_time: Annotated[int, acts("longest life of a verdict in seconds", low=1)] = 900_000
    token_cache_capacity: Annotated[int, acts("verdicts kept by each worker", low=1)] = 10_000
    token_cache_eviction_factor: Annotated[float, later("share dropped when full", low=0)] = 0.25


class User(Section, frozen=True):
    """A user for Basic authentication."""

    password: Annotated[str, later("hash of the password", secret=True)] = ""
    scopes: Annotated[str, later("scopes, comma separated")] = ""


class ApiKeyCheck(Section, frozen=True):
    """What an API key must say."""

    issuer: Annotated[str, later("must equal the claim `iss`")] = "https://localhost:9095/apikey"
    certificate_alias: Annotated[str, later("certificate in the trust store")] = "ballerina"
    validate_allowed_apis: Annotated[bool, later("the key must name the API")] = msgspec.field(
        name="validateAllowedAPIs", default=False
    )
    audience: Annotated[str, later("without effect in 3.x")] = ""


class ApiKeySigning(Section, frozen=True):
    """How the gateway signs API keys."""

    enabled: Annotated[bool, later("issue keys", switch=True)] = True
    key_store_path: Annotated[str, later("store with the signing key; empty for the listener's")] = ""
    key_store_password: Annotated[str, later("password of that store", secret=True)] = ""
    issuer: Annotated[str, later("claim `iss`")] = "https://localhost:9095/apikey"
    certificate_alias: Annotated[str, later("the signing key")] = "ballerina"
    validity_time: Annotated[int, later("seconds; -1 for no end", low=-1)] = -1


class AllowedApi(Section, frozen=True):
    """An API that issued keys are good for."""

    name: Annotated[str, later("the API's title")]
    versions: Annotated[str, later("versions, comma separated, or `*`")]


class ApiKey(Section, frozen=True):
    """API keys."""

    token_configs: ApiKeyCheck = ApiKeyCheck()
    signing: ApiKeySigning = msgspec.field(name="issuer.tokenConfig", default=ApiKeySigning())
    allowed_apis: Annotated[tuple[AllowedApi, ...], later("what issued keys are good for")] = msgspec.field(
        name="issuer.api", default=()
    )


class BackendJwtHeader(Section, frozen=True):
    """The header of the backend's token."""

    header: Annotated[str, later("header of the token for backends")] = "X-JWT-Assertion"


class BackendJwtCache(Section, frozen=True):
    """Backend tokens, kept."""

    token_cache_enable: Annotated[bool, later("keep tokens")] = True
    token_cache_expiry_time: Annotated[int, later("milliseconds", low=1)] = 900_000
    token_cache_capacity: Annotated[int, later("tokens kept", low=1)] = 10_000
    token_cache_eviction_factor: Annotated[float, later("share dropped when full", low=0)] = 0.25


class BackendJwt(Section, frozen=True):
    """The token that tells a backend who calls."""

    jwt_generator_enabled: Annotated[bool, later("send backends a token", switch=True)] = False
    claim_dialect: Annotated[str, later("prefix of claims")] = "http://wso2.org/claims"
    signing_algorithm: Annotated[Literal["SHA256withRSA", "NONE"], later("how it is signed")] = "SHA256withRSA"
    certificate_alias: Annotated[str, later("certificate in the listener's key store")] = "ballerina"
    private_key_alias: Annotated[str, later("key in the listener's key store")] = "ballerina"
    token_expiry: Annotated[int, later("milliseconds, where none are kept", low=1)] = 900_000
    restricted_claims: Annotated[tuple[str, ...], later("claims that never go to backends")] = ()
    issuer: Annotated[str, later("claim `iss`")] = "wso2.org/products/am"
    audience: Annotated[tuple[str, ...], later("claim `aud`")] = ()
    generator_impl: Annotated[str, later("Java class that makes the token")] = (
        "org.wso2.micro.gateway.jwt.generator.MGWJWTGeneratorImpl"
    )
    retriever_impl: Annotated[str, later("Java class that fetches claims")] = msgspec.field(
        name="claimRetrieval.retrieverImpl", default=""
    )
    retriever_configuration: Annotated[dict[str, str], later("what that class is told", secret=True)] = msgspec.field(
        name="claimRetrieval.configuration", default_factory=dict
    )
    jwt_generator_caching: BackendJwtCache = BackendJwtCache()
