"""Settings of rate limits: how they are counted here, and how they are shared with a traffic manager."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts, later


class DataRetriever(Section, frozen=True):
    """Key templates and blocking conditions."""

    server_url: Annotated[str, acts("where they are")] = "https://localhost:9443/internal/data/v1"
    username: Annotated[str, acts("user there")] = "admin"
    password: Annotated[str, acts("password there", secret=True)] = "admin"  # noqa: S105 - the default of 3.x


class NodeLocal(Section, frozen=True):
    """Counters of one gateway. Ours need neither threads nor a clean-up."""

    process_thread_pool_core_size: Annotated[int, later("threads", low=0)] = 200
    process_thread_pool_maximum_size: Annotated[int, later("threads", low=0)] = 1000
    process_thread_pool_keep_alive_time: Annotated[int, later("seconds", low=0)] = 200
    clean_up_frequency: Annotated[int, later("seconds", low=0)] = 3600


class UrlGroup(Section, frozen=True):
    """Traffic managers that get each event."""

    receiver_url: Annotated[tuple[str, ...], later("receivers")] = msgspec.field(
        name="receiverURL", default=("tcp://localhost:9611",)
    )
    auth_url: Annotated[tuple[str, ...], later("where to log in")] = msgspec.field(
        name="authURL", default=("ssl://localhost:9711",)
    )
    type: Annotated[Literal["failover", "loadbalance"], later("how one is chosen")] = "failover"


class PublisherPool(Section, frozen=True):
    """Publishers, kept."""

    max_idle: Annotated[int, later("publishers kept", low=0)] = 1000
    init_idle_capacity: Annotated[int, later("publishers at start", low=0)] = 200


class PublisherThreadPool(Section, frozen=True):
    """Threads of publishers."""

    core_pool_size: Annotated[int, later("threads", low=0)] = 200
    max_pool_size: Annotated[int, later("threads", low=0)] = 1000
    keep_alive_time: Annotated[int, later("seconds", low=0)] = 200


class Agent(Section, frozen=True):
    """The sender of events."""

    ssl_enabled_protocols: Annotated[str, later("TLS versions")] = "TLSv1,TLSv1.1,TLSv1.2"
    ciphers: Annotated[str, later("cipher suites")] = ""
    queue_size: Annotated[int, later("events, a power of two", low=1)] = 32768
    batch_size: Annotated[int, later("events", low=1)] = 200
    core_pool_size: Annotated[int, later("threads", low=0)] = 1
    socket_timeout_in_millis: Annotated[int, later("milliseconds", low=0)] = msgspec.field(
        name="socketTimeoutMS", default=30000
    )
    max_pool_size: Annotated[int, later("threads", low=0)] = 1
    keep_alive_time_in_pool: Annotated[int, later("seconds", low=0)] = 20
    reconnection_interval: Annotated[int, later("seconds", low=0)] = 30
    max_transport_pool_size: Annotated[int, later("connections", low=0)] = 250
    max_idle_connections: Annotated[int, later("connections", low=0)] = 250
    eviction_time_period: Annotated[int, later("milliseconds", low=0)] = 5500
    min_idle_time_in_pool: Annotated[int, later("milliseconds", low=0)] = 5000
    secure_max_idle_transport_pool_size: Annotated[int, later("connections", low=0)] = 250
    secure_max_idle_connections: Annotated[int, later("connections", low=0)] = 250
    secure_eviction_time_period: Annotated[int, later("milliseconds", low=0)] = 5500
    secure_min_idle_time_in_pool: Annotated[int, later("milliseconds", low=0)] = 5000


class Binary(Section, frozen=True):
    """Events over the binary protocol, which is not spoken: they go over HTTP."""

    enabled: Annotated[bool, acts("where true, a warning at the start says so", switch=True)] = True
    username: Annotated[str, later("user")] = "admin"
    password: Annotated[str, later("password", secret=True)] = "admin"  # noqa: S105 - the default of 3.x
    url_groups: Annotated[tuple[UrlGroup, ...], later("receivers")] = msgspec.field(name="URLGroup", default=())
    publisher_pool: PublisherPool = PublisherPool()
    publisher_thread_pool: PublisherThreadPool = PublisherThreadPool()
    agent: Agent = Agent()


class LimitStore(Section, frozen=True):
    """Redis or Valkey, in which several gateways count together: for policies with `store: strict` or `store: fast`."""

    urls: Annotated[
        tuple[str, ...],
        acts("`redis://` or `rediss://` addresses; of several the first that can be had serves", secret=True),
    ] = ()
    cluster: Annotated[bool, acts("the addresses are of nodes of a cluster")] = False
    username: Annotated[str, acts("user there, instead of the addresses'")] = ""
    password: Annotated[str, acts("password there, instead of the addresses'", secret=True)] = ""
    ca_file: Annotated[str, acts("PEM file with the authorities that `rediss://` trusts; empty for the system's")] = ""
    verify_hostname: Annotated[bool, acts("the certificate has to name the host of the address")] = True
    prefix: Annotated[str, acts("what its keys begin with; gateways with the same one count together")] = "microgate:"
    wait_millis: Annotated[int, acts("how long a request waits for a decision at most", low=1, high=4_000)] = 50
    when_down: Annotated[
        Literal["open", "closed", "local"],
        acts("while it is away: uncounted requests pass, are refused with 503, or each gateway counts alone"),
    ] = "local"
    sync_millis: Annotated[
        int, acts("with `fast`: how old what is known of other gateways may become", low=10, high=10_000)
    ] = 100


class Throttling(Section, frozen=True):
    """Limits of this gateway, and limits shared by several gateways through a traffic manager."""

    rate_limit_headers: Annotated[
        Literal["none", "standard", "legacy", "both"],
        acts("what answers tell of limits: `RateLimit` and `RateLimit-Policy` (standard), `X-RateLimit-…` (legacy)"),
    ] = "standard"
    max_keys: Annotated[
        int, acts("counts that are kept at a time; further callers share some", low=1_000, high=20_000_000)
    ] = 1_000_000
    state_file: Annotated[
        str, acts("where counts are kept over a restart; none where empty: then they begin at nothing")
    ] = ""
    blocking_file: Annotated[
        str,
        acts("callers that are shut out, a JSON object on each line; read again when it changes, empty for none"),
    ] = ""
    enabled_global_tm_event_publishing: Annotated[bool, acts("let a traffic manager decide", switch=True)] = (
        msgspec.field(name="enabledGlobalTMEventPublishing", default=False)
    )
    enable_header_conditions: Annotated[bool, acts("decide by headers, and tell it of them but for credentials")] = (
        False
    )
    enable_query_param_conditions: Annotated[bool, acts("decide by the query, and tell it of it")] = False
    enable_jwt_claim_conditions: Annotated[bool, acts("decide by the caller's claims, and tell it of them")] = False
    jms_connection_initial_context_factory: Annotated[str, later("Java class of the broker")] = msgspec.field(
        name="jmsConnectioninitialContextFactory", default="wso2mbInitialContextFactory"
    )
    jms_connection_provider_url: Annotated[str, acts("the broker that tells decisions", secret=True)] = (
        "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'"
    )
    jms_connection_username: Annotated[str, acts("user at the broker, empty for the one in the address")] = ""
    jms_connection_password: Annotated[str, acts("password at the broker", secret=True)] = ""
    when_broker_down: Annotated[
        Literal["local", "open", "closed"],
        acts("while its broker is away: count here by the same policies, let all pass, or refuse all"),
    ] = "local"
    throttle_endpoint_url: Annotated[str, acts("where events go over HTTP")] = "https://localhost:9443/endpoints"
    throttle_endpoint_base64_header: Annotated[str, acts("`user:password` there", secret=True)] = msgspec.field(
        name="throttleEndpointbase64Header", default="admin:admin"
    )
    store: LimitStore = LimitStore()
    data_retriever: DataRetriever = DataRetriever()
    node_local: NodeLocal = NodeLocal()
    binary: Binary = Binary()
