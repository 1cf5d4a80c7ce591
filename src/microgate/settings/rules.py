"""What single values cannot show: settings that contradict each other, malformed addresses, weak choices.

Each rule looks at one concern and reports all it finds. `load.py` runs them last.
"""

from collections.abc import Callable, Collection, Mapping

from microgate.diagnostics import Report
from microgate.settings import catalogue, user_rules
from microgate.settings.entries import DEFAULT, Origin, add
from microgate.settings.java_classes import java_classes
from microgate.settings.key_manager_rules import key_manager
from microgate.settings.model import SHIPPED_KEY_STORE, JwtIssuer, Settings
from microgate.settings.pages import ORIGIN, ORIGIN_HINT, pages

MAX_UNIX_PATH_BYTES = 107  # sun_path of Linux without its final NUL
SHA256_DIGITS = 64

# Fields that address or frame a message; another value would make it another message (RFC 9112).
FRAMING_NAMES = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


class Finder:
    """Reports findings at the place of a key, unless a key of the same table is broken: then they may not be true."""

    def __init__(self, report: Report, origins: Mapping[str, Origin], broken: Collection[str]) -> None:
        self._report = report
        self._origins = origins
        self._broken = broken

    def is_set(self, key: str) -> bool:
        return key in self._origins

    def found(self, code: str, key: str, message: str, hint: str = "") -> None:
        """`key` is where to look; the table above it stands in where the key was not written."""
        table = key.rpartition(".")[0] or key
        if any(one.startswith((table + ".", table + "[")) for one in self._broken):
            return
        origin = self._origins.get(key) or self._origins.get(table) or DEFAULT
        add(self._report, code, message, origin, hint)


Rule = Callable[[Settings, Finder], None]


def listeners(settings: Settings, finder: Finder) -> None:
    """The gateway serves somewhere, and no two listeners want the same port."""
    listener, admin = settings.listener, settings.admin
    if listener.http_port < 0 and listener.https_port < 0 and not listener.unix_socket:
        message = "`listenerConfig.httpPort` and `listenerConfig.httpsPort` are both off, so nothing is served"
        finder.found(catalogue.CONTRADICTION, "listenerConfig.httpPort", message)
    taken: dict[int, str] = {}
    ports = [("listenerConfig.httpPort", listener.http_port), ("listenerConfig.httpsPort", listener.https_port)]
    if listener.host in {admin.host, "0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        ports.append(("adminConfig.port", admin.port))
    for key, port in ports:
        if port > 0 and port in taken:
            written = key if finder.is_set(key) else taken[port]
            finder.found(catalogue.CONTRADICTION, written, f"`{key}` and `{taken[port]}` are the same port {port}")
        taken[port] = key
    path = listener.unix_socket
    if len(path.encode()) > MAX_UNIX_PATH_BYTES:
        message = f"`listenerConfig.unixSocket` is longer than {MAX_UNIX_PATH_BYTES} bytes"
        finder.found(catalogue.RANGE, "listenerConfig.unixSocket", message)
    for key, host in (("listenerConfig.host", listener.host), ("adminConfig.host", admin.host)):
        if not host or " " in host or "/" in host:
            finder.found(catalogue.ADDRESS, key, f"`{key}` is no host: `{host}`")


def proxies(settings: Settings, finder: Finder) -> None:
    """Networks are networks, and who expects PROXY lines says from whom."""
    listener = settings.listener
    key = "listenerConfig.trustedProxies"
    if listener.proxy_protocol and not listener.trusted_proxies:
        message = f"`listenerConfig.proxyProtocol` needs `{key}`: a PROXY line counts only from a trusted proxy"
        finder.found(catalogue.CONTRADICTION, "listenerConfig.proxyProtocol", message, "list the proxies' networks")
    _networks(key, listener.trusted_proxies, finder)
    _networks("security.allowedAddresses", settings.security.allowed_addresses, finder)
    _networks("security.deniedAddresses", settings.security.denied_addresses, finder)


def _networks(key: str, networks: tuple[str, ...], finder: Finder) -> None:
    if not networks:
        return
    import ipaddress

    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            message = f"`{key}` has `{network}`, which is no network"
            finder.found(catalogue.ADDRESS, key, message, _network_hint(network))


def _network_hint(network: str) -> str:
    import ipaddress

    try:
        return f"did you mean `{ipaddress.ip_network(network, strict=False)}`?"
    except ValueError:
        return "write an address or a network such as `10.0.0.0/8` or `fd00::/8`"


def certificates(settings: Settings, finder: Finder) -> None:
    """A certificate comes with its key."""
    listener = settings.listener
    if bool(listener.certificate_file) != bool(listener.private_key_file):
        there, missing = "certificateFile", "privateKeyFile"
        if not listener.certificate_file:
            there, missing = missing, there
        message = f"`listenerConfig.{there}` is set without `listenerConfig.{missing}`"
        finder.found(catalogue.CONTRADICTION, f"listenerConfig.{there}", message, f"add `{missing}`")
    # The file of 3.x names its shipped store, which nobody who adds a certificate means.
    if listener.certificate_file and listener.key_store_path != SHIPPED_KEY_STORE:
        message = (
            "`listenerConfig.certificateFile` and `listenerConfig.keyStorePath` both name the server's certificate"
        )
        finder.found(catalogue.CONTRADICTION, "listenerConfig.keyStorePath", message, "keep one of them")
    versions = {version.strip() for version in settings.mutual_tls.protocol_versions.split(",")}
    if versions == {"TLSv1.3"}:
        key = "mutualSSLConfig.protocolVersions"
        finder.found(catalogue.RESTRICTS, key, f"`{key}` allows TLS 1.3 alone, which is not supported yet")


def issuers(settings: Settings, finder: Finder) -> None:
    """Every issuer has a name and a key; without any issuer no token is good."""
    for index, issuer in enumerate(settings.issuers):
        table = f"jwtTokenConfig[{index}]"
        if not finder.is_set(table):
            table = "jwtTokenConfig"  # the old form, one table
        _issuer(issuer, table, finder)
    if not settings.issuers:
        message = "no issuer of tokens is trusted, so operations that take JWTs refuse them"
        hint = "add [[jwtTokenConfig]] with `issuer` and one of `certificateFile`, `jwksURL`, `jwksFile`, `certificateAlias`"
        finder.found(catalogue.NO_ISSUER, "jwtTokenConfig", message, hint)


def _issuer(issuer: JwtIssuer, table: str, finder: Finder) -> None:
    if not issuer.issuer:
        if finder.is_set(f"{table}.issuer"):
            finder.found(catalogue.CONTRADICTION, f"{table}.issuer", f"`{table}.issuer` is empty")
        return
    if issuer.issuer != issuer.issuer.strip():
        key = f"{table}.issuer"
        finder.found(
            catalogue.RANGE, key, f"`{key}` begins or ends with a blank, so no token is its", "remove the blank"
        )
    has_certificate = issuer.certificate_alias or issuer.certificate_file
    if not (has_certificate or issuer.jwks_file or issuer.jwks_url or issuer.discovery):
        message = f"the issuer `{issuer.issuer}` has no key, so its tokens cannot be verified"
        hint = "set `certificateFile`, `jwksURL`, `jwksFile`, `certificateAlias` or `discovery`"
        finder.found(catalogue.NO_KEY_MATERIAL, table, message, hint)
    if issuer.access_tokens_only and not issuer.audience:
        message = f"`{table}.accessTokensOnly` needs `{table}.audience`: RFC 9068 has every resource know its own name"
        finder.found(catalogue.CONTRADICTION, f"{table}.accessTokensOnly", message, "add `audience`")
    _audience(issuer, table, finder)
    _one_place(issuer, table, finder)
    if issuer.discovery:
        _discovery(issuer, table, finder)
    if issuer.jwks_url:
        key = f"{table}.jwksURL"
        scheme, _, rest = issuer.jwks_url.partition("://")
        if scheme not in {"http", "https"} or not rest.partition("/")[0] or " " in rest:
            finder.found(catalogue.ADDRESS, key, f"`{key}` is no http or https address: `{issuer.jwks_url}`")
        elif scheme == "http" and not _is_loopback(rest):
            finder.found(
                catalogue.WEAK, key, f"`{key}` fetches keys in the clear, so who is on the way can forge tokens"
            )


def _one_place(issuer: JwtIssuer, table: str, finder: Finder) -> None:
    """Of two files, or two key sets, one would never be looked at."""
    pairs = (
        ("jwksFile", issuer.jwks_file, "jwksURL", issuer.jwks_url),
        ("certificateAlias", issuer.certificate_alias, "certificateFile", issuer.certificate_file),
    )
    for name, value, other, counts in pairs:
        if value and counts:
            message = f"`{table}.{name}` has no effect beside `{table}.{other}`"
            finder.found(catalogue.CONTRADICTION, f"{table}.{name}", message, "keep one of them")


def _audience(issuer: JwtIssuer, table: str, finder: Finder) -> None:
    """An empty list may be meant as nobody or as anybody; nothing is checked, as where the key is missing."""
    key = f"{table}.audience"
    if not issuer.audience and finder.is_set(key):
        message = f"`{key}` is empty, so tokens for any audience are taken"
        finder.found(catalogue.WEAK, key, message, "name the audiences; or remove the key, if that is what you want")
    elif not all(one.strip() for one in issuer.audience):
        finder.found(catalogue.RANGE, key, f"`{key}` has an empty name", "remove it")


def _discovery(issuer: JwtIssuer, table: str, finder: Finder) -> None:
    key = f"{table}.discovery"
    if issuer.jwks_url or issuer.jwks_file:
        other = "jwksURL" if issuer.jwks_url else "jwksFile"
        message = f"`{key}` and `{table}.{other}` both say where the keys are"
        finder.found(catalogue.CONTRADICTION, key, message, "keep one of them")
    scheme, _, rest = issuer.issuer.partition("://")
    if "?" in rest or "#" in rest or not (scheme == "https" or (scheme == "http" and _is_loopback(rest))):
        message = f"`{key}` needs an issuer that is an https address without a query, not `{issuer.issuer}`"
        finder.found(catalogue.ADDRESS, key, message, "set `jwksURL` instead")


def _is_loopback(rest: str) -> bool:
    host = rest.partition("/")[0].rpartition("@")[2]
    return host.startswith(("127.", "localhost", "[::1]"))


def backends(settings: Settings, finder: Finder) -> None:
    """Trusting every backend is allowed, but not in silence."""
    if settings.backend.disable_ssl_verification:
        key = "httpClients.disableSslVerification"
        finder.found(catalogue.WEAK, key, f"`{key}` trusts every certificate of a backend", "use `httpClients.caFile`")
    elif not settings.backend.verify_hostname:
        key = "httpClients.verifyHostname"
        finder.found(catalogue.WEAK, key, f"`{key}` is false, so any trusted certificate passes for any backend")


def proof_origins(settings: Settings, finder: Finder) -> None:
    """What is no origin would never be the one of a proof."""
    key = "dpopConfig.origins"
    for origin in settings.dpop.origins:
        if not (ORIGIN.fullmatch(origin) and origin.lower().startswith("http")):
            finder.found(catalogue.ADDRESS, key, f"`{key}` has `{origin}`, which is no origin", ORIGIN_HINT)


def name_servers(settings: Settings, finder: Finder) -> None:
    """Name servers are addresses; a name would need one of them to be found."""
    key = "resolver.nameServers"
    for server in settings.names.name_servers:
        if not _is_socket_address(server):
            message = f"`{key}` has `{server}`, which is no address of a name server"
            finder.found(
                catalogue.ADDRESS, key, message, "write an IP address, or `192.0.2.1:5353`, `[2001:db8::1]:53`"
            )


def _is_socket_address(text: str) -> bool:
    """Whether a text is an IP address, or one with a port, where IPv6 stands in brackets. No zones: c-ares mixes them up."""
    import ipaddress

    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text.removesuffix("]").removeprefix("[").partition("]:")
        port = rest or (port if text.endswith("]") else "")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host and port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65_536


def revocations(settings: Settings, finder: Finder) -> None:
    """Every source of revocations can be asked, and what it says can be verified."""
    table, revocation = "tokenRevocationConfig", settings.revocation
    persistent, feed = revocation.persistent, revocation.feed
    if persistent.enable_persistent_storage_retrieval:
        key, kind = f"{table}.persistent.type", persistent.type
        module, _, function = kind.partition(":")
        if kind not in {"default", "etcd"} and not (module and function):
            message = f"`{key}` is `{kind}`, a function of 3.x's own language"
            finder.found(catalogue.RANGE, key, message, "write `default`, `etcd`, or `module:function` of extensions/")
        _http_address(f"{table}.persistent.endpointURL", persistent.endpoint_url, finder)
    if feed.url:
        _http_address(f"{table}.feed.url", feed.url, finder)
    if bool(feed.url) != bool(feed.certificate_file):
        there, missing = ("url", "certificateFile") if feed.url else ("certificateFile", "url")
        message = f"`{table}.feed.{there}` is set without `{table}.feed.{missing}`"
        finder.found(catalogue.CONTRADICTION, f"{table}.feed.{there}", message, f"add `{missing}`")
    url = revocation.redis.url
    if url and not url.startswith(("redis://", "rediss://", "unix://")):
        key = f"{table}.redis.url"
        finder.found(catalogue.ADDRESS, key, f"`{key}` is no `redis://` or `rediss://` address")
    if revocation.when_unavailable == "closed" and not revocation.in_use:
        key = f"{table}.whenUnavailable"
        finder.found(catalogue.CONTRADICTION, key, f"`{key}` is `closed`, and there is no source of revocations")


def limit_stores(settings: Settings, finder: Finder) -> None:
    """The store of limits has addresses of its kind, which are not repeated: they may hold a password."""
    key, store = "throttlingConfig.store.urls", settings.throttling.store
    schemes = {url.partition("://")[0] for url in store.urls}
    if not schemes <= {"redis", "rediss"} or not all(url.partition("://")[2] for url in store.urls):
        finder.found(catalogue.ADDRESS, key, f"`{key}` has what is no `redis://` or `rediss://` address")
    elif len(schemes) > 1:
        message = f"`{key}` has addresses with TLS and without"
        finder.found(catalogue.CONTRADICTION, key, message, "write `rediss://` for all, or `redis://`")
    if "rediss" in schemes and not store.verify_hostname:
        key = "throttlingConfig.store.verifyHostname"
        message = f"`{key}` is false, so any trusted certificate passes for the store's"
        finder.found(catalogue.WEAK, key, message)


def traffic_manager(settings: Settings, finder: Finder) -> None:
    """A traffic manager that is to decide can be told and asked; `jobs.py` of its room looks at the broker's address."""
    throttling = settings.throttling
    if not throttling.enabled_global_tm_event_publishing:
        return
    for key, url in (
        ("throttlingConfig.throttleEndpointUrl", throttling.throttle_endpoint_url),
        ("throttlingConfig.dataRetriever.serverUrl", throttling.data_retriever.server_url),
    ):
        _http_address(key, url, finder)
        if url.startswith("http://") and not _is_loopback(url[7:]):
            finder.found(catalogue.WEAK, key, f"`{key}` sends a password in the clear", "use https")
    if ":" not in throttling.throttle_endpoint_base64_header:
        key = "throttlingConfig.throttleEndpointbase64Header"
        hint = "write them in plain text, the gateway encodes them"
        finder.found(catalogue.RANGE, key, f"`{key}` is no `user:password`", hint)


def _http_address(key: str, url: str, finder: Finder) -> None:
    scheme, _, rest = url.partition("://")
    if scheme not in {"http", "https"} or not rest.partition("/")[0] or " " in rest or "@" in rest.partition("/")[0]:
        finder.found(catalogue.ADDRESS, key, f"`{key}` is no http or https address")


def header_names(settings: Settings, finder: Finder) -> None:
    """Names of header fields are tokens (RFC 9110 §5.6.2)."""
    names = {
        "authConfig.authorizationHeader": settings.auth.authorization_header,
        "forwardingConfig.requestIdHeader": settings.forwarding.request_id_header or "-",
        "jwtConfig.header": settings.backend_jwt_header.header,
    }
    for index, entry in enumerate(settings.server.header_conf):
        key = f"server.headerConf[{index}].headerName"
        names[key] = entry.header_name
        if entry.header_name.lower() in FRAMING_NAMES:
            message = f"`{key}` names `{entry.header_name}`, which belongs to the connection and cannot be overridden"
            finder.found(catalogue.RANGE, key, message)
    for key, name in names.items():
        if not _is_token(name):
            finder.found(catalogue.RANGE, key, f"`{key}` is no name of a header: `{name}`")
    key = "forwardingConfig.identityHeaders"
    for name in settings.forwarding.identity_headers:
        if name.lower() in FRAMING_NAMES | {settings.auth.authorization_header.lower()}:
            finder.found(catalogue.RANGE, key, f"`{key}` has `{name}`, without which no request can be served")
        elif not _is_token(name):
            finder.found(catalogue.RANGE, key, f"`{key}` has `{name}`, which is no name of a header")


def _is_token(name: str) -> bool:
    return bool(name) and all(one.isascii() and (one.isalnum() or one in "!#$%&'*+-.^_`|~") for one in name)


def client_certificates(settings: Settings, finder: Finder) -> None:
    """A list of certificates names some, in a form that can be compared."""
    for index, entry in enumerate(settings.mutual_tls.api_certificates):
        table = f"mutualSSLConfig.api.certificates[{index}]"
        if not (entry.alias_list or entry.thumbprints or entry.subjects):
            message = f"`{table}` lists no certificate of `{entry.name}`"
            finder.found(catalogue.CONTRADICTION, table, message, "add `aliasList`, `thumbprints` or `subjects`")
        for subject in entry.subjects:
            if "=" not in subject:
                message = f"`{table}.subjects` has `{subject}`, which is no subject of a certificate"
                hint = "write it as RFC 4514 does, `CN=shop,O=Example`; `openssl x509 -noout -subject -nameopt RFC2253` prints it"
                finder.found(catalogue.RANGE, f"{table}.subjects", message, hint)
        for thumbprint in entry.thumbprints:
            digits = thumbprint.replace(":", "")
            if len(digits) != SHA256_DIGITS or not set(digits.lower()) <= set("0123456789abcdef"):
                message = f"`{table}.thumbprints` has `{thumbprint}`, which is no SHA-256 in hexadecimal"
                hint = "it is what `openssl x509 -noout -fingerprint -sha256 -in client.crt` prints"
                finder.found(catalogue.RANGE, f"{table}.thumbprints", message, hint)


def api_keys(settings: Settings, finder: Finder) -> None:
    """Signed keys name who made them; an empty name would be that of no key."""
    for key, issuer in (
        ("apikey.tokenConfigs.issuer", settings.api_key.token_configs.issuer),
        ("apikey.issuer.tokenConfig.issuer", settings.api_key.signing.issuer),
    ):
        if not issuer or issuer != issuer.strip():
            message = f"`{key}` is empty, or begins or ends with a blank, so no key is its"
            finder.found(catalogue.RANGE, key, message, "remove the key for the default")


RULES: tuple[Rule, ...] = (
    listeners,
    proxies,
    certificates,
    client_certificates,
    api_keys,
    issuers,
    key_manager,
    backends,
    proof_origins,
    pages,
    name_servers,
    revocations,
    limit_stores,
    traffic_manager,
    header_names,
    user_rules.users,
    user_rules.user_stores,
    java_classes,
)
