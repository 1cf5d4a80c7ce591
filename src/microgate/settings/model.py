"""The keys of micro-gw.conf that microgate acts on, typed, with their defaults and what they do.

One class per TOML section; a key is the field's name in camelCase. The reference page of the documentation is made from
these annotations, so each field carries its description, unit included.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class Section(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    pass


class ServerCertificate(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One more certificate, chosen by server name."""

    certificate_file: Annotated[str, Meta(description="PEM file with the certificate and its chain")]
    private_key_file: Annotated[str, Meta(description="PEM file with the private key")]


class Listener(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[listenerConfig]: where and how the gateway is reached."""

    host: Annotated[str, Meta(description="address the listeners bind to; `::` serves IPv4 too")] = "0.0.0.0"  # noqa: S104
    http_port: Annotated[int, Meta(description="plain HTTP listener; 0 lets the system choose, -1 turns it off")] = 9090
    https_port: Annotated[int, Meta(description="TLS listener; 0 lets the system choose, -1 turns it off")] = 9095
    token_listener_port: Annotated[int, Meta(description="TLS listener of the token services")] = 9096
    unix_socket: Annotated[str, Meta(description="path of one more plain HTTP listener on a Unix socket")] = ""
    key_store_path: Annotated[str, Meta(description="PKCS#12 store with the server's key and certificate")] = (
        "${mgw-runtime.home}/runtime/bre/security/ballerinaKeystore.p12"
    )
    key_store_password: Annotated[str, Meta(description="password of that store")] = "ballerina"  # noqa: S105
    trust_store_path: Annotated[str, Meta(description="PKCS#12 store with trusted certificates")] = (
        "${mgw-runtime.home}/runtime/bre/security/ballerinaTruststore.p12"
    )
    trust_store_password: Annotated[str, Meta(description="password of that store")] = "ballerina"  # noqa: S105
    certificate_file: Annotated[str, Meta(description="PEM certificate chain, instead of the key store")] = ""
    private_key_file: Annotated[str, Meta(description="PEM private key, instead of the key store")] = ""
    certificates: Annotated[
        tuple[ServerCertificate, ...], Meta(description="more certificates, chosen by server name (SNI)")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="networks (CIDR) whose forwarded addresses, schemes and certificate headers are believed"),
    ] = ()
    proxy_protocol: Annotated[bool, Meta(description="trusted proxies open each connection with PROXY v1 or v2")] = (
        False
    )
    half_close: Annotated[
        bool, Meta(description="a client may close its sending side before the answer is complete")
    ] = False
    keep_alive: Annotated[str, Meta(description="AUTO honours `Connection`, ALWAYS ignores it, NEVER closes")] = "AUTO"
    max_pipelined_requests: Annotated[int, Meta(description="requests one connection may send ahead")] = 10
    max_uri_length: Annotated[int, Meta(description="bytes of a request target; over it 414")] = 4096
    max_header_size: Annotated[
        int, Meta(description="bytes of a request's head, request line excluded; over it 431")
    ] = 8192
    max_header_count: Annotated[int, Meta(description="fields in a request's head; over it 431")] = 100
    max_entity_body_size: Annotated[int, Meta(description="bytes of a request body, -1 for no limit; over it 413")] = -1
    header_timeout_in_millis: Annotated[
        int, Meta(description="a request head must be complete in this time; else 408")
    ] = 10_000
    body_timeout_in_millis: Annotated[int, Meta(description="longest pause inside a request body; else 408")] = 30_000
    idle_timeout_in_millis: Annotated[int, Meta(description="an idle kept-alive connection is closed after this")] = (
        120_000
    )
    max_connections: Annotated[
        int, Meta(description="connections per worker; 0 derives it from the descriptor limit")
    ] = 0
    max_requests_per_connection: Annotated[
        int, Meta(description="after so many requests a connection is closed; 0: never")
    ] = 0


class Admin(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[adminConfig]: metrics and probes."""

    host: Annotated[str, Meta(description="address of the admin listener")] = "127.0.0.1"
    port: Annotated[int, Meta(description="port of the admin listener; 0 lets the system choose, -1 turns it off")] = (
        9901
    )


class Runtime(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[runtimeConfig]: processes."""

    workers: Annotated[int, Meta(description="worker processes; 0 is one per usable CPU")] = 0
    grace_period_in_millis: Annotated[int, Meta(description="how long requests may finish after SIGTERM")] = 30_000


class AccessLog(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[accessLogConfig]: one line for every request."""

    format: Annotated[str, Meta(description="`json`, `combined`, `off`, or a template with `{fields}`")] = "json"
    path: Annotated[str, Meta(description="file to append to; `-` is standard output")] = "-"


class Forwarding(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[forwardingConfig]: what backends learn about clients."""

    headers: Annotated[str, Meta(description="`x-forwarded`, `forwarded`, `both`, or `off` as under WSO2")] = (
        "x-forwarded"
    )
    request_id_header: Annotated[
        str, Meta(description="request id, in from trusted proxies and out; empty for none")
    ] = "X-Request-Id"


class Compatibility(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[compatibility]: where the old behaviour differs from the better one."""

    statuses: Annotated[str, Meta(description="`standard`, or `wso2` for the exact statuses and texts of 3.x")] = (
        "standard"
    )


class Auth(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[authConfig]"""

    authorization_header: Annotated[str, Meta(description="header that carries the credential")] = "Authorization"
    remove_auth_header_from_out_message: Annotated[bool, Meta(description="do not send the credential on")] = True


class JwtIssuer(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[[jwtTokenConfig]]: an issuer of self-contained tokens."""

    issuer: Annotated[str, Meta(description="must equal the claim `iss`")]
    audience: Annotated[str, Meta(description="must be among the claim `aud`, where set")] = ""
    certificate_alias: Annotated[str, Meta(description="certificate in the trust store")] = ""
    certificate_file: Annotated[str, Meta(description="PEM file with a certificate or public key")] = ""
    jwks_file: Annotated[str, Meta(description="file with a JSON Web Key Set")] = ""
    jwks_url: Annotated[str, Meta(description="address of a JSON Web Key Set")] = msgspec.field(
        name="jwksURL", default=""
    )
    validate_subscription: Annotated[bool | None, Meta(description="check the subscription; unset: as [security]")] = (
        None
    )
    consumer_key_claim: Annotated[str, Meta(description="claim that names the application")] = "aud"


class Server(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[server]"""

    timestamp_skew: Annotated[int, Meta(description="clock leeway for tokens in milliseconds; -1: 30 s")] = -1


class Backend(Section, frozen=True, rename="camel", forbid_unknown_fields=True):
    """[httpClients]: towards backends."""

    disable_ssl_verification: Annotated[bool, Meta(description="trust every certificate of a backend")] = False
    verify_hostname: Annotated[bool, Meta(description="a backend's certificate must carry its name")] = True
    ca_file: Annotated[str, Meta(description="PEM file of authorities; empty for the system's")] = ""
    connect_timeout_in_millis: Annotated[int, Meta(description="longest wait for a connection")] = 5_000
    response_timeout_in_millis: Annotated[int, Meta(description="longest wait for a response head")] = 60_000
    idle_timeout_in_millis: Annotated[int, Meta(description="longest pause inside a message")] = 60_000
    total_timeout_in_millis: Annotated[int, Meta(description="longest whole exchange; 0 for no limit")] = 0
    pool_idle_timeout_in_millis: Annotated[int, Meta(description="an unused connection is closed after this")] = 60_000
    max_active_connections: Annotated[int, Meta(description="per endpoint and worker; -1 for no limit")] = -1
    max_idle_connections: Annotated[int, Meta(description="per endpoint and worker")] = 100
    wait_time_in_millis: Annotated[int, Meta(description="longest wait for a free connection")] = 30_000


class Settings(msgspec.Struct, frozen=True):
    """The whole of what was configured. `raw` keeps keys whose names come from the plan (WSO2 §8.6)."""

    listener: Listener = Listener()
    admin: Admin = Admin()
    runtime: Runtime = Runtime()
    access_log: AccessLog = AccessLog()
    forwarding: Forwarding = Forwarding()
    compatibility: Compatibility = Compatibility()
    auth: Auth = Auth()
    issuers: tuple[JwtIssuer, ...] = ()
    server: Server = Server()
    backend: Backend = Backend()
    raw: dict[str, Any] = msgspec.field(default_factory=dict)
