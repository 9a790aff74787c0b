"""What each identity may publish and subscribe to on NATS: derived from the registry, never listed.

An identity gets the subjects of the channels that name it, what reading a stream or a bucket takes
in JetStream's own API, and its own inboxes. Whoever is not named may not.

Identities live in trust zones, each an account of its own on the server: nothing passes from one
to another but what `crossings` lists, which again follows from the registry. The server does not
check the reply subject of a request; between accounts it cannot be misused, for an answer goes to
the account that asked. Roles of which there are many (an agent on each host, a reader outside) have
one permission template, filled by the server from the tags of each one's credentials.

Invariants: nobody but the provisioner may create, change or delete a stream; nobody but a bucket's
owner writes it; no identity may subscribe to another's inboxes; a producer's own token in a subject
cannot be another's. What a refused client sees is only an asynchronous error at its connection.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from murmuration.proto import registry
from murmuration.proto.ids import token
from murmuration.proto.platform import SERVICES
from murmuration.proto.registry import BUCKETS, CHANNELS, STREAMS, Channel, Kind, Permanence
from murmuration.proto.subjects import fill

AGENTS = ("node", "pulse")  # on every host: these can be narrowed to one host
JOIN = "join"  # what a host is until it has credentials of its own
READER = "reader"  # a program outside that hears events, and looks back into their streams
PROVISIONER = "provisioner"
IDENTITIES = (*SERVICES, *AGENTS, "sim", "tool", PROVISIONER, JOIN, READER)
PLAIN = ("pulse", "sim")  # send heartbeats, which need no TLS: see the door for them, ADR 0012
MANY = (*AGENTS, JOIN, READER)  # one for each host or program: `node@worker-1`, `reader@billing`
WATCHERS = ("gateway", "tool")  # who pings services to see which instances answer

RESPONSES_MAX = 1  # an answer is one message
RESPONSE_TTL_S = 5  # longer than any request waits: after that nobody listens

_REQUESTS = (Kind.COMMAND, Kind.QUERY)
_MICRO_VERBS = ("PING", "INFO", "STATS")

NatsRules = dict[str, list[str]]
NatsPermissions = dict[str, NatsRules | dict[str, int | str]]


class Zone(enum.StrEnum):
    """Who trusts whom: an account of the server each."""

    SITE = "SITE"  # services, the provisioner, the tool of who runs the site; JetStream lives here
    HOSTS = "HOSTS"  # whatever runs on hosts, and the simulator that stands for hosts
    READERS = "READERS"  # programs outside


def zone_of(identity: str) -> Zone:
    """The zone of an identity."""
    if identity == READER:
        return Zone.READERS
    return Zone.HOSTS if identity in (*AGENTS, "sim", JOIN) else Zone.SITE


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """A subject that passes from zone to zone.

    Of a `service`, requests go from `importer` to `exporter` and answers back; else what the
    exporter's members publish is heard by the importer's. `many`: more than one message answers.
    """

    subject: str
    exporter: Zone
    importer: Zone
    service: bool
    many: bool = False


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
    """The prefix of an identity's inboxes, without a dot at the end: its client must use it.

    `role@name` says the same as `role` and `host=name`.
    """
    role, _, name = identity.partition("@")
    return f"_INBOX_{_sender(role, _token(host or name))}"


def permissions(identity: str, *, host: str | None = None, index: int | None = None) -> Permissions:
    """What `identity` may do, from the registry alone; sorted, so that equal means equal text.

    `host` narrows an agent to its own host: `{host}` and its own `{producer}` become that host's
    tokens, `{index}` becomes the pulse index when `index` is given; a reader is narrowed to its
    name. Raises ValueError for an unknown identity, and for a host given to one that has none.
    """
    if host is not None and identity not in MANY:
        raise ValueError(f"{identity} is one for the whole site, it cannot be narrowed to a host")
    return _permissions(identity, _token(host), f"{index:05d}" if index is not None else None)


def template(role: str) -> Permissions:
    """As `permissions`; a role of MANY has `{{tag(name)}}` and `{{tag(index)}}` in its subjects.

    The server puts the tags of a user's own credentials there.
    """
    if role not in MANY:
        return permissions(role)
    return _permissions(role, "{{tag(name)}}", "{{tag(index)}}")


def crossings() -> tuple[Crossing, ...]:
    """What passes between zones: all of it, sorted."""
    registry.load()
    found: set[Crossing] = set()
    for channel in CHANNELS.values():
        senders = {zone_of(identity) for identity in channel.publishers}
        hearers = {zone_of(identity) for identity in channel.subscribers}
        asked = channel.kind in _REQUESTS or channel.stream is not None
        for sender in senders:
            for hearer in {Zone.SITE} if channel.stream is not None else hearers:
                if sender is not hearer:
                    found.add(
                        Crossing(
                            subject=channel.filter,
                            exporter=hearer if asked else sender,
                            importer=sender if asked else hearer,
                            service=asked,
                        )
                    )
    for subject in _read_outside():
        found.add(
            Crossing(subject=subject, exporter=Zone.SITE, importer=Zone.READERS, service=False)
        )
    for subject in _looked_up_outside():
        found.add(
            Crossing(
                subject=subject,
                exporter=Zone.SITE,
                importer=Zone.READERS,
                service=True,
                many=True,
            )
        )
    return tuple(sorted(found, key=lambda each: (each.subject, each.exporter, each.importer)))


def _permissions(identity: str, host: str | None, index: str | None) -> Permissions:
    registry.load()
    if identity not in IDENTITIES:
        raise ValueError(f"{identity!r} is not an identity of the contract")
    publish = set(_publish(identity, host, index))
    subscribe = {f"_INBOX_{_sender(identity, host)}.>"}
    answers = False
    if identity == READER:
        subscribe.update(_read_outside())
    for channel in CHANNELS.values():
        if identity not in channel.subscribers or channel.stream is not None:
            continue
        subscribe.add(_narrowed(channel, identity, host, index))
        if channel.kind in _REQUESTS:
            answers = True
            if identity in SERVICES:  # an agent answers, but is no micro service
                subscribe.add("$SRV.>")
    return Permissions(
        publish=tuple(sorted(publish)), subscribe=tuple(sorted(subscribe)), answers=answers
    )


def _read_outside() -> Iterator[str]:
    """Events as they happen: what a reader hears."""
    for stream in STREAMS.values():
        if stream.permanence is Permanence.EVENTS:
            yield from stream.subjects


def _looked_up_outside() -> Iterator[str]:
    """Events that happened: direct reads of their streams, for which no consumer is made."""
    for stream in STREAMS.values():
        if stream.permanence is Permanence.EVENTS:
            yield f"$JS.API.DIRECT.GET.{stream.name}"


def _publish(identity: str, host: str | None, index: str | None) -> Iterator[str]:
    for channel in CHANNELS.values():
        if identity in channel.publishers:
            yield _narrowed(channel, identity, host, index)
    if identity == READER:
        yield from _looked_up_outside()
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


def _narrowed(channel: Channel, identity: str, host: str | None, index: str | None) -> str:
    """The channel's filter, with the placeholders that can only be this identity's own filled."""
    own: dict[str, str] = {}
    if identity != channel.service:
        own["producer"] = own["sender"] = _sender(identity, host)
    if host is not None:
        own["host"] = host
    if index is not None:
        own["index"] = index
    return fill(channel.subject, own, otherwise="*")


def _token(host: str | None) -> str | None:
    return token(host) if host else None


def _sender(identity: str, host: str | None) -> str:
    """One identity in a subject: the same name as the producer `<identity>-<host>`."""
    return identity if host is None else f"{identity}-{host}"


def _rules(subjects: tuple[str, ...]) -> NatsRules:
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}
