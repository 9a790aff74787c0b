"""TypeScript types of every body and of the gateway's HTTP views, for the console.

Types are those of what is sent: our encoders write every field, so fields with a default are there
too. They are optional in what a program of the browser sends (command and query payloads,
`*Request`), and in structs that leave their defaults out (alarms, of which there may be 100,000).
"""

import textwrap
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from murmuration.proto import api
from murmuration.proto.envelope import OpenEnum
from murmuration.proto.generate.jsonschema import bodies
from murmuration.proto.generate.model import StructOrEnum, bare, members, named
from murmuration.proto.generate.units import unit_of
from murmuration.proto.registry import CHANNELS, Kind, StructType

HEAD = """\
// Generated from the registry by `python -m murmuration.proto.generate`; do not edit.
// Open enums accept members this version does not know: show them as they are.

/** UTC instant, RFC 3339. */
export type Instant = string;
"""

_SENT = (Kind.COMMAND, Kind.QUERY)


def views() -> list[StructType]:
    """The structs that the gateway's HTTP interface declares."""
    return [
        found
        for found in vars(api).values()
        if isinstance(found, type)
        and issubclass(found, msgspec.Struct)
        and found.__module__ == api.__name__
    ]


def module() -> str:
    """The text of index.ts."""
    types = [body for name, body in bodies().items() if not name.startswith("bucket.")]
    sent = {c.payload for c in CHANNELS.values() if c.kind in _SENT}
    blocks = [HEAD]
    for name, info in named([*types, *views()]).items():
        optional = name.endswith("Request") or info.cls in sent or _is_terse(info.cls)
        blocks.append("\n".join(_declaration(name, info, optional=optional)) + "\n")
    blocks.append("\n".join(_events()) + "\n")
    return "\n".join(blocks)


def _is_terse(cls: type) -> bool:
    """Whether fields that have their default are left out where it travels."""
    return issubclass(cls, msgspec.Struct) and cls.__struct_config__.omit_defaults


def _declaration(name: str, info: StructOrEnum, *, optional: bool) -> Iterator[str]:
    yield from _comment(info.cls.__doc__ or "", "")
    if isinstance(info, inspect.EnumType):
        values = " | ".join(f'"{member}"' for member in members(info))
        known = values + (" | (string & {})" if issubclass(info.cls, OpenEnum) else "")
        yield from _wrapped(f"export type {name} = {known};")
    elif info.array_like:
        yield f"export type {name} = ["
        for field in info.fields:
            yield from _comment(_note(field), "  ")
            yield f"  {field.encode_name}: {_type(field.type)},"
        yield "];"
    else:
        yield f"export interface {name} {{"
        for field in info.fields:
            mark = "?" if optional and not field.required else ""
            yield from _comment(_note(field), "  ")
            yield f"  {field.encode_name}{mark}: {_type(field.type)};"
        yield "}"


def _events() -> Iterator[str]:
    yield "/** Payload of each event by its type: `EventView.data`, given `EventView.type`. */"
    yield "export interface EventPayloads {"
    for channel in sorted(CHANNELS.values(), key=lambda c: c.type):
        if channel.kind is Kind.EVENT and channel.payload is not None:
            yield f'  "{channel.type}": {channel.payload.__name__};'
    yield "}"


def _type(info: inspect.Type) -> str:  # noqa: PLR0912 (one arm per kind of type)
    match info:
        case inspect.Metadata(type=inner):
            return _type(inner)
        case inspect.StructType(cls=cls) | inspect.EnumType(cls=cls):
            return cls.__name__
        case inspect.StrType():
            return "string"
        case inspect.IntType() | inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "boolean"
        case inspect.NoneType():
            return "null"
        case inspect.DateTimeType():
            return "Instant"
        case inspect.AnyType() | inspect.RawType():
            return "unknown"
        case inspect.LiteralType(values=values):
            return " | ".join(msgspec.json.encode(value).decode() for value in values)
        case inspect.DictType(value_type=value):
            return f"Record<string, {_type(value)}>"
        case inspect.UnionType(types=types):
            return " | ".join(_type(part) for part in types)
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(_type(part) for part in items)}]"
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            text = _type(item)
            return f"({text})[]" if " " in text else f"{text}[]"
        case _:
            raise ValueError(f"no TypeScript is known for {info}")


def _note(field: inspect.Field) -> str:
    if isinstance(bare(field.type), inspect.DateTimeType):
        return ""  # the alias Instant says it
    description = ""
    if isinstance(field.type, inspect.Metadata):
        description = str((field.type.extra_json_schema or {}).get("description", ""))
    unit = unit_of(field.encode_name)
    if unit and unit not in ("count", "percent"):
        return f"{description}, in {unit}s" if description else f"in {unit}s"
    return description


def _comment(text: str, indent: str) -> Iterator[str]:
    words = " ".join(text.split()).replace("*/", "* /")
    if not words:
        return
    if len(words) <= 90:
        yield f"{indent}/** {words} */"
        return
    yield f"{indent}/**"
    for line in textwrap.wrap(words, 90):
        yield f"{indent} * {line}"
    yield f"{indent} */"


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, 98, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
