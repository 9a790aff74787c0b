"""The two ends of a boot: what became of the one before, and the last gasp of this one."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import structlog

from murmuration.kernel.errors import MurmurationError
from murmuration.node.adapters import programs, traces
from murmuration.node.core.ending import BootNote, kind_of_jobs, look_back
from murmuration.node.telling import Maintenance, Telling
from murmuration.proto.node import EndKind, HostBooted, HostEnding

GASP_S = 2.0  # for the last words: systemd waits longer, and the host goes down in any case
JOBS_S = 1.0  # of systemctl: the host is going down, nobody waits for long
log = structlog.get_logger()


class Lifetimes:
    """What one host's boots leave behind."""

    def __init__(
        self, folder: Path, telling: Telling, *, host: str, boot_id: str, systemctl: str
    ) -> None:
        self._folder = folder
        self._telling = telling
        self._host = host
        self._boot_id = boot_id
        self._systemctl = systemctl
        self._ordered = False

    def look_back(self, *, pstore: str, watchdog: str) -> None:
        """Tell how the boot before ended, once for each boot; kept as told when it is stored."""
        found = look_back(
            traces.read_note(self._folder),
            self._boot_id,
            traces=traces.kernel_records(Path(pstore)) if pstore else (),
            watchdog=traces.watchdog_record(Path(watchdog).parent) if watchdog else ("", ""),
        )
        end = found.previous_end
        if end is None:
            return
        log.info("boot.previous", host=self._host, end=end.value, boot_id=found.previous_boot_id)
        self._telling.once(
            lambda incarnation, n: HostBooted(
                host=self._host,
                incarnation=incarnation,
                n=n,
                boot_id=self._boot_id,
                previous_boot_id=found.previous_boot_id,
                previous_end=end,
                record=found.record,
                observed_at=datetime.now(UTC),
            ),
            done=lambda: traces.write_note(self._folder, found.note),
        )

    async def end(self, maintenance: Maintenance | None, kind: EndKind, reason: str) -> None:
        """Note how this boot ends, and say so if anybody hears it; never raises for the bus."""
        if self._ordered:
            return
        self._ordered = kind is not EndKind.AGENT_STOPPING
        if self._ordered:
            note = traces.read_note(self._folder)
            seen = note.seen if note else ()
            ending = BootNote(boot_id=self._boot_id, ending=kind, seen=seen)
            traces.write_note(self._folder, ending)
            traces.write_ending(self._folder, self._boot_id, kind.value)
        log.warning("host.ending", host=self._host, kind=kind.value, reason=reason)

        def make(incarnation: int, n: int) -> HostEnding:
            return HostEnding(
                host=self._host,
                incarnation=incarnation,
                n=n,
                boot_id=self._boot_id,
                kind=kind,
                reason=reason,
                observed_at=datetime.now(UTC),
            )

        if maintenance is None:
            self._telling.once(make)  # an ordered reboot takes its time: it may be heard yet
            return
        try:
            async with asyncio.timeout(GASP_S):
                await self._telling.last(maintenance, make)
        except (MurmurationError, TimeoutError) as error:
            log.warning("host.ending_not_told", host=self._host, reason=str(error) or "in time")
            self._telling.once(make)

    async def stopping(self, maintenance: Maintenance | None) -> None:
        """The agent was told to end: find out whether the host ends with it, and say so."""
        kind = EndKind.AGENT_STOPPING
        if programs.mode_of(Path(self._systemctl)) is not None:
            jobs = await programs.output_of(
                (self._systemctl, "list-jobs", "--no-legend", "--no-pager"), deadline_s=JOBS_S
            )
            kind = kind_of_jobs(jobs or "")
        await self.end(maintenance, kind, "the agent was told to stop")
