"""Entity names as paths."""

import pytest

from murmuration.fm.core.entities import component, is_below, value
from murmuration.proto.entities import components

CASES = {
    "host=c-1": ("host=c-1",),
    "host=c-1.port=eth0.12": ("host=c-1", "port=eth0.12"),
    "host=c-1.ntp": ("host=c-1", "ntp"),
    "host=c-1.ntp=10.1.2.3": ("host=c-1", "ntp=10.1.2.3"),
    "host=c-1.filesystem=/var/lib.d/x": ("host=c-1", "filesystem=/var/lib.d/x"),
    "host=h,agent=a,bgp-peer=p": ("host=h", "agent=a", "bgp-peer=p"),
    "system.certificate.mode=m.uuid=u": ("system.certificate", "mode=m", "uuid=u"),
    "service=networking.providernet=p": ("service=networking", "providernet=p"),
    "cinder_io_monitor": ("cinder_io_monitor",),
}


@pytest.mark.parametrize("entity", CASES)
def test_entity_is_taken_apart_where_a_pair_begins(entity: str) -> None:
    assert components(entity) == CASES[entity]


def test_path_lies_below_another_when_its_first_components_are_the_same() -> None:
    inner = components("host=c-1.port=eth0")
    assert is_below(inner, components("host=c-1"))
    assert is_below(inner, inner)
    assert not is_below(components("host=c-10.port=eth0"), components("host=c-1"))
    assert value(inner, "port") == "eth0"
    assert component(inner, "host") == "host=c-1"
    assert component(inner, "por") == ""
