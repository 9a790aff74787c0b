"""What conditions of hosts ask for, as agents and BMCs said last, and who was restarted for it."""

import asyncpg
import msgspec

from murmuration.mtce.core.health import judge
from murmuration.mtce.core.model import Ask
from murmuration.mtce.core.sensors import SensorPolicy
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcSensor, BmcSensorState
from murmuration.proto.node import HostHealth

# Of the boot that is heard: what was wrong in another one is told anew.
BY_AGENTS = """
select h.name, h.body::text as body from host_health h join host_state s using (name)
where h.asked <> 'none' and h.boot_id = s.boot_id
"""
BY_BMCS = """
select s.host as name, s.sensor from bmc_sensor s join bmc_state b on b.name = s.host
where b.reach = 'answering' and convert_from(s.sensor, 'utf8')::jsonb ->> 'state' = 'critical'
"""
HEEDED = "select name from host_state where jsonb_typeof(work -> 'asked') = 'object'"
_HEALTH = msgspec.json.Decoder(HostHealth)
_SENSOR = msgspec.json.Decoder(BmcSensor)


async def standing(
    connection: asyncpg.Connection, policy: SensorPolicy
) -> dict[HostName, list[Ask]]:
    """What is asked for now, by host; empty for one that something was done, or refused, for."""
    found: dict[HostName, list[Ask]] = {
        HostName(row["name"]): [] for row in await connection.fetch(HEEDED)
    }
    for row in await connection.fetch(BY_AGENTS):
        judged = judge(_HEALTH.decode(row["body"]).conditions)
        if judged.asked is not None:
            found.setdefault(HostName(row["name"]), []).append(judged.asked)
    action = policy.asks(BmcSensorState.CRITICAL)
    if action is None:
        return found
    for row in await connection.fetch(BY_BMCS):
        sensor = _SENSOR.decode(row["sensor"])
        found.setdefault(HostName(row["name"]), []).append(Ask(f"sensor/{sensor.name}", action))
    return found
