"""Hosts that introduce themselves."""

import asyncio
from pathlib import Path

from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import Rejected
from murmuration.proto.ids import parse_host_name
from murmuration.proto.pulse import pulse_key
from murmuration.proto.sysinv import (
    Admission,
    EnrolHost,
    EnrolReply,
    HostAccepted,
    HostChanged,
    HostDiscovered,
)
from murmuration.security.joining import Issuer
from murmuration.security.jwt import is_public
from murmuration.store.database import Database
from murmuration.sysinv.config import SysinvSection
from murmuration.sysinv.core import model
from murmuration.sysinv.core.model import Numbering
from murmuration.sysinv.handlers.said import say
from murmuration.sysinv.store import hosts


class Enrolment:
    """Answers EnrolHost. Repeating it gives the same index and key: it needs no operation table."""

    def __init__(
        self,
        database: Database,
        section: SysinvSection,
        *,
        site_secret: bytes,
        clock: Clock,
        issuer: Issuer,
        bundle: str = "",
    ) -> None:
        """`bundle`: a file of the authorities that hosts shall trust."""
        self._database = database
        self._section = section
        self._site_secret = site_secret
        self._clock = clock
        self._issuer = issuer
        self._bundle = bundle

    async def enrol(self, request: EnrolHost) -> EnrolReply:
        """Take a host in. Raises Rejected for a name, or a public key, that is none."""
        try:
            name = parse_host_name(request.host)
        except ValueError as error:
            raise Rejected(str(error)) from error
        if request.pulse_nkey and not is_public(request.pulse_nkey):
            raise Rejected("pulse_nkey is not a public key")
        async with self._database.unit() as unit:
            known = await hosts.find(unit.connection, name)
            index = known.host.index if known else await hosts.next_index(unit.connection)
            decision = model.enrol(
                known.host if known else None,
                request,
                index=index,
                automatic=self._section.accept == "automatic",
                pulse_period_ms=self._section.pulse_period_ms,
                now=self._clock.now(),
            )
            host = decision.host
            await hosts.save(unit.connection, host, known.numbering if known else Numbering())
            if known is None:
                say(unit, HostDiscovered(host=host, reason=decision.reason), host)
                if host.admission is Admission.ACCEPTED:
                    reason = "the site accepts hosts automatically"
                    say(unit, HostAccepted(host=host, reason=reason), host)
            elif decision.changed:
                event = HostChanged(host=host, changed=decision.changed, reason=decision.reason)
                say(unit, event, host)
            version = await unit.number()
        return EnrolReply(
            host=host.name,
            index=host.index,
            shard=host.shard,
            pulse_period_ms=host.pulse_period_ms,
            pulse_key=pulse_key(self._site_secret, host.name, host.index).hex(),
            epoch=version.epoch,
            change=version.change,
            pulse_jwt=self._issuer.pulse_jwt(host.name, host.index, request.pulse_nkey)
            if request.pulse_nkey
            else "",
            ca=await asyncio.to_thread(Path(self._bundle).read_text) if self._bundle else "",
        )
