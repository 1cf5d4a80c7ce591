"""The structs of a plan. All are frozen, hold plain data only, and encode to the same bytes for the same input.

A field that is at its default is left out of the encoding, so a later version can add fields. References between structs
are indexes into the tuples of `Plan`; names that shared memory or metrics are keyed by are stable strings.
"""

from __future__ import annotations

import enum

import msgspec

FORMAT = 1  # raised when an older engine could misread a newer plan


class _Struct(msgspec.Struct, frozen=True, omit_defaults=True):
    pass


class UpstreamKind(enum.Enum):
    """How a named group of endpoints is used (WSO2 §3.2)."""

    HTTP = "http"
    LOAD_BALANCE = "load_balance"
    FAILOVER = "failover"


class Timeouts(_Struct, frozen=True):
    """Bounds on a backend in milliseconds; 0 means the setting's default. `total` counts from the first byte sent."""

    connect_ms: int = 0
    response_ms: int = 0  # until the response head is complete
    idle_ms: int = 0  # between two pieces of a message
    total_ms: int = 0


class PoolLimits(_Struct, frozen=True):
    """Bounds of one endpoint's pool; -1 means unlimited, None the setting's default (WSO2 §5.9)."""

    max_active_connections: int | None = None
    max_idle_connections: int | None = None
    wait_ms: int | None = None


class Upstream(_Struct, frozen=True):
    """A named group of endpoints. `name` is stable over builds: run-time overrides and metrics use it."""

    name: str
    environment: str  # "prod" or "sand", as in the override keys of WSO2 §8.6
    kind: UpstreamKind
    urls: tuple[str, ...]  # absolute http or https URLs, or unix:/path:/base for a Unix socket
    timeouts: Timeouts = Timeouts()
    pool: PoolLimits = PoolLimits()


class KeyPlace(_Struct, frozen=True):
    """Where an API key is looked for."""

    location: str  # "header" or "query"
    name: str  # of the field, or of the parameter as it stands decoded


class Requirement(_Struct, frozen=True):
    """One member of an alternative of `security`, read literally."""

    kind: str  # as in `Security.schemes`
    scopes: tuple[str, ...] = ()  # all of them
    key_places: tuple[KeyPlace, ...] = ()
    bound_tokens: str = ""  # as in `Security`, "" where that says it


class Security(_Struct, frozen=True):
    """Who may call an operation. Closed unless `opened_by` says what opened it."""

    schemes: tuple[str, ...] = (
        "oauth2",
        "jwt",
    )  # of oauth2, jwt, basic, api_key, mutual_tls, forward; any one suffices
    scopes: tuple[str, ...] = ()  # any one suffices (WSO2 §6.7)
    opened_by: str = ""  # e.g. "x-wso2-disable-security at petstore.yaml:41"
    all_scopes: bool = False  # each of `scopes` is needed
    key_places: tuple[KeyPlace, ...] = ()
    # The literal reading (an OR of ANDs) in place of `schemes` and `scopes`; an alternative without members lets anybody in.
    alternatives: tuple[tuple[Requirement, ...], ...] = ()
    optional: bool = False  # a client certificate suffices, where mutual TLS is mandatory (WSO2 §3.7)
    bound_tokens: str = ""  # tokens must be bound to their holder: "certificate" (RFC 8705), "dpop" (RFC 9449) or "any"
    waived: tuple[str, ...] = ()  # the extensions of the root that the operation is left out of, e.g. "x-microgate-ip"


class IpRules(_Struct, frozen=True):
    """Addresses and networks that may call; `deny` beats `allow`, an empty `allow` is everybody."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class ForwardAuth(_Struct, frozen=True):
    """An HTTP service that decides on each request that brings no verdict of its own."""

    url: str
    timeout_ms: int = 1_000
    send_headers: tuple[str, ...] = ()  # lower case; those of the client's request that the service sees
    take_headers: tuple[str, ...] = ()  # lower case; those of the service's answer that the backend sees
    cache_by: tuple[str, ...] = ()  # lower case; a verdict is good for requests with equal values of these
    cache_s: int = 0  # 0 asks each time


class Cors(_Struct, frozen=True):
    """Which pages of other origins may call (WSO2 §6.12)."""

    origins: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    credentials: bool = False
    expose_headers: tuple[str, ...] = ()
    max_age_s: int = -1


class Module(_Struct, frozen=True):
    """Python of the project that the runtime calls; `name` is how settings refer to it."""

    name: str
    source: str


class Operation(_Struct, frozen=True):
    """A method on a path template. `id` is the operationId or `METHOD path`; it labels logs and metrics."""

    id: str
    method: str
    path: str  # template below the base path, starting with "/"
    security: Security = Security()
    production: int | None = None  # index into Plan.upstreams
    sandbox: int | None = None
    max_body_bytes: int | None = None  # None: the listener's limit
    tier: str = ""  # a resource policy's name, "" for Unlimited
    ip: IpRules | None = None
    forward_auth: ForwardAuth | None = None
    max_in_flight: int | None = None  # of one worker, 0 for no bound; None: as the settings have it
    cost: int = 1  # what a request takes of quotas and bursts


class Api(_Struct, frozen=True):
    """One OpenAPI description. `base_path` starts with "/" and has no trailing slash, except for the root itself."""

    id: str  # WSO2's api_<sha256 of name:version>
    name: str
    version: str
    base_path: str
    file: str  # the description, relative to the project
    operations: tuple[Operation, ...]
    hosts: tuple[str, ...] = ()  # lower case, empty for any host; "*.example.com" matches one or more labels
    transports: tuple[str, ...] = ("http", "https")
    redirect_http: bool = False  # answer plain HTTP with a redirect to HTTPS
    auth_header: str = ""  # "" for the setting's
    owner: str = ""
    tier: str = ""
    mutual_tls: str = ""  # "mandatory" or "optional", "" where certificates play no part
    cors: Cors | None = None


class ProjectSubscription(_Struct, frozen=True):
    """An application's subscription, as the project has it."""

    api: str  # `Api.name`
    version: str  # "*" for every one
    tier: str = ""
    state: str = "UNBLOCKED"  # in the words of WSO2 §6.8


class ProjectApplication(_Struct, frozen=True):
    """An application that the project knows. Keys are those that tokens name it by."""

    name: str
    owner: str = ""
    tier: str = ""
    production_keys: tuple[str, ...] = ()
    sandbox_keys: tuple[str, ...] = ()
    subscriptions: tuple[ProjectSubscription, ...] = ()


class Subscribers(_Struct, frozen=True):
    """Who may call what by subscription, as subscriptions.yaml says. `required` is false where it only describes."""

    applications: tuple[ProjectApplication, ...] = ()
    required: bool = True
    blocked_keys: tuple[str, ...] = ()
    blocked_names: tuple[str, ...] = ()  # of callers: the subject, the user
    blocked_applications: tuple[str, ...] = ()


class Quota(_Struct, frozen=True):
    """So many in each window. A fixed window begins where the clock is a multiple of its length, a sliding one nowhere."""

    count: int
    window_s: int
    sliding: bool = False


class Burst(_Struct, frozen=True):
    """A bucket of `size` tokens that is filled with `count` in `window_s` seconds, evenly."""

    size: int
    count: int
    window_s: int


class Bandwidth(_Struct, frozen=True):
    """So many bytes of bodies in each fixed window; over it the next request is refused, or bodies flow slowly."""

    bytes: int
    window_s: int
    direction: str = "both"  # "in" (of requests), "out" (of answers) or "both"
    slows: bool = False


class Allowance(_Struct, frozen=True):
    """What a policy lets pass: all that is set holds."""

    quota: Quota | None = None
    burst: Burst | None = None
    concurrency: int | None = None  # requests in flight
    bandwidth: Bandwidth | None = None


class Condition(_Struct, frozen=True):
    """What is asked of a request. A pattern is found anywhere in a value unless it says otherwise."""

    kind: str  # "header", "query", "claim" or "address"
    name: str = ""  # of the header (lower case), the query parameter or the claim
    pattern: str = ""
    networks: tuple[str, ...] = ()  # addresses, networks in CIDR form, or ranges `first-last` with both ends
    invert: bool = False


class ConditionGroup(_Struct, frozen=True):
    """Requests for which all conditions hold have an allowance of their own; of several groups the first decides."""

    name: str
    conditions: tuple[Condition, ...]
    allowance: Allowance


class Policy(_Struct, frozen=True):
    """A rate-limit policy of policies.yaml (WSO2 §4), with what this gateway adds."""

    level: str  # resource, application, subscription or custom
    name: str
    allowance: Allowance  # of requests that no group takes
    stop_on_quota: bool = True  # False lets requests pass that are over it, and says so
    groups: tuple[ConditionGroup, ...] = ()
    weights: tuple[tuple[str, int], ...] = ()  # by status ("404") or class of it ("5xx"); 1 where nothing is said
    shadow: bool = False  # counts, and logs what it would refuse
    store: str = "node"  # where counts are kept: "node", or over nodes "fast" or "strict"
    key_template: str = ""  # of a custom policy: who shares one allowance, with `$` variables


class Block(_Struct, frozen=True):
    """Callers that are shut out (WSO2 §11.3)."""

    kind: str  # "api" (a base path), "user", "application" (`<owner>:<name>`) or "address"
    value: str = ""
    networks: tuple[str, ...] = ()  # as in `Condition`
    invert: bool = False


class Plan(_Struct, frozen=True):
    """Everything the runtime needs to serve one project."""

    project: str
    engine: str  # version of microgate that compiled it
    apis: tuple[Api, ...]
    upstreams: tuple[Upstream, ...]
    policies: tuple[Policy, ...] = ()
    blocks: tuple[Block, ...] = ()
    extensions: tuple[Module, ...] = ()
    subscribers: Subscribers | None = None
    format: int = FORMAT
    inputs: tuple[tuple[str, str], ...] = ()  # (path relative to the project, hex SHA-256), sorted
    digest: str = ""  # hex SHA-256 of the artefact that it was opened from; never within one


def encode(plan: Plan) -> bytes:
    """Canonical bytes: struct fields in declaration order, MessagePack's shortest forms."""
    return msgspec.msgpack.encode(plan)


def decode(data: bytes) -> Plan:
    """The plan of `encode`d bytes; raises msgspec.ValidationError or DecodeError on anything else."""
    return msgspec.msgpack.decode(data, type=Plan)
