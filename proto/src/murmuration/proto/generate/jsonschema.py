"""JSON Schema 2020-12 of every payload, reply and bucket value.

What a reader must accept is what the schema says: unknown fields are allowed, and an open enum is
its members or any other text.
"""

import typing
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import inspect

from murmuration.proto.envelope import OpenEnum, StateValue
from murmuration.proto.generate.model import StructOrEnum, named
from murmuration.proto.generate.tree import Json, JsonObject
from murmuration.proto.generate.units import unit_of
from murmuration.proto.registry import BUCKETS, CHANNELS, BucketSpec, StructType

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OPEN_NOTE = "a member of a newer version: read it as unknown"


def bucket_type(bucket: BucketSpec) -> StructType:
    """StateValue with the bucket's payload as its data: what a key of the bucket really holds."""
    hints = typing.get_type_hints(StateValue, include_extras=True)
    data = Annotated[bucket.payload | None, msgspec.Meta(description="null when deleted")]
    return msgspec.defstruct(
        f"{bucket.name}_value",
        [
            ("epoch", hints["epoch"]),
            ("change", hints["change"]),
            ("deleted", bool, False),
            ("data", data, None),
        ],
        frozen=True,
        kw_only=True,
        namespace={"__doc__": f"{bucket.summary} {(StateValue.__doc__ or '').splitlines()[0]}"},
    )


def bodies() -> dict[str, StructType]:
    """Everything with a JSON body, by the name of its files: types, replies, bucket values."""
    found: dict[str, StructType] = {}
    for channel in CHANNELS.values():
        if channel.payload is not None:
            found[channel.type] = channel.payload
        if channel.reply is not None:
            found[f"{channel.type}.reply"] = channel.reply
    for bucket in BUCKETS.values():
        found[f"bucket.{bucket.name}"] = bucket_type(bucket)
    return dict(sorted(found.items()))


def components(types: Iterable[StructType], *, prefix: str) -> tuple[list[JsonObject], JsonObject]:
    """A `$ref` per type, and the schemas they need, by name; refs start with `prefix`."""
    wanted = list(types)
    known = named(wanted)
    refs, schemas = msgspec.json.schema_components(wanted, ref_template=prefix + "{name}")
    return list(refs), {
        name: _finished(schema, known[name]) for name, schema in sorted(schemas.items())
    }


def document(name: str, body: StructType) -> JsonObject:
    """The schema file of one body."""
    (ref,), schemas = components([body], prefix="#/$defs/")
    root = schemas.pop(str(ref["$ref"]).rpartition("/")[2])
    assert isinstance(root, Mapping)
    schema: JsonObject = {"$schema": DIALECT, "$id": f"urn:murmuration:{name}", **root}
    if schemas:
        schema["$defs"] = schemas
    return schema


def documents() -> dict[str, JsonObject]:
    """The schema of every body, by the name of its file."""
    return {name: document(name, body) for name, body in bodies().items()}


def _finished(schema: Mapping[str, Json], info: StructOrEnum) -> JsonObject:
    if isinstance(info, inspect.StructType):
        return _with_units(schema, [field.encode_name for field in info.fields])
    if issubclass(info.cls, OpenEnum):
        return _open(schema)
    return dict(schema)


def _open(schema: Mapping[str, Json]) -> JsonObject:
    """An enum that accepts members it does not know."""
    return {
        **{key: value for key, value in schema.items() if key != "enum"},
        "type": "string",
        "anyOf": [{"enum": schema["enum"]}, {"type": "string", "description": OPEN_NOTE}],
    }


def _with_units(schema: Mapping[str, Json], fields: list[str]) -> JsonObject:
    """Fields with their units; the places of an array-like struct with their names too."""
    marked = dict(schema)
    match schema:
        case {"properties": Mapping() as properties}:
            marked["properties"] = {
                field: _with_unit(field, value) for field, value in properties.items()
            }
        case {"prefixItems": [*items]}:
            marked["prefixItems"] = [
                {"title": field, **_with_unit(field, item)}
                for field, item in zip(fields, items, strict=True)
            ]
        case _:
            pass
    return marked


def _with_unit(field: str, schema: Json) -> JsonObject:
    assert isinstance(schema, Mapping)
    unit = unit_of(field)
    return {**schema, "x-unit": unit} if unit else dict(schema)
