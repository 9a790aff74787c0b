"""When a switch is found lost by the hosts behind it."""

from murmuration.fm.core.correlation import Correlator
from murmuration.fm.core.faults import Fault
from murmuration.fm.core.outages import EVIDENCE, Outage, outage_of, switches_of
from murmuration.fm.core.rules import Rules
from murmuration.fm.core.topology import Place, Topology, Uplink


class Site:
    """Ten hosts behind one switch, one of them locked, and what is raised on them."""

    def __init__(self) -> None:
        self.topology = Topology()
        self.correlator = Correlator(Rules([]), self.topology)
        for n in range(10):
            uplinks = {"eth0": Uplink("leaf-1", f"p{n}"), "eth1": Uplink("leaf-2", f"p{n}")}
            self.correlator.place(f"c-{n}", Place(uplinks=uplinks, locked=n == 9))

    def put(self, n: int, alarm_id: str, entity: str, at: float) -> Fault:
        fault = Fault(
            uuid=n.to_bytes(16, "big"),
            alarm_id=alarm_id,
            entity=entity,
            severity="critical",
            raised_at=at,
        )
        self.correlator.put(fault)
        return fault

    def outage(self, switch: str = "leaf-1") -> Outage:
        return outage_of(
            switch, self.topology, lambda host: self.correlator.on_host(host, EVIDENCE)
        )


def test_switch_is_lost_when_nearly_all_its_hosts_are_cut_together() -> None:
    site = Site()
    for n in range(7):
        site.put(n, "200.005", f"host=c-{n}", n)
    assert site.outage() == Outage(9, 7, 0.0, 6.0)
    assert not site.outage().lost and not site.outage().back
    site.put(7, "100.108", "host=c-7.port=eth0", 8)
    assert site.outage().lost
    assert "8 of the 9 unlocked hosts" in site.outage().sentence("leaf-1")
    assert not site.outage("leaf-2").lost
    for n in range(4):
        site.correlator.drop(n.to_bytes(16, "big"))
    assert site.outage().back


def test_switch_is_not_lost_when_its_hosts_fail_one_after_the_other() -> None:
    site = Site()
    for n in range(9):
        site.put(n, "200.004", f"host=c-{n}", n * 40)
    assert site.outage() == Outage(9, 2, 0.0, 40.0)


def test_switch_is_not_lost_when_few_hosts_hang_on_it() -> None:
    site = Site()
    for n in range(2, 10):
        site.correlator.place(f"c-{n}", None)
    for n in range(2):
        site.put(n, "200.004", f"host=c-{n}", 0)
    assert not site.outage().lost
    assert site.outage("nowhere") == Outage(0, 0)


def test_alarm_speaks_of_the_switches_of_its_host_when_it_is_evidence() -> None:
    site = Site()
    assert set(switches_of(site.put(1, "200.005", "host=c-1", 0), site.topology)) == {
        "leaf-1",
        "leaf-2",
    }
    assert not switches_of(site.put(2, "200.007", "host=c-1.sensor=x", 0), site.topology)
