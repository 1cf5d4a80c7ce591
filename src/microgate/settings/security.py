"""Settings of who may call: credentials, token issuers, users and caches."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts, later


class Auth(Section, frozen=True):
    """The header that carries the credential."""

    authorization_header: Annotated[str, acts("header that carries the credential")] = "Authorization"
    remove_auth_header_from_out_message: Annotated[bool, acts("do not send the credential on")] = True


class ClaimName(Section, frozen=True):
    """A claim of an issuer under another name."""

    remote_claim: Annotated[str, acts("name in the token")]
    local_claim: Annotated[str, acts("name in the gateway")]


class JwtIssuer(Section, frozen=True):
    """An issuer of self-contained tokens."""

    issuer: Annotated[str, acts("must equal the claim `iss`")]
    audience: Annotated[tuple[str, ...], acts("one of them must be among the claim `aud`, where set")] = ()
    certificate_alias: Annotated[str, acts("certificate in the trust store")] = ""
    certificate_file: Annotated[str, acts("PEM file with a certificate or public key")] = ""
    jwks_file: Annotated[str, acts("file with a JSON Web Key Set")] = ""
    jwks_url: Annotated[str, acts("address of a JSON Web Key Set")] = msgspec.field(name="jwksURL", default="")
    discovery: Annotated[bool, acts("learn the address of the key set from the issuer's own metadata")] = False
    access_tokens_only: Annotated[
        bool, acts("tokens must say that they are access tokens (`typ` `at+jwt`), with all claims of RFC 9068")
    ] = False
    validate_subscription: Annotated[
        bool | None, acts("check the subscription; unset: as `security.validateSubscriptions`")
    ] = None
    consumer_key_claim: Annotated[str, acts("claim that names the application")] = "aud"
    scope_claim: Annotated[str, acts("claim with the scopes, or the way to it: `realm_access.roles`")] = ""
    claim_mapper: Annotated[str, acts("`module:function` of the project's extensions that changes the claims")] = ""
    # Ours takes a scope list as it comes, which is all that the shipped transformer was for.
    claim_mapper_class_name: Annotated[
        str, acts("Java class that changes the claims; a function of `claimMapper` takes its place")
    ] = ""
    remote_user_claim_retrieval_enabled: Annotated[bool, acts("ask for more claims of the user, for backends")] = False
    claims: Annotated[tuple[ClaimName, ...], acts("claims to rename before they are judged")] = ()


class EncryptedTokens(Section, frozen=True):
    """Self-contained tokens that were encrypted for the gateway (JWE)."""

    private_key_files: Annotated[
        tuple[str, ...], acts("PEM private keys, RSA or EC, that tokens may be encrypted for; empty: none are taken")
    ] = ()


class ApiSubscriptions(Section, frozen=True):
    """One API's own answer to whether subscriptions are checked."""

    name: Annotated[str, acts("the API's title")]
    version: Annotated[str, acts("its version, `*` for all")] = "*"
    validate_subscriptions: Annotated[bool, acts("whatever the issuer and all others say")] = True


class Security(Section, frozen=True):
    """Subscriptions, and who may call at all."""

    validate_subscriptions: Annotated[bool, acts("an application must have subscribed to the API")] = False
    apis: Annotated[tuple[ApiSubscriptions, ...], acts("APIs that have it otherwise")] = msgspec.field(
        name="api", default=()
    )
    allowed_addresses: Annotated[
        tuple[str, ...], acts("addresses and networks that may call APIs; empty: all of them")
    ] = ()
    denied_addresses: Annotated[tuple[str, ...], acts("addresses and networks that may not, whatever allows them")] = ()


class Caching(Section, frozen=True):
    """Verdicts on credentials, kept."""

    enabled: Annotated[bool, later("keep verdicts of the legacy key validation")] = True
    token_cache_expiry_time: Annotated[int, acts("longest life of a verdict in seconds", low=1)] = 900_000
    token_cache_capacity: Annotated[int, acts("verdicts kept by each worker", low=1)] = 10_000
    token_cache_eviction_factor: Annotated[float, later("share dropped when full", low=0)] = 0.25
    refused_token_expiry_time: Annotated[
        int, acts("seconds for which a token that a service refused is not asked for again; 0 asks each time", low=0)
    ] = 10


class User(Section, frozen=True):
    """A user for Basic authentication."""

    password: Annotated[str, acts("what is stored of the password", secret=True)] = ""
    scopes: Annotated[str, acts("scopes, comma separated")] = ""


class ApiKeyCheck(Section, frozen=True):
    """What a signed API key must say."""

    issuer: Annotated[str, acts("must equal the claim `iss`")] = "https://localhost:9095/apikey"
    certificate_alias: Annotated[
        str, acts("certificate in the trust store; without one the gateway's own signing key is what it trusts")
    ] = "ballerina"
    certificate_file: Annotated[str, acts("PEM file with a certificate or public key, instead of the alias")] = ""
    validate_allowed_apis: Annotated[bool, acts("the key must name the API")] = msgspec.field(
        name="validateAllowedAPIs", default=False
    )
    audience: Annotated[str, later("without effect in 3.x")] = ""


class ApiKeySigning(Section, frozen=True):
    """How `/apikey` on the HTTPS listener signs API keys."""

    enabled: Annotated[bool, acts("issue keys", switch=True)] = True
    key_store_path: Annotated[str, acts("store with the signing key; empty for the listener's")] = ""
    key_store_password: Annotated[str, acts("password of that store", secret=True)] = ""
    private_key_file: Annotated[str, acts("PEM signing key, instead of a store")] = ""
    certificate_file: Annotated[str, acts("PEM certificate of that key")] = ""
    issuer: Annotated[str, acts("claim `iss`")] = "https://localhost:9095/apikey"
    certificate_alias: Annotated[str, acts("names the signing key in the keys' headers (`kid`)")] = "ballerina"
    validity_time: Annotated[int, acts("seconds; -1 for no end", low=-1)] = -1
    max_requests_per_minute: Annotated[
        int, acts("requests for keys that each worker takes from one address in a minute", low=1)
    ] = 60


class AllowedApi(Section, frozen=True):
    """An API that issued keys are good for."""

    name: Annotated[str, acts("the API's title")]
    versions: Annotated[str, acts("versions, comma separated, or `*`")]


class ApiKey(Section, frozen=True):
    """API keys."""

    store: Annotated[str, acts("file of the keys that `microgate key` makes")] = ""
    remove_from_out_message: Annotated[bool, acts("do not send keys on, in a header or in the query")] = True
    token_configs: ApiKeyCheck = ApiKeyCheck()
    signing: ApiKeySigning = msgspec.field(name="issuer.tokenConfig", default=ApiKeySigning())
    allowed_apis: Annotated[tuple[AllowedApi, ...], acts("what issued keys are good for")] = msgspec.field(
        name="issuer.api", default=()
    )


class BackendJwtHeader(Section, frozen=True):
    """The header of the backend's token."""

    header: Annotated[str, acts("header of the token for backends")] = "X-JWT-Assertion"


class BackendJwtCache(Section, frozen=True):
    """Backend tokens, kept."""

    token_cache_enable: Annotated[bool, acts("keep tokens")] = True
    token_cache_expiry_time: Annotated[int, acts("milliseconds", low=1)] = 900_000
    token_cache_capacity: Annotated[int, acts("tokens kept", low=1)] = 10_000
    token_cache_eviction_factor: Annotated[float, later("share dropped when full", low=0)] = 0.25


class BackendJwt(Section, frozen=True):
    """The token that tells a backend who calls."""

    jwt_generator_enabled: Annotated[bool, acts("send backends a token", switch=True)] = False
    claim_dialect: Annotated[str, acts("prefix of claims")] = "http://wso2.org/claims"
    signing_algorithm: Annotated[Literal["SHA256withRSA", "NONE"], acts("how it is signed")] = "SHA256withRSA"
    certificate_alias: Annotated[str, acts("certificate in the listener's key store")] = "ballerina"
    private_key_alias: Annotated[str, acts("key in the listener's key store")] = "ballerina"
    token_expiry: Annotated[int, acts("milliseconds, where none are kept", low=1)] = 900_000
    restricted_claims: Annotated[tuple[str, ...], acts("claims that never go to backends")] = ()
    issuer: Annotated[str, acts("claim `iss`")] = "wso2.org/products/am"
    audience: Annotated[tuple[str, ...], acts("claim `aud`")] = ()
    private_key_file: Annotated[str, acts("PEM file with the key that signs; empty for the listener's")] = ""
    certificate_file: Annotated[str, acts("PEM file with that key's certificate, for `x5t`")] = ""
    generator: Annotated[str, acts("`module:function` of the project's extensions that makes the claims")] = ""
    fail_open: Annotated[bool, acts("send requests on without a token that cannot be made")] = False
    generator_impl: Annotated[str, acts("Java class that makes the token; `generator` takes the place of others")] = (
        "org.wso2.micro.gateway.jwt.generator.MGWJWTGeneratorImpl"
    )
    retriever: Annotated[str, acts("`module:function` of the project's extensions that fetches claims")] = (
        msgspec.field(name="claimRetrieval.retriever", default="")
    )
    retriever_impl: Annotated[str, acts("Java class that fetches claims; the supplied one alone")] = msgspec.field(
        name="claimRetrieval.retrieverImpl", default=""
    )
    retriever_configuration: Annotated[
        dict[str, str], acts("what that class is told: serverUrl, username, password", secret=True)
    ] = msgspec.field(name="claimRetrieval.configuration", default_factory=dict)
    jwt_generator_caching: BackendJwtCache = BackendJwtCache()


class Dpop(Section, frozen=True):
    """Proofs that the sender of a token holds its key (DPoP), for APIs that ask for bound tokens."""

    proof_lifetime_in_seconds: Annotated[
        int, acts("a proof is taken for so long after it was made", low=1, high=600)
    ] = 60
    require_nonce: Annotated[bool, acts("a proof needs a nonce that the gateway has given")] = False
    nonce_after_start: Annotated[
        bool, acts("a proof that may have been used before the gateway's start needs a nonce of this run")
    ] = True
    origins: Annotated[
        tuple[str, ...],
        acts("origins that proofs may be made for, `https://api.example.com`; empty: the request's own `Host`"),
    ] = ()
