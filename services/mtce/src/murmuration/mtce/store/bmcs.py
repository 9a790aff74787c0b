"""BMCs in mtce's database: as declared, as last audited, and their sensors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from murmuration.mtce.core.bmc_fsm import Audit, BmcRecord, Reach
from murmuration.proto.envelope import encode
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcPower, BmcSensor, FencePolicy
from murmuration.proto.sysinv import BmcProtocol, HostBmc

SAVE_CONFIG = """
insert into bmc_config (name, declared, policy) values ($1, $2, $3)
on conflict (name) do update set declared = excluded.declared, policy = excluded.policy
"""
CONFIG = "select declared, policy from bmc_config where name = $1"
ROSTER = """
select c.name, c.declared from bmc_config c join mirror_host m using (name)
where c.declared is not null and m.accepted order by c.name
"""
OFF_ON_RECORD = "select name from host_state where availability = 'power-off'"
_STATE = """
name, reach, power, protocol, uuid, serial, product, firmware, silent_since, changed_at, reason
"""
LOAD = f"select {_STATE} from bmc_state where name = any($1)"
EVERY = f"select {_STATE} from bmc_state order by name"
LOCK = f"select {_STATE} from bmc_state where name = $1 for update"
SAVE = f"""
insert into bmc_state ({_STATE}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (name) do update set
    reach = excluded.reach, power = excluded.power, protocol = excluded.protocol,
    uuid = excluded.uuid, serial = excluded.serial, product = excluded.product,
    firmware = excluded.firmware, silent_since = excluded.silent_since,
    changed_at = excluded.changed_at, reason = excluded.reason
"""
REMOVE = "delete from bmc_state where name = $1"
REMOVE_CONFIG = "delete from bmc_config where name = $1"
SENSORS = "select sensor from bmc_sensor where host = $1 order by name"
EVERY_SENSOR = "select host, sensor from bmc_sensor order by host, name"
SAVE_SENSORS = """
insert into bmc_sensor (host, name, sensor)
select $1, * from unnest($2::text[], $3::bytea[])
on conflict (host, name) do update set sensor = excluded.sensor
"""
REMOVE_SENSORS = "delete from bmc_sensor where host = $1 and name = any($2)"
REMOVE_ALL_SENSORS = "delete from bmc_sensor where host = $1"
ORPHANS = """
select name from bmc_config where name not in (select name from mirror_host) order by name
"""
UNREAD = "select host, alarm_id, reason, raised_at from bmc_sensors_unread order by host"
UNREAD_OF = "select alarm_id from bmc_sensors_unread where host = $1"
SAVE_UNREAD = """
insert into bmc_sensors_unread (host, alarm_id, reason, raised_at) values ($1, $2, $3, $4)
on conflict (host) do update set alarm_id = excluded.alarm_id, reason = excluded.reason
"""
REMOVE_UNREAD = "delete from bmc_sensors_unread where host = $1 returning alarm_id"
_BMC = msgspec.json.Decoder(HostBmc)
_SENSOR = msgspec.json.Decoder(BmcSensor)


@dataclass(frozen=True, slots=True)
class BmcConfig:
    """What sysinv declares about a host out of band."""

    declared: HostBmc | None
    policy: FencePolicy


async def save_config(connection: asyncpg.Connection, name: HostName, config: BmcConfig) -> None:
    """Keep what was declared."""
    declared = encode(config.declared) if config.declared is not None else None
    await connection.execute(SAVE_CONFIG, name, declared, config.policy.value)


async def config(connection: asyncpg.Connection, name: HostName) -> BmcConfig | None:
    """What was declared of a host, None for one that is not known."""
    row = await connection.fetchrow(CONFIG, name)
    if row is None:
        return None
    declared = _BMC.decode(row["declared"]) if row["declared"] is not None else None
    return BmcConfig(declared, FencePolicy(row["policy"]))


async def roster(connection: asyncpg.Connection) -> dict[HostName, HostBmc]:
    """The BMC of every accepted host that has one."""
    rows = await connection.fetch(ROSTER)
    return {HostName(row["name"]): _BMC.decode(row["declared"]) for row in rows}


async def off_on_record(connection: asyncpg.Connection) -> set[HostName]:
    """The hosts that are off by their states."""
    return {HostName(row["name"]) for row in await connection.fetch(OFF_ON_RECORD)}


async def orphans(connection: asyncpg.Connection) -> list[HostName]:
    """Hosts that are known here and in the inventory no more."""
    return [HostName(row["name"]) for row in await connection.fetch(ORPHANS)]


async def remove(connection: asyncpg.Connection, name: HostName) -> None:
    """Drop all that is known of a host's BMC."""
    for statement in (REMOVE_ALL_SENSORS, REMOVE, REMOVE_CONFIG):
        await connection.execute(statement, name)


async def forget_state(connection: asyncpg.Connection, name: HostName) -> None:
    """Drop what audits found: another BMC was declared, or none."""
    for statement in (REMOVE_ALL_SENSORS, REMOVE):
        await connection.execute(statement, name)


async def load(
    connection: asyncpg.Connection, names: Sequence[HostName]
) -> dict[HostName, BmcRecord]:
    """The records of these hosts' BMCs."""
    rows = await connection.fetch(LOAD, names)
    return {HostName(row["name"]): _record(row) for row in rows}


async def every(connection: asyncpg.Connection) -> list[BmcRecord]:
    """The records of all BMCs, by name."""
    return [_record(row) for row in await connection.fetch(EVERY)]


async def lock(connection: asyncpg.Connection, name: HostName) -> BmcRecord | None:
    """One record, locked until the transaction ends."""
    row = await connection.fetchrow(LOCK, name)
    return None if row is None else _record(row)


async def save(connection: asyncpg.Connection, record: BmcRecord) -> None:
    """Write a record."""
    last = record.last
    await connection.execute(
        SAVE,
        record.name,
        record.reach.value,
        last.power.value,
        last.protocol.value,
        last.uuid,
        last.serial,
        last.product,
        last.firmware,
        record.silent_since,
        record.changed_at,
        record.reason,
    )


async def sensors(connection: asyncpg.Connection, host: HostName) -> dict[str, BmcSensor]:
    """The settled sensors of a host."""
    found = [_SENSOR.decode(row["sensor"]) for row in await connection.fetch(SENSORS, host)]
    return {sensor.name: sensor for sensor in found}


async def every_sensor(connection: asyncpg.Connection) -> list[tuple[HostName, BmcSensor]]:
    """The settled sensors of all hosts."""
    rows = await connection.fetch(EVERY_SENSOR)
    return [(HostName(row["host"]), _SENSOR.decode(row["sensor"])) for row in rows]


async def save_sensors(
    connection: asyncpg.Connection,
    host: HostName,
    kept: Iterable[BmcSensor],
    gone: Sequence[str],
) -> None:
    """Write changed sensors and drop those that are told no more."""
    rows = [(sensor.name, encode(sensor)) for sensor in kept]
    if rows:
        names, bodies = zip(*rows, strict=True)
        await connection.execute(SAVE_SENSORS, host, list(names), list(bodies))
    if gone:
        await connection.execute(REMOVE_SENSORS, host, list(gone))


async def every_unread(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """BMCs whose sensors cannot be read: host, alarm_id, reason and raised_at of each."""
    return await connection.fetch(UNREAD)


async def unread(connection: asyncpg.Connection, host: HostName) -> str | None:
    """The alarm that says that sensors cannot be read."""
    return await connection.fetchval(UNREAD_OF, host)


async def save_unread(
    connection: asyncpg.Connection, host: HostName, alarm_id: str, reason: str, now: datetime
) -> None:
    """Keep that the sensors cannot be read."""
    await connection.execute(SAVE_UNREAD, host, alarm_id, reason, now)


async def remove_unread(connection: asyncpg.Connection, host: HostName) -> str | None:
    """Keep that they can; the alarm that said otherwise."""
    return await connection.fetchval(REMOVE_UNREAD, host)


def _record(row: asyncpg.Record) -> BmcRecord:
    return BmcRecord(
        name=HostName(row["name"]),
        reach=Reach(row["reach"]),
        last=Audit(
            power=BmcPower(row["power"]),
            protocol=BmcProtocol(row["protocol"]),
            uuid=row["uuid"],
            serial=row["serial"],
            product=row["product"],
            firmware=row["firmware"],
        ),
        silent_since=row["silent_since"],
        changed_at=row["changed_at"],
        reason=row["reason"],
    )
