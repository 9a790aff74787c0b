"""The canonical shape of a payload, and which changes of it a published version may bear.

A shape is what travels and nothing else: no descriptions, no class names. `changes` is the rule of
the whole contract in one place: a published shape may gain optional fields with a default and, in
open enums, members; whatever else differs is said in a phrase.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import inspect

from murmuration.proto.envelope import OpenEnum
from murmuration.proto.generate.model import bare, members
from murmuration.proto.registry import StructType

LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz")
Limit = int | float | str | bool


PlainWord = Literal["str", "int", "float", "bool", "null", "instant", "any"]


class Plain(msgspec.Struct, tag="plain", frozen=True, omit_defaults=True):
    """A value without parts."""

    of: PlainWord
    limits: dict[str, Limit] = {}


class Choice(msgspec.Struct, tag="enum", frozen=True):
    """One of some words; an open one may gain members."""

    members: tuple[str, ...]
    open: bool


class Many(msgspec.Struct, tag="list", frozen=True, omit_defaults=True):
    """Any number of one shape."""

    item: "Shape"
    limits: dict[str, Limit] = {}


class Table(msgspec.Struct, tag="map", frozen=True, omit_defaults=True):
    """Values by key."""

    value: "Shape"
    limits: dict[str, Limit] = {}


class Either(msgspec.Struct, tag="either", frozen=True):
    """One of several shapes."""

    of: tuple["Shape", ...]


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field: its default as JSON text, or none when it is required."""

    shape: "Shape"
    default: str | None = None


class Object(msgspec.Struct, tag="object", frozen=True):
    """Fields by name; their order does not matter."""

    fields: dict[str, Place]


class Row(msgspec.Struct, tag="row", frozen=True):
    """Fields by position: their names are for people, their order matters."""

    fields: tuple[Place, ...]


class Binary(msgspec.Struct, tag="binary", frozen=True):
    """A fixed frame, not JSON."""

    layout: dict[str, Limit]


Shape = Plain | Choice | Many | Table | Either | Object | Row | Binary

_PLAIN: dict[type[inspect.Type], PlainWord] = {
    inspect.StrType: "str",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.BoolType: "bool",
    inspect.NoneType: "null",
    inspect.DateTimeType: "instant",
    inspect.AnyType: "any",
    inspect.RawType: "any",
}


def shape_of(body: StructType) -> Shape:
    """The shape of a payload. Raises ValueError for a type that has none, or contains itself."""
    return _shape(inspect.type_info(body), ())


def _shape(info: inspect.Type, inside: tuple[type, ...]) -> Shape:
    info = bare(info)
    if type(info) in _PLAIN:
        return Plain(_PLAIN[type(info)], _limits(info))
    match info:
        case inspect.StructType(cls=cls) if cls in inside:
            raise ValueError(f"{cls.__name__} contains itself: the contract has no such payloads")
        case inspect.StructType(tag=None, forbid_unknown_fields=False, array_like=row):
            fields = {f.encode_name: _place(f, (*inside, info.cls)) for f in info.fields}
            return Row(tuple(fields.values())) if row else Object(fields)
        case inspect.EnumType():
            return Choice(tuple(sorted(members(info))), issubclass(info.cls, OpenEnum))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return Many(_shape(item, inside), _limits(info))
        case inspect.DictType(value_type=value):
            return Table(_shape(value, inside), _limits(info))
        case inspect.UnionType(types=types):
            return Either(tuple(sorted((_shape(t, inside) for t in types), key=_word)))
        case _:
            raise ValueError(f"the contract does not use {info}")


def _place(field: inspect.Field, inside: tuple[type, ...]) -> Place:
    shape = _shape(field.type, inside)
    if field.required:
        return Place(shape)
    factory = field.default_factory
    value = field.default if factory is msgspec.NODEFAULT else factory()
    return Place(shape, msgspec.json.encode(value, order="sorted").decode())


def _limits(info: inspect.Type) -> dict[str, Limit]:
    found = {name: getattr(info, name, None) for name in LIMITS}
    return {name: limit for name, limit in found.items() if limit is not None}


def changes(published: Shape, current: Shape, where: str = "") -> Iterator[str]:  # noqa: PLR0912
    """What of `current` a published version may not bear, a phrase each; none: it is compatible."""
    at = where or "the payload"
    match published, current:
        case Object(fields=old), Object(fields=new):
            prefix = f"{where}." if where else ""
            for name, place in old.items():
                if name in new:
                    yield from _place_changes(place, new[name], f"{prefix}{name}")
                else:
                    yield f"the field {prefix}{name} is gone"
            for name in [n for n in new if n not in old and new[n].default is None]:
                yield f"the new field {prefix}{name} has no default"
        case Row(fields=old), Row(fields=new):
            for number, (before, after) in enumerate(zip(old, new, strict=False)):
                yield from _place_changes(before, after, f"{at}[{number}]")
            if len(new) < len(old):
                yield f"{at} has {len(new)} places, it had {len(old)}"
            elif any(place.default is None for place in new[len(old) :]):
                yield f"a new place of {at} has no default"
        case Choice(members=old, open=was_open), Choice(members=new, open=is_open):
            for member in [m for m in old if m not in new]:
                yield f"{at} has lost the member {member!r}"
            if was_open != is_open:
                yield f"{at} is {'open' if is_open else 'closed'} now"
            elif not is_open and set(new) - set(old):
                yield f"{at} is closed and has gained members"
        case Many(item=old, limits=had), Many(item=new, limits=has):
            yield from _limit_changes(had, has, at)
            yield from changes(old, new, f"{where}[]")
        case Table(value=old, limits=had), Table(value=new, limits=has):
            yield from _limit_changes(had, has, at)
            yield from changes(old, new, f"{where}{{}}")
        case Either(of=old), Either(of=new) if len(old) == len(new):
            for before, after in zip(old, new, strict=True):
                yield from changes(before, after, where)
        case Plain(of=old, limits=had), Plain(of=new, limits=has) if old == new:
            yield from _limit_changes(had, has, at)
        case Binary(layout=had), Binary(layout=has):
            yield from _limit_changes(had, has, "its frame")
        case _ if published != current:
            yield f"{at} is {_word(current)} now, it was {_word(published)}"
        case _:
            return


def _place_changes(before: Place, after: Place, where: str) -> Iterator[str]:
    yield from changes(before.shape, after.shape, where)
    if before.default is None and after.default is not None:
        yield f"{where} is optional now"
    elif before.default is not None and after.default is None:
        yield f"{where} is required now"
    elif before.default != after.default:
        yield f"the default of {where} is {after.default} now, it was {before.default}"


def _limit_changes(had: dict[str, Limit], has: dict[str, Limit], where: str) -> Iterator[str]:
    for name in sorted(had.keys() | has.keys()):
        before, after = had.get(name), has.get(name)
        if before != after:
            yield f"the {name} of {where} is {after} now, it was {before}"


def _word(shape: Shape) -> str:
    match shape:
        case Plain(of=of):
            return of
        case Choice():
            return "an enum"
        case Many():
            return "a list"
        case Table():
            return "a map"
        case Either(of=of):
            return " or ".join(map(_word, of))
        case Object():
            return "an object"
        case Row():
            return "a row"
        case Binary():
            return "a frame"
