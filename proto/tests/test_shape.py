"""What a published shape may gain, and what it may not bear."""

from datetime import datetime
from typing import Annotated, Any, Union

import msgspec
import pytest
from msgspec import Meta

from murmuration.proto import registry
from murmuration.proto.envelope import Instant, OpenEnum
from murmuration.proto.generate.jsonschema import bodies
from murmuration.proto.generate.shape import Binary, changes, shape_of

registry.load()


class Colour(OpenEnum):
    """Two colours."""

    RED = "red"
    BLUE = "blue"
    UNKNOWN = "unknown"


class MoreColours(OpenEnum):
    """The same and one more."""

    RED = "red"
    BLUE = "blue"
    GREEN = "green"
    UNKNOWN = "unknown"


FieldType = Any
Field = tuple[str, FieldType] | tuple[str, FieldType, FieldType]


def differences(old: list[Field], new: list[Field], *, row: bool = False) -> list[str]:
    before = msgspec.defstruct("Before", old, array_like=row)
    after = msgspec.defstruct("After", new, array_like=row)
    return list(changes(shape_of(before), shape_of(after)))


INNER = msgspec.defstruct("Inner", [("a", int)])
INNER_MORE = msgspec.defstruct("Inner", [("a", int), ("b", str, "")])
INNER_LESS = msgspec.defstruct("Inner", [("b", str, "")])
OPTIONAL_INNER = Union[INNER, None]  # noqa: UP007 (the operator does not take made classes)
OPTIONAL_LESS = Union[INNER_LESS, None]  # noqa: UP007

ALLOWED: dict[str, tuple[list[Field], list[Field]]] = {
    "nothing": ([("a", int)], [("a", int)]),
    "another order": ([("a", int), ("b", str)], [("b", str), ("a", int)]),
    "a field with a default": ([("a", int)], [("a", int), ("b", str, "x")]),
    "a list with a default": ([("a", int)], [("a", int), ("b", tuple[str, ...], ())]),
    "a description": ([("a", int)], [("a", Annotated[int, Meta(description="what it is")])]),
    "a member": ([("a", Colour)], [("a", MoreColours)]),
    "a field further in": ([("a", INNER)], [("a", INNER_MORE)]),
    "a field in a list": ([("a", tuple[INNER, ...])], [("a", tuple[INNER_MORE, ...])]),
    "a field in a map": ([("a", dict[str, INNER])], [("a", dict[str, INNER_MORE])]),
}
REFUSED: dict[str, tuple[list[Field], list[Field], str]] = {
    "field gone": ([("a", int), ("b", int)], [("a", int)], "the field b is gone"),
    "field renamed": (
        [("a", int, 0)],
        [("b", int, 0)],
        "the field a is gone",
    ),
    "new required": ([("a", int)], [("a", int), ("b", str)], "the new field b has no default"),
    "now required": ([("a", int, 0)], [("a", int)], "a is required now"),
    "now optional": ([("a", int)], [("a", int, 0)], "a is optional now"),
    "default": ([("a", int, 1)], [("a", int, 2)], "the default of a is 2 now, it was 1"),
    "type": ([("a", int)], [("a", str)], "a is str now, it was int"),
    "wider type": ([("a", int)], [("a", float)], "a is float now, it was int"),
    "nullable": ([("a", int)], [("a", int | None)], "a is int or null now, it was int"),
    "text for instant": ([("a", Instant)], [("a", str)], "a is str now, it was instant"),
    "naive": (
        [("a", Instant)],
        [("a", Annotated[datetime, Meta(tz=False)])],
        "the tz of a is False now, it was True",
    ),
    "limit": (
        [("a", Annotated[int, Meta(ge=0)])],
        [("a", Annotated[int, Meta(ge=1)])],
        "the ge of a is 1 now, it was 0",
    ),
    "new limit": (
        [("a", str)],
        [("a", Annotated[str, Meta(max_length=3)])],
        "the max_length of a is 3 now, it was None",
    ),
    "limit of a list": (
        [("a", tuple[int, ...])],
        [("a", Annotated[tuple[int, ...], Meta(max_length=3)])],
        "the max_length of a is 3 now, it was None",
    ),
    "member gone": ([("a", MoreColours)], [("a", Colour)], "a has lost the member 'green'"),
    "enum for text": ([("a", str)], [("a", Colour)], "a is an enum now, it was str"),
    "further in": ([("a", INNER)], [("a", INNER_LESS)], "the field a.a is gone"),
    "in a list": (
        [("a", tuple[INNER, ...])],
        [("a", tuple[INNER_LESS, ...])],
        "the field a[].a is gone",
    ),
    "in a map": (
        [("a", dict[str, INNER])],
        [("a", dict[str, INNER_LESS])],
        "the field a{}.a is gone",
    ),
    "in an optional": (
        [("a", OPTIONAL_INNER)],
        [("a", OPTIONAL_LESS)],
        "the field a.a is gone",
    ),
}


@pytest.mark.parametrize("gain", ALLOWED)
def test_published_shape_bears_a_gain(gain: str) -> None:
    old, new = ALLOWED[gain]
    assert differences(old, new) == []


@pytest.mark.parametrize("change", REFUSED)
def test_published_shape_does_not_bear_a_change(change: str) -> None:
    old, new, phrase = REFUSED[change]
    assert differences(old, new) == [phrase]


def test_row_may_only_grow_at_its_end_with_a_default() -> None:
    old: list[Field] = [("a", int), ("b", str)]
    assert differences(old, [("a", int), ("c", str)], row=True) == []
    assert differences(old, [*old, ("c", int, 0)], row=True) == []
    assert differences(old, [*old, ("c", int)], row=True) == [
        "a new place of the payload has no default"
    ]
    assert differences(old, [("a", int)], row=True) == ["the payload has 1 places, it had 2"]
    assert len(differences(old, [("b", str), ("a", int)], row=True)) == 2


def test_object_made_a_row_is_another_shape() -> None:
    plain = msgspec.defstruct("Plain", [("a", int)])
    row = msgspec.defstruct("Row", [("a", int)], array_like=True)
    assert list(changes(shape_of(plain), shape_of(row))) == [
        "the payload is a row now, it was an object"
    ]


def test_frame_with_another_layout_is_another_shape() -> None:
    old, new = Binary({"size_bytes": 64}), Binary({"size_bytes": 65})
    assert list(changes(old, old)) == []
    assert list(changes(old, new)) == ["the size_bytes of its frame is 65 now, it was 64"]


class Knot(msgspec.Struct):
    """Contains itself."""

    inner: "Knot | None" = None


def test_payload_that_contains_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="contains itself"):
        shape_of(Knot)


@pytest.mark.parametrize("name", bodies())
def test_every_body_has_a_shape_that_bears_itself(name: str) -> None:
    body = bodies()[name]
    assert list(changes(shape_of(body), shape_of(body))) == []
