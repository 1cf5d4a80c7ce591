"""Settings of what the gateway opens itself: listeners, TLS towards clients, processes, the admin listener."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts, later

# The stores that 3.x shipped. Where the file is absent the path stays as written here, which the listener takes as the wish
# for a self-signed development certificate.
SHIPPED_KEY_STORE = "${mgw-runtime.home}/runtime/bre/security/ballerinaKeystore.p12"
SHIPPED_TRUST_STORE = "${mgw-runtime.home}/runtime/bre/security/ballerinaTruststore.p12"


class ServerCertificate(Section, frozen=True):
    """One more certificate, chosen by server name."""

    certificate_file: Annotated[str, acts("PEM file with the certificate and its chain")]
    private_key_file: Annotated[str, acts("PEM file with the private key")]


class Listener(Section, frozen=True):
    """Where and how the gateway is reached."""

    host: Annotated[str, acts("address the listeners bind to; `::` serves IPv4 too")] = "0.0.0.0"  # noqa: S104 - as in 3.x
    http_port: Annotated[int, acts("plain HTTP; 0 lets the system choose, -1 turns it off", low=-1, high=65535)] = 9090
    https_port: Annotated[int, acts("TLS; 0 lets the system choose, -1 turns it off", low=-1, high=65535)] = 9095
    token_listener_port: Annotated[
        int, acts("TLS listener of the token services, opened where a key manager is named", low=-1, high=65535)
    ] = 9096
    unix_socket: Annotated[str, acts("path of one more plain HTTP listener on a Unix socket")] = ""
    key_store_path: Annotated[str, acts("PKCS#12 store with the server's key and certificate")] = SHIPPED_KEY_STORE
    key_store_password: Annotated[str, acts("password of that store", secret=True)] = "ballerina"  # noqa: S105 - of 3.x
    trust_store_path: Annotated[str, acts("PKCS#12 store with trusted certificates")] = SHIPPED_TRUST_STORE
    trust_store_password: Annotated[str, acts("password of that store", secret=True)] = "ballerina"  # noqa: S105 - of 3.x
    certificate_file: Annotated[str, acts("PEM certificate chain, instead of the key store")] = ""
    private_key_file: Annotated[str, acts("PEM private key, instead of the key store")] = ""
    certificates: Annotated[tuple[ServerCertificate, ...], acts("more certificates, chosen by server name (SNI)")] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        acts("networks (CIDR) whose forwarded addresses, schemes and certificate headers are believed"),
    ] = ()
    proxy_protocol: Annotated[bool, acts("trusted proxies open each connection with PROXY v1 or v2")] = False
    half_close: Annotated[bool, acts("a client may close its sending side before the answer is complete")] = False
    keep_alive: Annotated[
        Literal["AUTO", "ALWAYS", "NEVER"], acts("AUTO honours `Connection`, ALWAYS ignores it, NEVER closes")
    ] = "AUTO"
    max_pipelined_requests: Annotated[int, acts("requests one connection may send ahead", low=1)] = 10
    max_uri_length: Annotated[int, acts("bytes of a request target; over it 414", low=1)] = 4096
    max_header_size: Annotated[int, acts("bytes of a request's head, request line excluded; over it 431", low=1)] = 8192
    max_header_count: Annotated[int, acts("fields in a request's head; over it 431", low=1)] = 100
    max_entity_body_size: Annotated[int, acts("bytes of a request body, -1 for no limit; over it 413", low=-1)] = -1
    header_timeout_in_millis: Annotated[
        int, acts("milliseconds in which a request's head must be complete; else 408", low=1)
    ] = 10_000
    body_timeout_in_millis: Annotated[
        int, acts("longest pause inside a request body in milliseconds; else 408", low=1)
    ] = 30_000
    idle_timeout_in_millis: Annotated[
        int, acts("an idle kept-alive connection is closed after so many milliseconds", low=1)
    ] = 120_000
    max_connections: Annotated[int, acts("connections per worker; 0 derives it from the descriptor limit", low=0)] = 0
    max_requests_per_connection: Annotated[
        int, acts("after so many requests a connection is closed; 0: never", low=0)
    ] = 0


class Http2(Section, frozen=True):
    """HTTP/2 towards clients."""

    # Both values mean HTTP/1.1 until there is HTTP/2, so neither deserves a warning.
    enable: Annotated[bool, acts("offer HTTP/2 on the API listeners; HTTP/1.1 alone is spoken so far")] = True


class ApiCertificates(Section, frozen=True):
    """The client certificates that one API accepts."""

    name: Annotated[str, acts("the API's title, in any case")]
    version: Annotated[str, acts("the API's version, in any case")]
    alias_list: Annotated[tuple[str, ...], acts("aliases in the trust store")] = ()
    thumbprints: Annotated[tuple[str, ...], acts("SHA-256 of certificates in hexadecimal, colons or not")] = ()
    subjects: Annotated[tuple[str, ...], acts("subjects of certificates, as RFC 4514 writes them: `CN=a,O=b`")] = ()


class MutualTls(Section, frozen=True):
    """Client certificates on the TLS listener."""

    protocol_name: Annotated[str, later("name of the protocol family")] = "TLS"
    protocol_versions: Annotated[
        str, later("TLS versions of the listener; TLS 1.2 and 1.3 are offered whatever this says")
    ] = "TLSv1.2,TLSv1.1"
    ciphers: Annotated[str, later("cipher suites of the listener; Mozilla's intermediate list is offered")] = ""
    ssl_verify_client: Annotated[
        Literal["optional", "require"],
        acts("`require` refuses TLS without a trusted certificate; `optional` leaves it to the APIs"),
    ] = "optional"
    trusted_certificates_file: Annotated[
        str, acts("PEM file with the authorities of clients' certificates, instead of the trust store")
    ] = ""
    crl_files: Annotated[tuple[str, ...], acts("lists of revoked certificates, PEM or DER; read again on change")] = ()
    certificate_header_name: Annotated[str, acts("header in which a proxy passes the client's certificate")] = (
        "X-WSO2-CLIENT-CERTIFICATE"
    )
    is_client_certificate_validation_enabled: Annotated[
        bool, acts("a proxy that sends that header must itself show a trusted certificate")
    ] = True
    api_certificates: Annotated[tuple[ApiCertificates, ...], acts("certificates allowed per API")] = msgspec.field(
        name="api.certificates", default=()
    )


class Admin(Section, frozen=True):
    """Metrics and probes."""

    host: Annotated[str, acts("address of the admin listener")] = "127.0.0.1"
    port: Annotated[
        int, acts("port of the admin listener; 0 lets the system choose, -1 turns it off", low=-1, high=65535)
    ] = 9901


class Runtime(Section, frozen=True):
    """Processes."""

    workers: Annotated[int, acts("worker processes; 0 is one per usable CPU", low=0, high=1024)] = 0
    grace_period_in_millis: Annotated[int, acts("milliseconds in which requests may finish after SIGTERM", low=0)] = (
        30_000
    )


class Compatibility(Section, frozen=True):
    """Where the old behaviour differs from the better one."""

    statuses: Annotated[Literal["standard", "wso2"], acts("`wso2` brings the exact statuses and texts of 3.x back")] = (
        "standard"
    )
    order: Annotated[Literal["standard", "wso2"], acts("`wso2`: requests are validated before they are counted")] = (
        "standard"
    )
    unauthenticated_tier: Annotated[
        Literal["limits", "inert"],
        acts("`inert`: the tier `Unauthenticated` limits nobody, as in 3.x without a traffic manager"),
    ] = "limits"
    shared_default_tier: Annotated[
        bool, acts("callers without an application share one count of the tier `Default`, as in 3.x")
    ] = False
