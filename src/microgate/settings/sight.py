"""Settings of what can be seen from outside: logs, metrics, traces, analytics, and the control plane that watches."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts, later
from microgate.settings.security import User


class AccessLog(Section, frozen=True):
    """One line for every request."""

    format: Annotated[str, acts("`json`, `combined`, `off`, or a template with `{fields}`")] = "json"
    path: Annotated[str, acts("file to append to; `-` is standard output")] = "-"


class Log(Section, frozen=True):
    """What the gateway says about itself."""

    level: Annotated[
        Literal["DEBUG", "TRACE", "INFO", "WARN", "ERROR"], acts("lines below this level are left out")
    ] = "INFO"


class WireLog(Section, frozen=True):
    """Whole messages, for debugging."""

    console: Annotated[bool, later("print them")] = False
    path: Annotated[str, later("file they go to")] = ""
    host: Annotated[str, later("host they go to")] = ""
    port: Annotated[int, later("port they go to", low=0)] = 0


class HttpLogs(Section, frozen=True):
    """Logs of 3.x. `[accessLogConfig]` says more, and wins."""

    access_console: Annotated[bool, acts("combined lines on standard output")] = msgspec.field(
        name="accesslog.console", default=False
    )
    access_path: Annotated[str, acts("combined lines in this file")] = msgspec.field(name="accesslog.path", default="")
    wire: WireLog = msgspec.field(name="tracelog", default=WireLog())


class Metrics(Section, frozen=True):
    """Metrics as in 3.x. Ours are always on, on the listener of `[adminConfig]`."""

    enabled: Annotated[bool, later("serve metrics on the ports below; see `adminConfig.port`", switch=True)] = False
    reporter: Annotated[str, later("who serves them")] = "prometheus"
    enable_auth: Annotated[bool, later("ask for a user")] = True
    port: Annotated[int, later("port", low=0)] = msgspec.field(name="prometheus.port", default=9797)
    jmx_port: Annotated[int, later("port of Java's metrics", low=0)] = msgspec.field(
        name="prometheus.jmx_port", default=8080
    )
    secure_port: Annotated[int, later("TLS port", low=0)] = msgspec.field(name="prometheus.secure_port", default=9000)


class Jaeger(Section, frozen=True):
    """Traces to Jaeger."""

    hostname: Annotated[str, later("host")] = msgspec.field(name="reporter.hostname", default="localhost")
    port: Annotated[int, later("port", low=0)] = msgspec.field(name="reporter.port", default=5775)
    flush_interval_ms: Annotated[int, later("milliseconds", low=0)] = msgspec.field(
        name="reporter.flush.interval.ms", default=2000
    )
    max_buffer_spans: Annotated[int, later("spans kept", low=0)] = msgspec.field(
        name="reporter.max.buffer.spans", default=1000
    )
    sampler_type: Annotated[Literal["const", "probabilistic", "ratelimiting"], later("how spans are chosen")] = (
        msgspec.field(name="sampler.type", default="const")
    )
    sampler_parameter: Annotated[float, later("share or number", low=0)] = msgspec.field(
        name="sampler.param", default=1.0
    )


class Zipkin(Section, frozen=True):
    """Traces to Zipkin."""

    hostname: Annotated[str, later("host")] = msgspec.field(name="reporter.hostname", default="localhost")
    port: Annotated[int, later("port", low=0)] = msgspec.field(name="reporter.port", default=9411)
    api_context: Annotated[str, later("path")] = msgspec.field(name="reporter.api.context", default="/api/v2/spans")
    api_version: Annotated[str, later("version")] = msgspec.field(name="reporter.api.version", default="v2")
    compression: Annotated[bool, later("compress")] = msgspec.field(name="reporter.compression.enabled", default=True)


class Tracing(Section, frozen=True):
    """Traces as in 3.x."""

    enabled: Annotated[bool, later("send traces", switch=True)] = False
    name: Annotated[Literal["jaeger", "zipkin"], later("to whom")] = "jaeger"
    jaeger: Jaeger = Jaeger()
    zipkin: Zipkin = Zipkin()


class Observability(Section, frozen=True):
    """Metrics and traces of 3.x."""

    metrics: Metrics = Metrics()
    tracing: Tracing = Tracing()


class B7a(Section, frozen=True):
    """Users and logs, under the name that 3.x gave them."""

    users: Annotated[dict[str, User], acts("users for Basic authentication; a table for each name")] = msgspec.field(
        default_factory=dict
    )
    log: Log = Log()
    http: HttpLogs = HttpLogs()
    observability: Observability = Observability()


class FileUpload(Section, frozen=True):
    """Events in files."""

    enable: Annotated[bool, later("write and upload them", switch=True)] = False
    uploading_time_span_in_millis: Annotated[int, later("milliseconds between uploads", low=1)] = 600_000
    initial_delay_in_millis: Annotated[int, later("milliseconds before the first", low=0)] = 5000
    uploading_endpoint: Annotated[str, later("where to")] = "https://localhost:9444/analytics/v1.0/usage/upload-file"
    rotating_period: Annotated[int, later("milliseconds of one file", low=1)] = 600_000
    task_upload_files: Annotated[bool, later("upload, not only write")] = True
    username: Annotated[str, later("user there")] = "admin"
    password: Annotated[str, later("password there", secret=True)] = "admin"  # noqa: S105 - the default of 3.x


class GrpcAnalytics(Section, frozen=True):
    """Events over gRPC."""

    enable: Annotated[bool, later("send them", switch=True)] = False
    endpoint_url: Annotated[str, later("where to")] = msgspec.field(
        name="endpointURL", default="https://localhost:9806"
    )
    reconnect_time_in_millis: Annotated[int, later("milliseconds before another try", low=1)] = msgspec.field(
        name="reconnectTimeInMillies", default=6000
    )


class VendorAnalytics(Section, frozen=True):
    """Analytics of later updates of 3.x."""

    enabled: Annotated[bool, later("send events", switch=True)] = False
    auth_url: Annotated[str, later("where to log in")] = msgspec.field(name="authURL", default="")
    auth_token: Annotated[str, later("on-premises key", secret=True)] = ""


class Analytics(Section, frozen=True):
    """Events for analytics."""

    stream_version: Annotated[str, later("form of the events")] = "3.2.0"
    file_upload: FileUpload = FileUpload()
    grpc: GrpcAnalytics = msgspec.field(name="gRPCAnalytics", default=GrpcAnalytics())
    choreo: VendorAnalytics = msgspec.field(name="choreoAnalytics", default=VendorAnalytics())
    elk: VendorAnalytics = msgspec.field(name="elkAnalytics", default=VendorAnalytics())


class EventHub(Section, frozen=True):
    """Subscriptions and applications from the control plane."""

    enable: Annotated[bool, acts("fetch them", switch=True)] = False
    service_url: Annotated[str, acts("base address")] = "https://localhost:9443"
    internal_data_context: Annotated[str, acts("path")] = "/internal/data/v1/"
    username: Annotated[str, acts("user there")] = "admin"
    password: Annotated[str, acts("password there", secret=True)] = "admin"  # noqa: S105 - the default of 3.x
    refresh_interval_in_millis: Annotated[int, acts("how often everything is fetched anew", low=1000)] = 60_000
    max_list_bytes: Annotated[int, acts("the largest list of its data that is read", low=1024, high=1 << 30)] = 64 << 20
    event_listening_endpoints: Annotated[
        str, acts("the broker that tells of changes, in the form of 3.x or as `amqp://` or `amqps://` URL", secret=True)
    ] = ""


class Apim(Section, frozen=True):
    """The control plane of 3.x."""

    event_hub: EventHub = EventHub()
    username: Annotated[str, acts("user of the claim retriever")] = msgspec.field(
        name="credentials.username", default="admin"
    )
    password: Annotated[str, acts("its password", secret=True)] = msgspec.field(
        name="credentials.password", default="admin"
    )
