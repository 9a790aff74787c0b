"""What each identity may publish and subscribe to on NATS: derived from the registry, never listed.

An identity gets the subjects of the channels that name it, what reading a stream or a bucket takes
in JetStream's own API, and its own inboxes. Whoever is not named may not.

Invariants: nobody but the provisioner may create, change or delete a stream; nobody but a bucket's
owner writes it; no identity may subscribe to another's inboxes; a producer's own token in a subject
cannot be another's. What a refused client sees is only an asynchronous error at its connection.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from murmuration.proto import registry
from murmuration.proto.ids import token
from murmuration.proto.platform import SERVICES
from murmuration.proto.registry import BUCKETS, CHANNELS, STREAMS, Channel, Kind
from murmuration.proto.subjects import fill

AGENTS = ("node", "pulse")  # on every host: these can be narrowed to one host
IDENTITIES = (*SERVICES, *AGENTS, "sim", "tool", "provisioner")
PROVISIONER = "provisioner"
WATCHERS = ("gateway", "tool")  # who pings services to see which instances answer

RESPONSES_MAX = 1  # an answer is one message
RESPONSE_TTL_S = 5  # longer than any request waits: after that nobody listens

_REQUESTS = (Kind.COMMAND, Kind.QUERY)
_MICRO_VERBS = ("PING", "INFO", "STATS")

NatsRules = dict[str, list[str]]
NatsPermissions = dict[str, NatsRules | dict[str, int | str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Permissions:
    """Subjects one identity may use; `answers` lets it reply once to each request it is sent."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool

    def as_nats(self) -> NatsPermissions:
        """The `permissions` block of a user in nats-server's configuration (JSON is valid there).

        An empty allow list would allow everything: it becomes a denial of everything.
        """
        block: NatsPermissions = {
            "publish": _rules(self.publish),
            "subscribe": _rules(self.subscribe),
        }
        if self.answers:
            block["allow_responses"] = {"max": RESPONSES_MAX, "expires": f"{RESPONSE_TTL_S}s"}
        return block


def inbox_prefix(identity: str, *, host: str | None = None) -> str:
    """The prefix of an identity's inboxes, without a dot at the end: its client must use it."""
    return f"_INBOX_{_sender(identity, host)}"


def permissions(identity: str, *, host: str | None = None, index: int | None = None) -> Permissions:
    """What `identity` may do, from the registry alone; sorted, so that equal means equal text.

    `host` narrows an agent to its own host: `{host}` and its own `{producer}` become that host's
    tokens, `{index}` becomes the pulse index when `index` is given. Raises ValueError for an
    unknown identity, and for a host given to one that is not an agent.
    """
    registry.load()
    if identity not in IDENTITIES:
        raise ValueError(f"{identity!r} is not an identity of the contract")
    if host is not None and identity not in AGENTS:
        raise ValueError(f"{identity} is one for the whole site, it cannot be narrowed to a host")
    publish = set(_publish(identity, host, index))
    subscribe = {f"{inbox_prefix(identity, host=host)}.>"}
    answers = False
    for channel in CHANNELS.values():
        if identity not in channel.subscribers or channel.stream is not None:
            continue
        subscribe.add(_narrowed(channel, identity, host, index))
        if channel.kind in _REQUESTS:
            answers = True
            subscribe.add("$SRV.>")
    return Permissions(
        publish=tuple(sorted(publish)), subscribe=tuple(sorted(subscribe)), answers=answers
    )


def _publish(identity: str, host: str | None, index: int | None) -> Iterator[str]:
    for channel in CHANNELS.values():
        if identity in channel.publishers:
            yield _narrowed(channel, identity, host, index)
    if identity in WATCHERS:
        for verb in _MICRO_VERBS:
            yield f"$SRV.{verb}"
            yield f"$SRV.{verb}.>"
    if identity == PROVISIONER:
        yield "$JS.API.>"
        return
    streams = _streams_read(identity)
    owned = {spec.name for spec in STREAMS.values() if spec.owner == identity}
    if streams or owned:
        yield "$JS.API.INFO"
    for stream in streams:
        yield from _reading(stream)
    for stream in owned - streams:
        yield from _looking(stream)
    for bucket in BUCKETS.values():
        if bucket.owner == identity:
            yield f"$KV.{bucket.name}.>"


def _streams_read(identity: str) -> set[str]:
    """Streams an identity reads; a bucket is a stream named after it, and its owner compares."""
    channels = {c.stream for c in CHANNELS.values() if c.stream and identity in c.subscribers}
    buckets = {
        f"KV_{b.name}" for b in BUCKETS.values() if identity == b.owner or identity in b.readers
    }
    return channels | buckets


def _looking(stream: str) -> Iterator[str]:
    """The state of a stream and single messages of it: what a relay needs to find its place."""
    yield f"$JS.API.STREAM.INFO.{stream}"
    yield f"$JS.API.STREAM.MSG.GET.{stream}"
    yield f"$JS.API.DIRECT.GET.{stream}"
    yield f"$JS.API.DIRECT.GET.{stream}.>"


def _reading(stream: str) -> Iterator[str]:
    """Ephemeral consumers of any name, pushed or pulled, with or without acknowledgements."""
    yield from _looking(stream)
    yield f"$JS.API.CONSUMER.CREATE.{stream}"
    yield f"$JS.API.CONSUMER.CREATE.{stream}.>"
    yield f"$JS.API.CONSUMER.INFO.{stream}.*"
    yield f"$JS.API.CONSUMER.DELETE.{stream}.*"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*"
    yield f"$JS.ACK.{stream}.>"
    yield f"$JS.FC.{stream}.>"


def _narrowed(channel: Channel, identity: str, host: str | None, index: int | None) -> str:
    """The channel's filter, with the placeholders that can only be this identity's own filled."""
    own: dict[str, str] = {}
    if identity != channel.service:
        own["producer"] = own["sender"] = _sender(identity, host)
    if host is not None:
        own["host"] = token(host)
    if index is not None:
        own["index"] = f"{index:05d}"
    return fill(channel.subject, own, otherwise="*")


def _sender(identity: str, host: str | None) -> str:
    """One identity in a subject: the same name as the producer `<identity>-<host>`."""
    return identity if host is None else f"{identity}-{token(host)}"


def _rules(subjects: tuple[str, ...]) -> NatsRules:
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}
