"""The machine of a BMC's reachability by its table, and what follows from sensors."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from murmuration.mtce.core import bmc_fsm, sensors
from murmuration.mtce.core.bmc_fsm import ALARM_AFTER, Audit, BmcRecord, Input, Reach
from murmuration.mtce.core.sensors import Sensed, SensorAction, SensorPolicy
from murmuration.proto.fm import ClearAlarm, RaiseAlarm
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcPower, BmcSensor, BmcSensorState
from murmuration.proto.sysinv import BmcProtocol

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = HostName("worker-1")
WELL = Audit(power=BmcPower.ON, protocol=BmcProtocol.REDFISH, serial="A")
AWAY = Audit(failure="no connection")


def follow(record: BmcRecord, *audits: tuple[Audit, float]) -> tuple[BmcRecord, list[object]]:
    """Steps by audits at seconds after NOW; everything that was said."""
    said: list[object] = []
    for audit, at_s in audits:
        now = NOW + timedelta(seconds=at_s)
        step = bmc_fsm.step(record, bmc_fsm.judge(record, audit, now), audit, now)
        assert step.state is not None
        record = step.state
        said += [*step.events, *step.effects]
    return record, said


@pytest.mark.parametrize(("reach", "given"), list(product(Reach, Input)))
def test_bmc_alarm_stands_exactly_while_it_is_lost_whatever_the_input(
    reach: Reach, given: Input
) -> None:
    record = replace(bmc_fsm.admit(HOST, NOW), reach=reach, last=WELL, silent_since=NOW)
    audit = WELL if given is Input.ANSWERED else AWAY
    step = bmc_fsm.step(record, given, audit, NOW + timedelta(seconds=1))
    lost = step.state is not None and step.state.reach is Reach.LOST
    assert [type(effect) for effect in step.effects] == (
        [] if lost == (reach is Reach.LOST) else [RaiseAlarm if lost else ClearAlarm]
    )
    if step.state is not None and step.state.reach is not Reach.ANSWERING:
        assert step.state.power is BmcPower.UNKNOWN


def test_bmc_is_alarmed_after_two_minutes_of_silence_and_cleared_when_it_answers() -> None:
    record, said = follow(bmc_fsm.admit(HOST, NOW), (WELL, 0), (WELL, 60), (AWAY, 90))
    assert (record.reach, record.power, len(said)) == (Reach.SILENT, BmcPower.UNKNOWN, 2)
    record, said = follow(record, (AWAY, 120), (AWAY, 209))
    assert said == []
    record, said = follow(record, (AWAY, 90 + ALARM_AFTER.total_seconds()))
    assert record.reach is Reach.LOST
    assert [each.alarm_id for each in said if isinstance(each, RaiseAlarm)] == ["200.010"]
    record, said = follow(record, (WELL, 300))
    assert (record.reach, record.power) == (Reach.ANSWERING, BmcPower.ON)
    assert [type(each) for each in said][1:] == [ClearAlarm]


def test_bmc_says_so_when_it_manages_another_machine_than_before() -> None:
    record, _ = follow(bmc_fsm.admit(HOST, NOW), (WELL, 0), (replace(WELL, serial="B"), 60))
    assert "another machine than before (B after A)" in record.reason


def sensor(state: BmcSensorState, value: float = 40) -> BmcSensor:
    return BmcSensor(name="CPU0 Temp", group="temperature", state=state, value=value, unit="C")


def read(*found: BmcSensor) -> Sensed:
    return Sensed({each.name: each for each in found}, frozenset(each.name for each in found))


def test_sensor_alarms_by_severity_and_clears_when_well_or_gone() -> None:
    policy = SensorPolicy(major=SensorAction.ALARM)
    well, major = sensor(BmcSensorState.OK), sensor(BmcSensorState.MAJOR, 85)
    raised = sensors.settle(HOST, {well.name: well}, read(major), policy, NOW)
    (order,) = raised.orders
    assert isinstance(order, RaiseAlarm)
    assert (order.entity, order.severity) == ("host=worker-1.sensor=CPU0-Temp", "major")
    assert sensors.settle(HOST, {major.name: major}, read(major), policy, NOW).quiet
    for after in (read(well), read()):
        settled = sensors.settle(HOST, {major.name: major}, after, policy, NOW)
        assert [type(each) for each in settled.orders] == [ClearAlarm]
    once = Sensed({}, frozenset({major.name}))
    assert sensors.settle(HOST, {well.name: well}, once, policy, NOW).quiet


def test_sensor_is_only_told_when_its_severity_is_logged_or_ignored() -> None:
    major = sensor(BmcSensorState.MAJOR)
    settled = sensors.settle(HOST, {}, read(major), SensorPolicy(), NOW)
    assert (settled.changed, settled.orders) == ((major,), ())
