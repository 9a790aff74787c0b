"""Keeps the certificates of a running site: renews them in time, and tells the servers.

Level-triggered: whatever `murmuration.security.certificates` finds to be due is done, and what was
published is handed on, again at the next look if this one fails. NATS and PostgreSQL read theirs
again at SIGHUP, services at each handshake; no connection ends for it.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from murmuration.site import probes
from murmuration.site.errors import Refused
from murmuration.site.helpers import Helper
from murmuration.site.keeper import Keeper
from murmuration.site.layout import Layout, write_private
from murmuration.site.logfile import Journal

LOOK_EVERY_S = 3_600.0  # a leaf is renewed ten days before its end
ROTATING_EVERY_S = 60.0  # while an authority is replaced, whose stages take half an hour
SHOWN_S = 20.0  # until every server shows a new certificate; a reload takes milliseconds
LOOK_AGAIN_S = 0.1
STAGES_MAX = 4  # of a rotation in a hurry: three, and one to see that it has ended
STEADY = "steady"
RELOADED = ("nats", "postgres")  # read their files again at SIGHUP

Leaves = Mapping[str, Sequence[str]]  # what each server's certificate stands for


def folder(layout: Layout) -> Path:
    """Where certificates are."""
    return layout.credentials / "tls"


def bundle(layout: Layout) -> Path:
    """The authorities to trust."""
    return folder(layout) / "ca.pem"


def pair(layout: Layout, name: str) -> Path:
    """A server's key and certificate."""
    return folder(layout) / f"{name}.pem"


class Certificates:
    """The keeper of one site. `doors` tell where each server shows its certificate."""

    def __init__(
        self,
        layout: Layout,
        *,
        leaves: Leaves,
        doors: Mapping[str, probes.Door],
        helper: Helper,
        keepers: Mapping[str, Keeper],
        journal: Journal,
        hand_on: Callable[[Sequence[str]], None],
    ) -> None:
        """`hand_on` is told what changed: where copies are, it renews them."""
        self._layout = layout
        self._leaves = leaves
        self._doors = doors
        self._helper = helper
        self._keepers = keepers
        self._journal = journal
        self._hand_on = hand_on
        self._one_at_a_time = asyncio.Lock()
        self._wake = asyncio.Event()  # a rotation was begun: look sooner

    async def run(self) -> None:
        """Keep them until cancelled."""
        while True:
            self._wake.clear()
            stage = ""
            try:
                async with self._one_at_a_time:
                    stage = (await self._step())["stage"]
            except (Refused, OSError, ValueError) as error:
                self._journal.log("certificates.failed", reason=str(error))
            every_s = LOOK_EVERY_S if stage == STEADY else ROTATING_EVERY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._wake.wait()

    async def act(self, action: str, *, hurry: bool) -> dict[str, Any]:
        """List, renew or rotate them; what there is then. Raises Refused."""
        if action == "list":
            return {"summary": self._summary()}
        if action not in ("renew", "rotate"):
            raise Refused(f"There is no action {action!r}.", "Known: list, renew, rotate.")
        async with self._one_at_a_time:
            if action == "renew":
                return {"summary": await self._step(renew=True)}
            if self._summary()["stage"] != STEADY and not hurry:
                raise Refused("A rotation is under way.", "See it with `mur site certs`.")
            summary = await self._step(rotate=True)
            self._wake.set()
            for _ in range(STAGES_MAX if hurry else 0):
                if summary["stage"] == STEADY:
                    break
                await self._until_shown()
                summary = await self._step(hurry=True)
        return {"summary": summary}

    async def _step(self, **more: bool) -> dict[str, Any]:
        request = {
            "credentials": str(self._layout.credentials),
            "leaves": {name: list(names) for name, names in self._leaves.items()},
            "may_retire": await self._all_shown(),
            **more,
        }
        answer = await self._helper.ask("murmuration.site.certs", request)
        changed: list[str] = answer["changed"]
        if changed:
            self._journal.log("certificates.changed", changed=" ".join(changed))
        self._hand_on(changed)
        for name in RELOADED:
            if name in changed:
                self._keepers[name].signal(signal.SIGHUP)
        return answer["summary"]

    async def _until_shown(self) -> None:
        """Wait until every server shows what was published. Raises Refused when one does not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHOWN_S
        while not await self._all_shown():
            if loop.time() > deadline:
                raise Refused(
                    "A server does not show its new certificate; the old authority stays trusted.",
                    "Its log says why; the rotation goes on by itself when it does.",
                )
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _all_shown(self) -> bool:
        wanted = {each["name"]: each["sha256"] for each in self._summary()["certificates"]}
        for name, door in self._doors.items():
            try:
                async with asyncio.timeout(probes.SHOW_S):
                    if await door.shown() != wanted.get(name):
                        return False
            except (OSError, EOFError, TimeoutError):
                return False
        return True

    def _summary(self) -> dict[str, Any]:
        try:
            return dict(json.loads((folder(self._layout) / "summary.json").read_text()))
        except (OSError, ValueError):
            return {"stage": "", "certificates": []}


def copy(source: Path, target: Path) -> None:
    """Make `target` what `source` is, if it differs."""
    text = source.read_text()
    if not target.exists() or target.read_text() != text:
        write_private(target, text)
