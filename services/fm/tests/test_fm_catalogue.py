"""The shipped catalogue, and what is said of one that is not sound."""

import csv

import pytest

from murmuration.fm.catalogue import shipped
from murmuration.fm.core.catalogue import CatalogueError, parse, reaches
from murmuration.fm.core.policy import Pattern
from murmuration.proto.entities import components, fault_of, path_of, path_range
from murmuration.proto.fm_operators import Reach
from murmuration.proto.fm_vocabulary import AlarmType, Severity

HEADING = (
    "id,kind,severities,types,cause,service,flags,management,degrade,repair,context,"
    "entities,summary"
)
GOOD = "100.101,alarm,CM,equipment,unknown,C,S,major,none,monitor,starlingx,host=<host>,It is busy"


def test_catalogue_has_every_id_with_what_it_is_known_for() -> None:
    found = shipped()
    assert len(found) == 338
    assert sum(entry.kind == "alarm" for entry in found.values()) == 140
    assert [entry.id for entry in found.values() if entry.inhibits] == ["200.001"]
    assert len(found["800.002"].alarm_types) == 5
    assert found["200.006"].service_affecting == (Severity.CRITICAL, Severity.MAJOR)
    assert found["100.104"].degrade_reach is Reach.CRITICAL
    assert found["500.200"].probable_cause == "certificate-expiration"
    assert found["800.100"].alarm_types == (AlarmType.QUALITY_OF_SERVICE,)
    assert all(entry.summary and entry.entities for entry in found.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("100.101", "", "without an id"),
        (",alarm,", ",alert,", "neither alarm nor log"),
        (",CM,", ",CX,", "100.101"),
        (",equipment,", ",bad,", "event type"),
        (",unknown,", ",bad,", "100.101"),
        (",major,", ",huge,", "threshold"),
        (",monitor,", ",pray,", "pray"),
        (",C,S,", ",w,S,", "severities"),
    ],
)
def test_catalogue_is_refused_with_its_row_when_a_row_is_wrong(
    old: str, new: str, said: str
) -> None:
    parse(csv.DictReader([HEADING, GOOD]))
    with pytest.raises(CatalogueError, match=said):
        parse(csv.DictReader([HEADING, GOOD.replace(old, new, 1)]))


def test_catalogue_is_refused_when_an_id_is_there_twice() -> None:
    with pytest.raises(CatalogueError, match="twice"):
        parse(csv.DictReader([HEADING, GOOD, GOOD]))


@pytest.mark.parametrize(
    ("severity", "threshold", "expected"),
    [
        (Severity.CRITICAL, Reach.NONE, False),
        (Severity.WARNING, Reach.WARNING, True),
        (Severity.MINOR, Reach.MAJOR, False),
        (Severity.CRITICAL, Reach.MAJOR, True),
        (Severity.INDETERMINATE, Reach.WARNING, False),
    ],
)
def test_threshold_is_reached_by_its_severity_and_worse(
    severity: Severity, threshold: Reach, expected: bool
) -> None:
    assert reaches(severity, threshold) is expected


@pytest.mark.parametrize(
    ("entity", "parts"),
    [
        ("host=a.interface=eth0", ("host=a", "interface=eth0")),
        ("ntp=10.1.2.3", ("ntp=10.1.2.3",)),
        ("host=a,agent=b", ("host=a", "agent=b")),
        ("cinder_io_monitor", ("cinder_io_monitor",)),
        ("system.certificate.mode=x", ("system.certificate", "mode=x")),
    ],
)
def test_entity_is_parsed_into_whole_components(entity: str, parts: tuple[str, ...]) -> None:
    assert components(entity) == parts


def test_path_range_holds_exactly_what_is_on_and_below() -> None:
    low, high = path_range(path_of("host=c-1"))
    inside = [path_of(e) for e in ("host=c-1", "host=c-1.a=b", "host=c-1.ü=z")]
    outside = [path_of(e) for e in ("host=c-10", "host=c-", "host=c", "host=c-1x.a=b")]
    assert all(low <= path < high for path in inside)
    assert not any(low <= path < high for path in outside)


def test_entity_is_none_when_it_is_blank_or_has_control_characters() -> None:
    assert fault_of("host=a") is None
    assert all(fault_of(text) for text in ("", " host=a", "host=\x7f", "host=a\n"))


@pytest.mark.parametrize(
    ("pattern", "entity", "expected"),
    [
        ("host=worker-*", "host=worker-1", True),
        ("host=worker-*", "host=worker-1.port=a", True),
        ("host=worker-*", "host=controller-0", False),
        ("host=*.port=e*0", "host=a.port=eth0", True),
        ("host=*.port=e*0", "host=a.port=eth1", False),
        ("host=a", "host=a1", False),
        ("host=a*a", "host=a", False),
        ("*", "anything", True),
        ("", "anything", True),
    ],
)
def test_pattern_matches_within_components(pattern: str, entity: str, expected: bool) -> None:
    assert Pattern(pattern).covers(components(entity)) is expected


def test_pattern_takes_no_longer_for_many_stars() -> None:
    assert not Pattern("a*" * 120 + "b").covers(("a" * 255,))
