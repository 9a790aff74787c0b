"""The contract as an AsyncAPI 3.0.0 document.

One channel per declared type, one operation per identity that sends or receives it. Streams,
buckets and kinds, for which AsyncAPI has no words, are extensions named `x-murmuration-…`.
Message schemas are in AsyncAPI's own dialect (JSON Schema draft 07 and a little more).
"""

from collections.abc import Mapping

from murmuration.proto import envelope
from murmuration.proto.generate.jsonschema import bodies, components
from murmuration.proto.generate.tree import Json, JsonObject
from murmuration.proto.registry import BUCKETS, CHANNELS, STREAMS, Channel, Kind

VERSION = "3.0.0"
REQUESTS = (Kind.COMMAND, Kind.QUERY)
STORED = (Kind.INTAKE, Kind.ORDER, Kind.OBSERVED)
ERROR_HEADERS = "an error reply bears these, and a sentence as its body"

DESCRIPTION = """\
What Murmuration's services, agents and tools say to each other on NATS. Events follow CloudEvents
1.0 in binary mode: attributes in NATS headers, JSON in the body. Readers ignore unknown fields and
take unknown members of enums as unknown. In subjects, a placeholder is one token: any byte of a key
other than A-Z, a-z, 0-9 and - is written as _ and two hex digits."""

ENCODED = "a key, encoded as one token"
PLACEHOLDERS = {
    "host": "host name, an RFC 1123 label",
    "producer": "who raises: a service's name, or an agent's with its host",
    "alarm_id": "alarm id GGG.EEE, encoded",
    "resource": "entity the alarm is about, encoded",
    "shard": "pulse shard, two digits",
    "index": "pulse index, five digits",
    "sender": "the service that orders",
}


def document(version: str) -> JsonObject:
    """The whole document; `version` is that of the distribution."""
    named_bodies = bodies()
    refs, schemas = components(named_bodies.values(), prefix="#/components/schemas/")
    payloads: dict[str, Json] = dict(zip(named_bodies, refs, strict=True))
    channels = sorted(CHANNELS.values(), key=lambda c: c.type)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Murmuration",
            "version": version,
            "description": " ".join(DESCRIPTION.split()),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "bus": {
                "host": "{host}:{port}",
                "protocol": "nats",
                "description": "The site's NATS server, with JetStream.",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "4222"}},
            }
        },
        "channels": _channels(channels),
        "operations": _operations(channels),
        "components": {
            "schemas": {name: _draft_07(schema) for name, schema in schemas.items()},
            "messages": _messages(channels, payloads),
            "messageTraits": _traits(),
        },
        "x-murmuration-streams": {
            s.name: {
                "owner": s.owner,
                "subjects": list(s.subjects),
                "permanence": s.permanence.value,
                "size_bytes_max": s.size_bytes_max,
                "age_s_max": s.age_s_max,
                "summary": s.summary,
            }
            for s in sorted(STREAMS.values(), key=lambda s: s.name)
        },
        "x-murmuration-buckets": {
            b.name: {
                "owner": b.owner,
                "readers": sorted(b.readers),
                "value": payloads[f"bucket.{b.name}"],
                "summary": b.summary,
            }
            for b in sorted(BUCKETS.values(), key=lambda b: b.name)
        },
    }


def _channels(channels: list[Channel]) -> JsonObject:
    found: JsonObject = {}
    for channel in channels:
        entry: JsonObject = {
            "address": channel.subject,
            "summary": channel.summary,
            "messages": {channel.type: {"$ref": f"#/components/messages/{channel.type}"}},
        }
        names = [part[1:-1] for part in channel.subject.split(".") if part.startswith("{")]
        if names:
            entry["parameters"] = {
                name: {"description": PLACEHOLDERS.get(name, ENCODED)} for name in names
            }
        entry["x-murmuration-kind"] = channel.kind.value
        if channel.stream:
            entry["x-murmuration-stream"] = channel.stream
        found[channel.type] = entry
        if channel.reply is not None:
            reply = f"{channel.type}.reply"
            found[reply] = {
                "address": None,
                "summary": f"The inbox named by the requester of {channel.type}.",
                "messages": {reply: {"$ref": f"#/components/messages/{reply}"}},
            }
    return found


def _operations(channels: list[Channel]) -> JsonObject:
    found: JsonObject = {}
    for channel in channels:
        for action, identities in (
            ("send", channel.publishers),
            ("receive", channel.subscribers),
        ):
            for identity in sorted(identities):
                entry: JsonObject = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{channel.type}"},
                    "summary": channel.summary,
                    "tags": [{"name": identity}],
                    "messages": [_message_ref(channel.type)],
                }
                if channel.kind in REQUESTS and action == "receive":
                    entry["bindings"] = {"nats": {"queue": "q"}}
                if channel.reply is not None:
                    reply = f"{channel.type}.reply"
                    entry["reply"] = {
                        "channel": {"$ref": f"#/channels/{reply}"},
                        "messages": [_message_ref(reply)],
                    }
                found[f"{identity}.{action}.{channel.type}"] = entry
    return found


def _message_ref(name: str) -> JsonObject:
    return {"$ref": f"#/channels/{name}/messages/{name}"}


def _messages(channels: list[Channel], payloads: Mapping[str, Json]) -> JsonObject:
    found: JsonObject = {}
    for channel in channels:
        entry: JsonObject = {"name": channel.type, "summary": channel.summary}
        if channel.payload is None:
            entry["contentType"] = "application/octet-stream"
            entry["payload"] = {"type": "string", "format": "binary"}
        else:
            entry["payload"] = payloads[channel.type]
            entry["traits"] = [{"$ref": f"#/components/messageTraits/{_trait(channel.kind)}"}]
        found[channel.type] = entry
        if channel.reply is not None:
            reply = f"{channel.type}.reply"
            found[reply] = {
                "name": reply,
                "summary": f"Answer to {channel.type}.",
                "payload": payloads[reply],
                "traits": [{"$ref": "#/components/messageTraits/reply"}],
            }
    return found


def _trait(kind: Kind) -> str:
    if kind is Kind.EVENT:
        return "event"
    return "stored" if kind in STORED else "plain"


def _traits() -> JsonObject:
    """Headers by the way a message travels."""
    trace: JsonObject = {
        envelope.TRACEPARENT: _text("W3C trace context of the change", r"^[0-9a-f]{2}-")
    }
    attributes: JsonObject = {
        envelope.CE_SPECVERSION: {"type": "string", "const": "1.0"},
        envelope.CE_TYPE: _text("type of the message, as declared", r"\.v[0-9]+$"),
        envelope.CE_ID: _text("<service>:<epoch>:<change>: the same when it comes again"),
        envelope.CE_SOURCE: _text("/<service>", "^/"),
        envelope.CE_SUBJECT: _text("key of what changed"),
        envelope.CE_TIME: {"type": "string", "format": "date-time"},
    }
    version: JsonObject = {
        envelope.EPOCH: _number("life of the sender's database"),
        envelope.CHANGE: _number("number of the change in that life"),
        envelope.PREVIOUS: _number("change before this one, of this sender to this stream"),
    }
    producer: JsonObject = {
        envelope.INCARNATION: _number("start of the producer: only grows"),
        envelope.NUMBER: _number("number of this message in the incarnation, without gaps"),
    }
    needed = [envelope.CE_SPECVERSION, envelope.CE_TYPE]
    return {
        "event": _headers(
            {**attributes, **version, **trace},
            [*attributes, envelope.EPOCH, envelope.CHANGE],
        ),
        "stored": _headers({**attributes, **version, **producer, **trace}, needed),
        "plain": _headers(trace, []),
        "reply": _headers({"Mur-Error": _text(ERROR_HEADERS)}, []),
    }


def _headers(properties: JsonObject, required: list[str]) -> JsonObject:
    schema: JsonObject = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {"headers": schema}


def _text(description: str, pattern: str | None = None) -> JsonObject:
    schema: JsonObject = {"type": "string", "description": description}
    if pattern:
        schema["pattern"] = pattern
    return schema


def _number(description: str) -> JsonObject:
    return _text(description, "^[0-9]+$")


def _draft_07(schema: Json) -> Json:
    """The schema with the places of an array written as draft 07 has it."""
    if isinstance(schema, list):
        return [_draft_07(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _draft_07(value) for key, value in schema.items()}
    if "prefixItems" in found:
        found["items"] = found.pop("prefixItems")
    return found
