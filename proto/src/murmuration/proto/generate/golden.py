"""Golden samples: one body of every kind, made once from its type and then kept.

A sample is what some version once sent. Tests decode all of them with today's types; so a sample is
never rewritten, and one that no longer decodes means that readers would no longer decode it either.
Every field is filled, with an example of its own (`Meta(examples=[…])`), else one by its name, else
one that fits its type; the choice depends on nothing but the declaration.
"""

import uuid
import zlib
from collections.abc import Mapping

import msgspec
from msgspec import inspect

from murmuration.proto import pulse
from murmuration.proto.generate.jsonschema import bodies
from murmuration.proto.generate.model import bare, members
from murmuration.proto.generate.tree import ContractError, Json, pretty
from murmuration.proto.registry import CHANNELS, StructType

FOLDER = "golden"
INSTANT = "2026-03-04T05:06:07.890123Z"
PULSE_KEY = bytes(range(32))  # the key of the frame sample's MAC; a secret of nobody

EXAMPLES: Mapping[str, Json] = {  # by `Struct.field`, else by `field`
    "Link.kind": "ether",
    "Link.name": "eth0",
    "addresses": "192.0.2.11/24",
    "deleted": False,
    "address": "192.0.2.11",
    "after": "sysinv:1:8123",
    "alarm_id": "200.004",
    "boot_id": "5f0c2a4e-8d1b-4c3a-9e6f-7a8b9c0d1e2f",
    "entity": "host=worker-1",
    "host": "worker-1",
    "mac": "02:00:5e:00:53:01",
    "name": "worker-1",
    "operation_id": "op-0123456789abcdef",
    "producer": "mtce",
    "pulse_key": bytes(range(32)).hex(),
    "reason": "No pulse for 1000 ms.",
    "reason_text": "No pulse for 1000 ms.",
    "service": "sysinv",
    "uuid": "0c4b8a52-3f6d-4e1a-8b7c-9d0e1f2a3b4c",
}


def samples() -> dict[str, bytes]:
    """A sample of everything declared, by path from proto/."""
    found = {f"{FOLDER}/{name}.json": pretty(sample(body)) for name, body in bodies().items()}
    for channel in CHANNELS.values():
        if channel.payload is None:
            found[f"{FOLDER}/{channel.type}.bin"] = frame(channel.type)
    return dict(sorted(found.items()))


def sample(body: StructType) -> Json:
    """A value of every field. Raises ContractError when a field needs an example of its own."""
    value = _value(inspect.type_info(body), "")
    try:
        return msgspec.to_builtins(msgspec.convert(value, body), order=None)
    except msgspec.ValidationError as error:
        raise ContractError(
            [f"{body.__name__} cannot be sampled ({error}): give the field Meta(examples=[…])."]
        ) from error


def frame(type_name: str) -> bytes:
    """A sample of what is not JSON. Raises ContractError for a frame unknown here."""
    if type_name != "mtce.pulse.frame.v1":
        raise ContractError([f"{type_name} is not JSON: sample it in golden.frame."])
    return pulse.pack(
        pulse.Pulse(
            flags=pulse.FLAG_UDP_DOWN,
            period_ms=100,
            index=7,
            load_percent=42,
            sequence=123_456_789,
            sent_ns=987_654_321_012_345,
            boot_id=uuid.UUID("5f0c2a4e-8d1b-4c3a-9e6f-7a8b9c0d1e2f").bytes,
        ),
        PULSE_KEY,
    )


def _field(owner: type, field: inspect.Field) -> Json:
    name = field.encode_name
    if isinstance(bare(field.type), inspect.StrType | inspect.BoolType):
        for key in (f"{owner.__name__}.{name}", name):
            if key in EXAMPLES:
                return EXAMPLES[key]
    return _value(field.type, name)


def _value(info: inspect.Type, name: str) -> Json:  # noqa: PLR0912 (one arm per kind of type)
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=extra):
            examples = (extra or {}).get("examples")
            return examples[0] if examples else _value(inner, name)
        case inspect.StructType(fields=fields, array_like=row):
            values = {f.encode_name: _field(info.cls, f) for f in fields}
            return list(values.values()) if row else values
        case inspect.EnumType():
            return next(m for m in members(info) if m != "unknown")
        case inspect.StrType(min_length=least):
            return (name.replace("_", " ") or "text").ljust(least or 0, ".")
        case inspect.IntType(ge=ge, le=le):
            number = 10 + zlib.crc32(name.encode()) % 90  # differs from field to field
            return max(ge or 0, min(number, number if le is None else le))
        case inspect.FloatType():
            return 1.5
        case inspect.BoolType():
            return True
        case inspect.DateTimeType():
            return INSTANT
        case inspect.NoneType():
            return None
        case inspect.AnyType():
            return {"some": "value"}
        case inspect.DictType(value_type=value):
            return {"some": _value(value, "")}
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [EXAMPLES.get(name) or _value(item, name)]
        case inspect.UnionType(types=types):
            return _value(next(t for t in types if not isinstance(t, inspect.NoneType)), name)
        case _:
            raise ContractError([f"{name or 'a body'} is of a type without a sample: {info}."])
