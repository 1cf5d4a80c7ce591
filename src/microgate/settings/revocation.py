"""Settings of what was taken back before its time: the sources that tell of it, and what happens while they are silent."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts, later


class RealtimeRevocation(Section, frozen=True):
    """Revocations as they happen, from a broker that speaks AMQP 0-9-1."""

    enable_realtime_message_retrieval: Annotated[bool, acts("subscribe to revoked tokens", switch=True)] = False
    jms_connection_topic: Annotated[str, acts("topic")] = "tokenRevocation"
    jms_connection_initial_context_factory: Annotated[str, later("Java class of the broker")] = msgspec.field(
        name="jmsConnectioninitialContextFactory", default="wso2mbInitialContextFactory"
    )
    jms_connection_provider_url: Annotated[
        str, acts("the broker's address, in the form of 3.x or as `amqp://` or `amqps://` URL", secret=True)
    ] = "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'"
    jms_connection_username: Annotated[str, acts("user at the broker, instead of the address's")] = ""
    jms_connection_password: Annotated[str, acts("password at the broker, instead of the address's", secret=True)] = ""
    queue: Annotated[
        str, acts("durable queue of this gateway alone, which keeps messages while it is away; none: those are missed")
    ] = ""


class PersistentRevocation(Section, frozen=True):
    """Revocations from before the start, from a store."""

    enable_persistent_storage_retrieval: Annotated[bool, acts("load revoked tokens at start", switch=True)] = False
    type: Annotated[str, acts("`default`, `etcd`, or `module:function` of the project's extensions")] = "default"
    use_default: Annotated[bool, acts("etcd, in the words of 3.1")] = False
    endpoint_url: Annotated[
        str, acts("where they are kept; etcd's third interface, unless the path is one of its second, `/v2/keys/…`")
    ] = msgspec.field(name="endpointURL", default="https://localhost:9443/internal/data/v1")
    username: Annotated[str, acts("user there")] = "admin"
    password: Annotated[str, acts("password there", secret=True)] = "admin"  # noqa: S105 - the default of 3.x
    key_prefix: Annotated[str, acts("what etcd's keys begin with; the rest is the revoked value")] = "/jti/"
    poll_interval_in_millis: Annotated[int, acts("pause between two readings of the default store", low=100)] = 15_000


class RedisRevocation(Section, frozen=True):
    """Revocations from Redis or Valkey: keys that last as long as the tokens would, or a set; a channel tells of new ones."""

    url: Annotated[str, acts("`redis://` or `rediss://` address; empty for none", secret=True)] = ""
    key_prefix: Annotated[str, acts("what the keys begin with; the rest is the revoked value")] = "revoked:"
    set_key: Annotated[
        str,
        acts(
            "set of revoked values, or sorted set with their expiries as scores, read in place of keys; empty for none"
        ),
    ] = ""
    channel: Annotated[str, acts("channel whose messages are entries")] = "revoked"
    poll_interval_in_millis: Annotated[int, acts("pause between two readings of all keys", low=100)] = 60_000


class RevocationFeed(Section, frozen=True):
    """Revocations from a signed document behind an address."""

    url: Annotated[str, acts("address of the document; empty for none")] = ""
    certificate_file: Annotated[str, acts("PEM file with the certificate or public key that verifies it")] = ""
    poll_interval_in_millis: Annotated[int, acts("pause between two readings", low=100)] = 1_000


class Revocation(Section, frozen=True):
    """Tokens, keys, consumers and subjects taken back before they expire."""

    when_unavailable: Annotated[
        Literal["open", "closed"],
        acts("while a source is not there: `open` goes by what is known, `closed` answers 503 to every credential"),
    ] = "open"
    tolerated_outage_in_millis: Annotated[
        int, acts("with `closed`: how long a source that was loaded may be away", low=0)
    ] = 60_000
    capacity: Annotated[int, acts("entries at most, 32 to 64 bytes each", low=1_000, high=100_000_000)] = 1_000_000
    file: Annotated[str, acts("file with an entry on each line, read again when it changes; empty for none")] = ""
    realtime: RealtimeRevocation = RealtimeRevocation()
    persistent: PersistentRevocation = PersistentRevocation()
    redis: RedisRevocation = RedisRevocation()
    feed: RevocationFeed = RevocationFeed()

    @property
    def in_use(self) -> bool:
        """Whether there is any source."""
        return bool(
            self.realtime.enable_realtime_message_retrieval
            or self.persistent.enable_persistent_storage_retrieval
            or self.redis.url
            or self.file
            or self.feed.url
        )
