"""BMCs: as sysinv declares them, what audits found, what operators ask and keep secret."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from murmuration.bmc.errors import SecretMissing
from murmuration.bmc.ports import SecretStore
from murmuration.bus.follower import Received
from murmuration.bus.gaps import StateReceived
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import NotFound
from murmuration.mtce.core import bmc_fsm, sensors
from murmuration.mtce.core.bmc_fsm import Audit, BmcStep, Input
from murmuration.mtce.core.logs import CONFIG, log
from murmuration.mtce.core.sensors import Sensed, SensorPolicy
from murmuration.mtce.handlers.steps import emit_alarm, emit_log
from murmuration.mtce.ports import BmcSource
from murmuration.mtce.store import bmcs, fences
from murmuration.mtce.store.bmcs import BmcConfig
from murmuration.proto.fm import ClearAlarm
from murmuration.proto.ids import HostName, parse_host_name, untoken
from murmuration.proto.mtce_bmc import (
    AskBmc,
    BmcPower,
    BmcSensor,
    BmcStateChanged,
    BmcView,
    FencePolicy,
    SecretKept,
    SensorsChanged,
    SetBmcSecret,
)
from murmuration.proto.sysinv import (
    FENCE_LABEL,
    Host,
    HostAccepted,
    HostChanged,
    HostDiscovered,
    HostRemoved,
)
from murmuration.store.database import Database, Unit


class BmcHandlers:
    """Takes in what is declared and found of BMCs."""

    def __init__(self, clock: Clock, policy: SensorPolicy) -> None:
        self._clock = clock
        self._policy = policy
        self.on_power: Callable[[Unit, Mapping[HostName, bool]], Awaitable[None]] | None = None

    async def declared(self, unit: Unit, received: Received) -> None:
        """A host was discovered, accepted or changed: keep where its BMC is."""
        payload: HostDiscovered | HostAccepted | HostChanged = received.payload
        await self._take_in(unit, payload.host)

    async def removed(self, unit: Unit, received: Received) -> None:
        """A host was deleted: forget its BMC and clear what was said of it."""
        payload: HostRemoved = received.payload
        await self._remove(unit, HostName(payload.host))

    async def told_afresh(self, unit: Unit, received: Received) -> None:
        """sysinv has told all its hosts, and mtce forgot those that are no more: so do we here."""
        del received
        for name in await bmcs.orphans(unit.connection):
            await self._remove(unit, name)

    async def bridged(self, unit: Unit, state: StateReceived) -> None:
        """A host as sysinv's bucket tells it."""
        if isinstance(state.value, Host):
            await self._take_in(unit, state.value)
        else:
            await self._remove(unit, HostName(untoken(state.key)))

    async def audited(self, unit: Unit, audits: Mapping[HostName, Audit]) -> list[BmcStep]:
        """What follows from audits; writes only where something changed."""
        steps: list[BmcStep] = []
        now = self._clock.now()
        power = {
            name: audit.power is BmcPower.ON
            for name, audit in audits.items()
            if audit.power in (BmcPower.ON, BmcPower.OFF)
        }
        if power and self.on_power is not None:
            await self.on_power(unit, power)
        for name in sorted(audits):
            config = await bmcs.config(unit.connection, name)
            if config is None or config.declared is None:
                continue  # it was removed while it was audited
            record = await bmcs.lock(unit.connection, name) or bmc_fsm.admit(name, now)
            given = bmc_fsm.judge(record, audits[name], now)
            step = bmc_fsm.step(record, given, audits[name], now)
            if step.events and step.state is not None:
                await bmcs.save(unit.connection, step.state)
                await _say(unit, name, step)
                steps.append(step)
        return steps

    async def sensed(self, unit: Unit, host: HostName, read: Sensed) -> Sequence[BmcSensor]:
        """What follows from a reading; returns those whose state changed."""
        known = await bmcs.sensors(unit.connection, host)
        settled = sensors.settle(host, known, read, self._policy, self._clock.now())
        if settled.quiet:
            return ()
        await bmcs.save_sensors(unit.connection, host, settled.kept, settled.gone)
        if settled.changed:
            words = [f"{each.name} {each.state.value}" for each in settled.changed]
            reason = f"sensors of {host}: {', '.join(words)}"[:1_000]
            event = SensorsChanged(host=host, sensors=settled.changed, reason=reason)
            unit.emit(event, entity=host, host=host)
        for order in settled.orders:
            emit_alarm(unit, order)
        return settled.changed

    async def unread(self, unit: Unit, host: HostName, reason: str) -> None:
        """The sensors of a host cannot be read, or (no reason) they can. May be repeated."""
        now, connection = self._clock.now(), unit.connection
        wanted = None
        if reason:
            known = await bmcs.sensors(connection, host)
            wanted = sensors.READ_ALARM if known else sensors.SETUP_ALARM
        if wanted == await bmcs.unread(connection, host):
            return
        gone = await bmcs.remove_unread(connection, host)
        if gone is not None:
            why = reason or f"sensors of {host} can be read again"
            entity = f"host={host}"
            emit_alarm(
                unit, ClearAlarm(alarm_id=gone, entity=entity, cleared_at=now, reason=why[:1_024])
            )
        if wanted is not None:
            await bmcs.save_unread(connection, host, wanted, reason, now)
            emit_alarm(unit, sensors.unread_alarm(host, wanted, reason, now))

    async def republish(self, unit: Unit) -> None:
        """Say the whole state anew."""
        for record in await bmcs.every(unit.connection):
            event = BmcStateChanged(state=record.published())
            unit.emit(event, entity=record.name, host=record.name)
        await self.assert_alarms(unit)

    async def assert_alarms(self, unit: Unit) -> None:
        """Raise again what still holds: a count at fm, not history."""
        now = self._clock.now()
        for record in await bmcs.every(unit.connection):
            if record.reach is bmc_fsm.Reach.LOST:
                emit_alarm(unit, bmc_fsm.access_alarm(record, now))
        for row in await bmcs.every_unread(unit.connection):
            name = HostName(row["host"])
            emit_alarm(
                unit, sensors.unread_alarm(name, row["alarm_id"], row["reason"], row["raised_at"])
            )
        for host, sensor in await bmcs.every_sensor(unit.connection):
            for order in sensors.alarms_now(host, [sensor], self._policy, now):
                emit_alarm(unit, order)

    async def _take_in(self, unit: Unit, host: Host) -> None:
        name = HostName(host.name)
        fast = host.labels.get(FENCE_LABEL) == FencePolicy.FAST.value
        policy = FencePolicy.FAST if fast else FencePolicy.GRACEFUL
        before = await bmcs.config(unit.connection, name)
        await bmcs.save_config(unit.connection, name, BmcConfig(host.bmc, policy))
        if before is None:
            return
        if before.declared != host.bmc:
            await self._forget(unit, name)
            where = f"at {host.bmc.address}" if host.bmc is not None else "none any more"
            self._note(unit, name, "config=bmc", f"the BMC of {name} is {where}")
        if before.policy is not policy:
            self._note(unit, name, "config=fence", f"{name} is released by policy {policy.value}")

    def _note(self, unit: Unit, name: HostName, what: str, reason: str) -> None:
        emit_log(unit, log(CONFIG, name, what, reason=reason, at=self._clock.now()))

    async def _remove(self, unit: Unit, name: HostName) -> None:
        await self._forget(unit, name)
        await bmcs.remove(unit.connection, name)

    async def _forget(self, unit: Unit, name: HostName) -> None:
        """What was found of a BMC that is declared no more; its alarms are cleared."""
        now = self._clock.now()
        record = await bmcs.lock(unit.connection, name)
        if record is not None:
            await _say(unit, name, bmc_fsm.step(record, Input.CLEARED, Audit(), now))
        known = await bmcs.sensors(unit.connection, name)
        for order in sensors.settle(name, known, Sensed({}, frozenset()), self._policy, now).orders:
            emit_alarm(unit, order)
        await self.unread(unit, name, "")
        await bmcs.forget_state(unit.connection, name)


async def _say(unit: Unit, name: HostName, step: BmcStep) -> None:
    for event in step.events:
        unit.emit(event, entity=name, host=name)
    for order in step.effects:
        emit_alarm(unit, order)


class BmcRequests:
    """What operators ask, through the gateway."""

    def __init__(self, database: Database, secrets: SecretStore, source: BmcSource) -> None:
        self._database = database
        self._secrets = secrets
        self._source = source

    async def ask(self, question: AskBmc) -> BmcView:
        """All that is known of a host out of band. Raises NotFound."""
        name = HostName(question.host)
        async with self._database.connection() as connection:
            config = await bmcs.config(connection, name)
            record = (await bmcs.load(connection, [name])).get(name)
            found = await bmcs.sensors(connection, name)
            at_stake = [one for one in await fences.every(connection) if one.name == name]
        if config is None:
            raise NotFound(f"mtce knows no host {question.host[:63]!r}")
        return BmcView(
            host=name,
            declared=config.declared,
            secret_stored=self._stored(name),
            state=record.published() if record is not None else None,
            sensors=tuple(found.values()),
            release=at_stake[0].published() if at_stake else None,
        )

    async def keep_secret(self, request: SetBmcSecret) -> SecretKept:
        """Keep a password, or forget it when it is empty. Raises Rejected, Unavailable."""
        try:
            name = HostName(parse_host_name(request.host))
        except ValueError as error:
            raise NotFound(str(error)) from error
        if request.password:
            self._secrets.write(name, request.password)
            reason = f"the password of the BMC of {name} is stored"
        else:
            self._secrets.remove(name)
            reason = f"no password is stored for the BMC of {name}"
        await self._source.forget(name)
        return SecretKept(operation_id=request.operation_id, reason=reason)

    def _stored(self, name: HostName) -> bool:
        try:
            self._secrets.read(name)
        except SecretMissing:
            return False
        return True
