"""The types behind the registry, found by walking from the bodies down."""

import enum
from collections.abc import Iterable, Iterator

from msgspec import inspect

from murmuration.proto.registry import StructType

StructOrEnum = inspect.StructType | inspect.EnumType


def parts(info: inspect.Type) -> Iterator[inspect.Type]:
    """The types directly inside a type; a struct's are those of its fields."""
    match info:
        case inspect.Metadata(type=inner):
            yield inner
        case inspect.StructType(fields=fields):
            yield from (field.type for field in fields)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            yield item
        case inspect.SetType(item_type=item) | inspect.FrozenSetType(item_type=item):
            yield item
        case inspect.TupleType(item_types=items) | inspect.UnionType(types=items):
            yield from items
        case inspect.DictType(key_type=key, value_type=value):
            yield from (key, value)
        case _:
            return


def named(types: Iterable[StructType]) -> dict[str, StructOrEnum]:
    """Every struct and enum reachable from `types`, by class name, sorted.

    Raises ValueError when two classes share a name: schemas and TypeScript need it to be unique.
    """
    found: dict[str, StructOrEnum] = {}
    waiting: list[inspect.Type] = list(inspect.multi_type_info(list(types)))
    while waiting:
        info = waiting.pop()
        if isinstance(info, inspect.StructType | inspect.EnumType):
            known = found.setdefault(info.cls.__name__, info)
            if known.cls is not info.cls:
                raise ValueError(f"two types of the contract are called {info.cls.__name__}")
            if known is not info:
                continue
        waiting.extend(parts(info))
    return dict(sorted(found.items()))


def bare(info: inspect.Type) -> inspect.Type:
    """The type without its description and examples."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


def members(info: inspect.EnumType) -> list[str]:
    """The values of an enum, in declared order, as they travel."""
    return [str(member.value) for member in _members(info.cls)]


def _members(cls: type[enum.Enum]) -> list[enum.Enum]:
    return list(cls)
