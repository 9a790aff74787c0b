"""Whatever some version once sent is still read, and what a newer one sends is too."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import jsonschema
import msgspec
import pytest
from msgspec import inspect

from murmuration.proto import registry
from murmuration.proto.envelope import encode
from murmuration.proto.generate.golden import sample
from murmuration.proto.generate.jsonschema import bodies, document
from murmuration.proto.generate.model import bare
from murmuration.proto.generate.tree import ContractError, Json

registry.load()

GOLDEN = Path(__file__).parents[1] / "golden"
BODIES = bodies()
BODY = pytest.mark.parametrize("name", BODIES)
FUTURE = "from-a-newer-version"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def within(old: Json, new: Json) -> bool:
    """Whether `new` still says all that `old` says."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and within(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) <= len(new) and all(map(within, old, new))
    return old == new


Change = Callable[[inspect.Type, Json], Json]


def changed(info: inspect.Type, value: Json, change: Change) -> Json:
    """A copy of `value` with `change` applied to each part of it, given its type."""
    info = bare(info)
    match info, value:
        case inspect.UnionType(types=types), _:
            some = [t for t in types if not isinstance(bare(t), inspect.NoneType)]
            return None if value is None else changed(some[0], value, change)
        case inspect.StructType(array_like=True, fields=fields), [*items]:
            parts = [changed(f.type, v, change) for f, v in zip(fields, items, strict=False)]
            return change(info, parts)
        case inspect.StructType(fields=fields), dict():
            types = {f.encode_name: f.type for f in fields}
            return change(info, {k: changed(types[k], v, change) for k, v in value.items()})
        case ((inspect.ListType() | inspect.VarTupleType()), [*items]):
            return [changed(info.item_type, item, change) for item in items]
        case inspect.DictType(), dict():
            return {key: changed(info.value_type, item, change) for key, item in value.items()}
        case _:
            return change(info, value)


def with_unknown_fields(info: inspect.Type, value: Json) -> Json:
    match info, value:
        case inspect.StructType(array_like=True), [*items]:
            return [*items, {"a": FUTURE}]
        case inspect.StructType(), dict():
            return {"a_field_of_tomorrow": [FUTURE], **value}
        case _:
            return value


def with_unknown_members(info: inspect.Type, value: Json) -> Json:
    return FUTURE if isinstance(info, inspect.EnumType) else value


def with_members_read(info: inspect.Type, value: Json) -> Json:
    return "unknown" if isinstance(info, inspect.EnumType) else value


def values(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        for item in value.values():
            yield from values(item)
    elif isinstance(value, list):
        for item in value:
            yield from values(item)
    else:
        yield value


@BODY
def test_golden_is_read_and_written_again(name: str) -> None:
    read = msgspec.json.decode(golden(name), type=BODIES[name])
    assert within(msgspec.json.decode(golden(name)), msgspec.json.decode(encode(read)))
    assert msgspec.json.decode(encode(read), type=BODIES[name]) == read


@BODY
def test_golden_fits_its_schema(name: str) -> None:
    validator = jsonschema.Draft202012Validator(document(name, BODIES[name]))
    validator.check_schema(validator.schema)
    assert not list(validator.iter_errors(msgspec.json.decode(golden(name))))


@BODY
def test_unknown_fields_are_ignored_when_a_newer_version_sends_them(name: str) -> None:
    body = BODIES[name]
    newer = changed(inspect.type_info(body), msgspec.json.decode(golden(name)), with_unknown_fields)
    assert FUTURE in values(newer)
    assert msgspec.json.decode(encode(newer), type=body) == msgspec.json.decode(
        golden(name), type=body
    )
    assert jsonschema.Draft202012Validator(document(name, body)).is_valid(newer)


@BODY
def test_unknown_member_is_read_as_unknown_when_a_newer_version_sends_it(name: str) -> None:
    body, old = BODIES[name], msgspec.json.decode(golden(name))
    newer = changed(inspect.type_info(body), old, with_unknown_members)
    expected = changed(inspect.type_info(body), old, with_members_read)
    assert msgspec.json.decode(encode(newer), type=body) == msgspec.convert(expected, body)
    assert jsonschema.Draft202012Validator(document(name, body)).is_valid(newer)


@BODY
def test_body_is_refused_when_a_known_field_is_wrong(name: str) -> None:
    wrong = {field: {"not": ["this"]} for field in BODIES[name].__struct_encode_fields__}
    if wrong:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(encode(wrong), type=BODIES[name])


def test_sample_is_refused_with_a_sentence_when_no_example_fits() -> None:
    odd = msgspec.defstruct("Odd", [("code", Annotated[str, msgspec.Meta(pattern="^x{40}$")])])
    with pytest.raises(ContractError, match="Odd cannot be sampled"):
        sample(odd)
