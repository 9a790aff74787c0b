"""Permissions follow from the registry: who is named may, nobody else may."""

import pytest

from murmuration.proto import registry
from murmuration.proto.permissions import (
    IDENTITIES,
    MANY,
    READER,
    Permissions,
    inbox_prefix,
    permissions,
)
from murmuration.proto.platform import SERVICES
from murmuration.proto.registry import BUCKETS, CHANNELS, STREAMS, Channel, Kind
from murmuration.proto.subjects import covers, fill, overlap
from murmuration.security import identities

registry.load()

IDENTITY = pytest.mark.parametrize("identity", IDENTITIES)
ADMINISTRATION = (
    "$JS.API.STREAM.CREATE.X",
    "$JS.API.STREAM.UPDATE.X",
    "$JS.API.STREAM.DELETE.X",
    "$JS.API.STREAM.PURGE.X",
    "$JS.API.STREAM.MSG.DELETE.X",
    "$JS.API.STREAM.RESTORE.X",
    "$JS.API.CONSUMER.DURABLE.CREATE.X.d",
    "$SYS.REQ.SERVER.PING",
)


def filled(channel: Channel, producer: str) -> str:
    """A subject of the channel as `producer` would write it."""
    return fill(channel.subject, {"producer": producer, "sender": producer}, otherwise="x")


def allowed(patterns: tuple[str, ...], subject: str) -> bool:
    return any(covers(pattern, subject) for pattern in patterns)


@IDENTITY
def test_identity_publishes_what_names_it_and_nothing_else(identity: str) -> None:
    for channel in CHANNELS.values():
        may = allowed(permissions(identity).publish, filled(channel, identity))
        assert may == (identity in channel.publishers), channel.type


@IDENTITY
def test_identity_hears_unstored_subjects_that_name_it(identity: str) -> None:
    for channel in CHANNELS.values():
        hears = identity in channel.subscribers and channel.stream is None
        hears |= identity == READER and channel.kind is Kind.EVENT
        may = allowed(permissions(identity).subscribe, filled(channel, identity))
        assert may == hears, channel.type


@IDENTITY
def test_identity_reads_its_streams_and_no_others(identity: str) -> None:
    read = {c.stream for c in CHANNELS.values() if c.stream and identity in c.subscribers}
    read |= {
        f"KV_{b.name}" for b in BUCKETS.values() if identity == b.owner or identity in b.readers
    }
    if identity == "provisioner":
        read = {*STREAMS, *(f"KV_{name}" for name in BUCKETS)}
    for name in [*STREAMS, *(f"KV_{name}" for name in BUCKETS)]:
        create = f"$JS.API.CONSUMER.CREATE.{name}.some-name"
        assert allowed(permissions(identity).publish, create) == (name in read)


@IDENTITY
def test_identity_looks_at_the_tail_of_its_own_stream(identity: str) -> None:
    for stream in STREAMS.values():
        if stream.owner == identity:
            for call in ("STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET"):
                assert allowed(permissions(identity).publish, f"$JS.API.{call}.{stream.name}")


@IDENTITY
def test_bucket_is_written_by_its_owner_alone(identity: str) -> None:
    for bucket in BUCKETS.values():
        writes = allowed(permissions(identity).publish, f"$KV.{bucket.name}.some_key")
        assert writes == (identity == bucket.owner)


@IDENTITY
def test_only_the_provisioner_administers_streams(identity: str) -> None:
    for name in ("X", *STREAMS, *(f"KV_{name}" for name in BUCKETS)):
        for call in ADMINISTRATION:
            subject = call.replace("X", name)
            may = identity == "provisioner" and subject.startswith("$JS.")
            assert allowed(permissions(identity).publish, subject) == may


@IDENTITY
def test_inboxes_are_heard_by_their_identity_alone(identity: str) -> None:
    for other in IDENTITIES:
        inbox = f"{inbox_prefix(other)}.abc"
        assert allowed(permissions(identity).subscribe, inbox) == (identity == other)
        assert not allowed(permissions(identity).publish, inbox)


@IDENTITY
def test_no_identity_listens_to_everything(identity: str) -> None:
    for pattern in permissions(identity).subscribe:
        assert not overlap(pattern, "$JS.API.>")
        assert not overlap(pattern, "$KV.>")
        assert "*" not in pattern.split(".")[0]
        assert pattern != ">"


@IDENTITY
def test_only_who_serves_requests_may_answer(identity: str) -> None:
    serves = any(
        identity in c.subscribers for c in CHANNELS.values() if c.kind in (Kind.COMMAND, Kind.QUERY)
    )
    assert permissions(identity).answers == serves
    micro = serves and identity in SERVICES  # an agent answers, but is no micro service
    assert ("$SRV.>" in permissions(identity).subscribe) == micro
    assert ("allow_responses" in permissions(identity).as_nats()) == serves


def test_producer_may_not_speak_in_the_name_of_another() -> None:
    for identity in ("mtce", "sysinv", "gateway", "node", "sim"):
        assert allowed(permissions(identity).publish, f"fm.intake.{identity}.raise")
        assert not allowed(permissions(identity).publish, "fm.intake.other.raise")
        assert not allowed(permissions(identity).subscribe, "fm.mark.other")
    assert allowed(permissions("fm").publish, "fm.mark.node-worker-1")


def test_agent_is_narrowed_to_its_host_when_one_is_given() -> None:
    node = permissions("node", host="worker-1", index=12)
    assert "sysinv.observed.worker-1.report" in node.publish
    assert "fm.intake.node-worker-1.raise" in node.publish
    assert "fm.mark.node-worker-1" in node.subscribe
    assert "sysinv.ask.worker-1.report" in node.subscribe
    assert "_INBOX_node-worker-1.>" in node.subscribe
    assert not allowed(node.publish, "sysinv.observed.worker-2.report")
    assert inbox_prefix("node", host="worker-1") == "_INBOX_node-worker-1"

    pulse = permissions("pulse", host="worker-1", index=12)
    assert pulse.publish == ("mtce.pulse.*.00012",)
    assert permissions("pulse").publish == ("mtce.pulse.*.*",)


@pytest.mark.parametrize("identity", [i for i in IDENTITIES if i not in MANY])
def test_host_is_refused_when_the_identity_is_the_whole_sites(identity: str) -> None:
    with pytest.raises(ValueError, match="cannot be narrowed"):
        permissions(identity, host="worker-1")


def test_every_login_of_a_site_is_an_identity_of_the_contract() -> None:
    assert sorted(identities.IDENTITIES) == sorted(IDENTITIES)


def test_unknown_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="not an identity"):
        permissions("stranger")


def test_permissions_are_the_same_when_asked_again() -> None:
    for identity in IDENTITIES:
        assert permissions(identity) == permissions(identity)
        assert list(permissions(identity).publish) == sorted(permissions(identity).publish)


def test_nothing_allowed_is_written_as_everything_denied() -> None:
    nothing = Permissions(publish=(), subscribe=("a",), answers=False)
    assert nothing.as_nats() == {"publish": {"deny": [">"]}, "subscribe": {"allow": ["a"]}}
