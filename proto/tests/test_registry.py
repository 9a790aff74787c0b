"""The registry is sane: names, subjects, streams, fields."""

import re
from itertools import combinations

import msgspec
import pytest
from msgspec import inspect

from murmuration.proto import registry
from murmuration.proto.envelope import OpenEnum, Payload
from murmuration.proto.generate.jsonschema import bodies
from murmuration.proto.generate.model import bare, named
from murmuration.proto.generate.typescript import views
from murmuration.proto.generate.units import unit_of
from murmuration.proto.permissions import IDENTITIES
from murmuration.proto.registry import BUCKETS, CHANNELS, STREAMS, Channel, Kind, Permanence
from murmuration.proto.subjects import covers, overlap

registry.load()

CHANNEL = pytest.mark.parametrize("channel", CHANNELS.values(), ids=lambda c: c.type)
TYPE = re.compile(r"[a-z]+(\.[a-z][a-z0-9_]*){2}\.v[1-9][0-9]*")
PLACEHOLDER_OR_TOKEN = re.compile(r"\{[a-z_]+\}|[a-z0-9_]+")
PREFIX = {
    Kind.EVENT: "event",
    Kind.INTAKE: "intake",
    Kind.ORDER: "order",
    Kind.OBSERVED: "observed",
    Kind.COMMAND: "cmd",
    Kind.QUERY: "query",
}
PERMANENCE = {
    Kind.EVENT: Permanence.EVENTS,
    Kind.INTAKE: Permanence.INTAKE,
    Kind.ORDER: Permanence.ORDERS,
    Kind.OBSERVED: Permanence.OBSERVED,
}
NUMBERS = (inspect.IntType, inspect.FloatType)


def test_type_is_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        registry.add_channel(CHANNELS["fm.alarm.raised.v1"])


def test_stream_and_bucket_declared_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        registry.add_stream(STREAMS["FM"])
    with pytest.raises(ValueError, match="declared twice"):
        registry.add_bucket(BUCKETS["fm_alarms"])


@CHANNEL
def test_channel_is_named_by_its_service_and_says_what_it_is(channel: Channel) -> None:
    assert TYPE.fullmatch(channel.type)
    assert all(PLACEHOLDER_OR_TOKEN.fullmatch(part) for part in channel.subject.split("."))
    assert channel.subject.startswith(f"{channel.service}.")
    assert channel.summary.endswith(".")
    assert channel.publishers
    assert channel.subscribers


@CHANNEL
def test_subject_starts_with_service_and_kind(channel: Channel) -> None:
    second = channel.subject.split(".")[1]
    if channel.kind is Kind.CORE:
        assert second not in PREFIX.values()
    else:
        assert second == PREFIX[channel.kind]


@CHANNEL
def test_event_is_published_by_its_owner_alone(channel: Channel) -> None:
    if channel.kind is Kind.EVENT:
        assert channel.publishers == (channel.service,)
    if channel.kind in (Kind.INTAKE, Kind.ORDER, Kind.OBSERVED, Kind.COMMAND, Kind.QUERY):
        assert channel.subscribers == (channel.service,)


@CHANNEL
def test_who_speaks_and_listens_is_an_identity(channel: Channel) -> None:
    assert {*channel.publishers, *channel.subscribers} <= set(IDENTITIES)
    assert len(set(channel.publishers)) == len(channel.publishers)
    assert len(set(channel.subscribers)) == len(channel.subscribers)


@CHANNEL
def test_only_requests_have_a_reply(channel: Channel) -> None:
    assert (channel.reply is not None) == (channel.kind in (Kind.COMMAND, Kind.QUERY))


@CHANNEL
def test_producer_of_intake_is_told_by_the_subject(channel: Channel) -> None:
    if channel.kind is Kind.INTAKE:
        assert channel.subject.split(".")[2] == "{producer}"
    if channel.kind is Kind.ORDER:
        assert channel.subject.split(".")[2] == "{sender}"


@CHANNEL
def test_command_bears_the_callers_operation_id(channel: Channel) -> None:
    if channel.kind is Kind.COMMAND:
        assert channel.payload is not None
        assert "operation_id" in channel.payload.__struct_fields__


@CHANNEL
def test_stored_channel_lies_in_its_stream_and_in_no_other(channel: Channel) -> None:
    holding = [s for s in STREAMS.values() if any(covers(p, channel.filter) for p in s.subjects)]
    touching = [s for s in STREAMS.values() if any(overlap(p, channel.filter) for p in s.subjects)]
    assert holding == touching
    assert [s.name for s in holding] == ([channel.stream] if channel.stream else [])
    if channel.stream:
        assert STREAMS[channel.stream].owner == channel.service
        assert STREAMS[channel.stream].permanence is PERMANENCE[channel.kind]


def test_streams_do_not_overlap() -> None:
    for one, other in combinations(STREAMS.values(), 2):
        assert not any(overlap(a, b) for a in one.subjects for b in other.subjects)


def test_subjects_do_not_overlap() -> None:
    for one, other in combinations(CHANNELS.values(), 2):
        assert not overlap(one.filter, other.filter), f"{one.type} and {other.type}"


def test_stream_and_bucket_belong_to_a_service_and_are_bounded() -> None:
    services = {c.service for c in CHANNELS.values()}
    for stream in STREAMS.values():
        assert stream.owner in services
        assert stream.size_bytes_max > 0
        assert stream.age_s_max > 0
    for bucket in BUCKETS.values():
        assert bucket.name.startswith(f"{bucket.owner}_")
        assert bucket.owner in services
        assert bucket.owner not in bucket.readers
        assert set(bucket.readers) <= set(IDENTITIES)


def everything() -> dict[str, inspect.StructType | inspect.EnumType]:
    return named([*bodies().values(), *views()])


@pytest.mark.parametrize("name", everything())
def test_every_struct_is_a_payload_and_every_enum_is_open(name: str) -> None:
    info = everything()[name]
    assert info.cls.__doc__
    if isinstance(info, inspect.EnumType):
        assert issubclass(info.cls, OpenEnum)
        assert info.cls("a member of tomorrow") is info.cls["UNKNOWN"]
        assert info.cls["UNKNOWN"].value == "unknown"
    elif not name.endswith("_value"):
        assert issubclass(info.cls, Payload)
        assert info.cls.__struct_config__.frozen


@pytest.mark.parametrize("name", everything())
def test_every_number_has_a_unit_or_says_what_it_is(name: str) -> None:
    info = everything()[name]
    if not isinstance(info, inspect.StructType):
        return
    for field in info.fields:
        if isinstance(bare(field.type), NUMBERS) and unit_of(field.name) is None:
            described = isinstance(field.type, inspect.Metadata) and (
                (field.type.extra_json_schema or {}).get("description")
            )
            assert described, f"{name}.{field.name} has neither a unit nor a description"


def test_unit_is_read_from_the_end_of_a_name() -> None:
    assert unit_of("silent_ms") == "millisecond"
    assert unit_of("offset_ns_max") == "nanosecond"
    assert unit_of("size_bytes_max") == "byte"
    assert unit_of("count") is None
    assert unit_of("index") is None
    assert unit_of("max") is None


def test_channel_of_finds_the_channel_of_a_payload() -> None:
    channel = CHANNELS["fm.alarm.raised.v1"]
    assert channel.payload is not None
    assert registry.channel_of(channel.payload) is channel
    with pytest.raises(KeyError):
        registry.channel_of(msgspec.defstruct("Foreign", []))
