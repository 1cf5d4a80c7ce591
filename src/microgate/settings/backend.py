"""Settings of what the gateway says to backends: connections, names, TLS, proxies, identity headers, discovery."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts, later, restricts


class Proxy(Section, frozen=True):
    """An HTTP proxy on the way to backends."""

    enable: Annotated[bool, restricts("reach backends through the proxy")] = False
    enable_internal_services: Annotated[bool, restricts("reach the key manager and others through the proxy")] = False
    host: Annotated[str, later("the proxy's host")] = ""
    port: Annotated[int, later("the proxy's port", low=0)] = 0
    username: Annotated[str, later("user at the proxy")] = ""
    password: Annotated[str, later("password at the proxy", secret=True)] = ""


class BackendTls(Section, frozen=True):
    """TLS towards backends."""

    protocol_name: Annotated[str, later("name of the protocol family")] = "TLS"
    protocol_versions: Annotated[str, later("TLS versions; TLS 1.2 and 1.3 are offered whatever this says")] = (
        "TLSv1.2,TLSv1.1"
    )
    ciphers: Annotated[str, later("cipher suites; the platform's secure list is offered")] = ""
    key_store_path: Annotated[str, later("store with the client certificate for backends")] = ""
    key_store_password: Annotated[str, later("password of that store", secret=True)] = ""
    trust_store_path: Annotated[
        str, restricts("store with the authorities for backends; use `httpClients.caFile` instead")
    ] = ""
    trust_store_password: Annotated[str, later("password of that store", secret=True)] = ""


class ResponseLimits(Section, frozen=True):
    """Bounds on what a backend may answer."""

    max_status_line_length: Annotated[int, acts("bytes of a status line; over it 502", low=1)] = 4096
    max_header_size: Annotated[int, acts("bytes of an answer's head, status line excluded; over it 502", low=1)] = 8192
    max_entity_body_size: Annotated[
        int, acts("bytes of an answer's body, over it 502 or the answer cut off; -1 for no limit", low=-1)
    ] = -1


class Backend(Section, frozen=True):
    """Towards backends."""

    disable_ssl_verification: Annotated[bool, acts("trust every certificate of a backend")] = False
    verify_hostname: Annotated[bool, acts("a backend's certificate must carry its name")] = True
    ca_file: Annotated[str, acts("PEM file of authorities; empty for the system's")] = ""
    # Both values mean HTTP/1.1 until there is HTTP/2, so neither deserves a warning.
    enable_http2: Annotated[bool, acts("HTTP/2 to backends that offer it; HTTP/1.1 alone is spoken so far")] = True
    connect_timeout_in_millis: Annotated[int, acts("longest wait for a connection in milliseconds", low=1)] = 5_000
    response_timeout_in_millis: Annotated[int, acts("longest wait for an answer's head in milliseconds", low=1)] = (
        60_000
    )
    idle_timeout_in_millis: Annotated[int, acts("longest pause inside a message in milliseconds", low=1)] = 60_000
    total_timeout_in_millis: Annotated[int, acts("longest whole exchange in milliseconds; 0 for no limit", low=0)] = 0
    pool_idle_timeout_in_millis: Annotated[
        int, acts("an unused connection is closed after so many milliseconds", low=1)
    ] = 60_000
    max_active_connections: Annotated[int, acts("connections per endpoint and worker; -1 for no limit", low=-1)] = (
        msgspec.field(name="poolConfig.maxActiveConnections", default=-1)
    )
    max_idle_connections: Annotated[int, acts("unused connections kept per endpoint and worker", low=-1)] = (
        msgspec.field(name="poolConfig.maxIdleConnections", default=100)
    )
    wait_time_in_millis: Annotated[int, acts("longest wait for a free connection in milliseconds", low=0)] = (
        msgspec.field(name="poolConfig.waitTimeInMillis", default=30_000)
    )
    max_active_streams_per_connection: Annotated[int, later("HTTP/2 streams of one connection", low=1)] = msgspec.field(
        name="poolConfig.maxActiveStreamsPerConnection", default=50
    )
    proxy: Proxy = Proxy()
    tls: BackendTls = msgspec.field(name="sslConfig", default=BackendTls())
    response_limits: ResponseLimits = ResponseLimits()


class Names(Section, frozen=True):
    """How names of backends become addresses."""

    name_servers: Annotated[
        tuple[str, ...],
        acts("name servers, as `192.0.2.1`, `192.0.2.1:5353` or `[2001:db8::1]:53`; none: the system's"),
    ] = ()


class Forwarding(Section, frozen=True):
    """What backends learn about clients."""

    headers: Annotated[
        Literal["x-forwarded", "forwarded", "both", "off"], acts("headers that name the client; `off` as in 3.x")
    ] = "x-forwarded"
    request_id_header: Annotated[
        str, acts("request id, in from trusted proxies and out to both sides; empty for none")
    ] = "X-Request-Id"
    identity_headers: Annotated[
        tuple[str, ...], acts("headers that backends take for somebody's identity: clients' copies are dropped")
    ] = ()


class HeaderConf(Section, frozen=True):
    """What becomes of one header: `User-Agent` to backends, `Server` to clients, any other where it is there, both ways."""

    header_name: Annotated[str, acts("name of the header")]
    preserve_header: Annotated[bool | None, acts("pass it unchanged; unset: true for `Server` and without a value")] = (
        None
    )
    override_value: Annotated[
        str, acts("the value it gets instead; not preserved and without a value it is taken away")
    ] = ""


class Server(Section, frozen=True):
    """The clock's leeway and the gateway's own headers."""

    timestamp_skew: Annotated[int, acts("clock leeway for tokens in milliseconds; -1: 30 s", low=-1)] = -1
    header: Annotated[str, acts("value of the `Server` header of the gateway's own answers")] = ""
    header_conf: Annotated[tuple[HeaderConf, ...], acts("headers to preserve or override")] = ()


class Etcd(Section, frozen=True):
    """Discovery of endpoints through etcd; the keys stand at the top of the file, in no table."""

    url: Annotated[str, later("address of etcd")] = msgspec.field(name="etcdurl", default="")
    username: Annotated[str, later("user at etcd")] = msgspec.field(name="etcdusername", default="")
    password: Annotated[str, later("password at etcd", secret=True)] = msgspec.field(name="etcdpassword", default="")
    timer_in_millis: Annotated[int, later("milliseconds between two readings", low=1)] = msgspec.field(
        name="etcdtimer", default=10_000
    )
    base_path: Annotated[str, later("path of etcd's interface")] = msgspec.field(name="etcdbasepath", default="/v3")
