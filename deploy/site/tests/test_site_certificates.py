"""The supervisor's keeping of certificates: what it asks, hands on, and waits for."""

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from murmuration.site import certificates, layout, probes
from murmuration.site.certificates import Certificates
from murmuration.site.errors import Refused
from murmuration.site.helpers import Helper
from murmuration.site.keeper import Keeper
from murmuration.site.logfile import Journal, LogFile
from murmuration.testkit.levels import reaches


class Ground:
    """Stands for the helper, the servers and who is handed copies."""

    def __init__(self, place: layout.Layout) -> None:
        self.place = place
        self.asked: list[dict[str, Any]] = []
        self.answers: list[tuple[str, list[str]]] = []  # stage, what changed
        self.signals: list[tuple[str, signal.Signals]] = []
        self.handed: list[list[str]] = []
        self.shows = "new"
        self.refusal: Refused | None = None

    async def ask(self, module: str, request: Mapping[str, Any]) -> dict[str, Any]:
        assert module == "murmuration.site.certs"
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(dict(request))
        stage, changed = self.answers.pop(0) if self.answers else ("steady", [])
        summary = {"stage": stage, "certificates": [{"name": "nats", "sha256": "new"}]}
        folder = certificates.folder(self.place)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.json").write_text(json.dumps(summary))
        return {"summary": summary, "changed": changed}

    async def shown(self) -> str:
        return self.shows


class Server:
    def __init__(self, name: str, ground: Ground) -> None:
        self._name = name
        self._ground = ground

    def signal(self, number: signal.Signals) -> None:
        self._ground.signals.append((self._name, number))


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    place = layout.find({"MUR_STATE_DIR": str(tmp_path / "state")})
    place.logs.mkdir(parents=True)
    return Ground(place)


def keeper_of(ground: Ground) -> Certificates:
    log = LogFile(ground.place.log_of("supervisor"), size_bytes_max=100_000, older_count=1)
    servers = {name: Server(name, ground) for name in ("nats", "gateway", "postgres")}
    return Certificates(
        ground.place,
        leaves={"nats": ["127.0.0.1"]},
        doors={"nats": cast(probes.Door, ground)},
        helper=cast(Helper, ground),
        keepers=cast(Mapping[str, Keeper], servers),
        journal=Journal(log),
        hand_on=lambda changed: ground.handed.append(list(changed)),
    )


async def test_servers_that_read_at_a_signal_get_one_and_services_do_not(ground: Ground) -> None:
    ground.answers = [("steady", ["ca", "nats", "gateway"])]
    await keeper_of(ground).act("renew", hurry=False)
    assert ground.asked[0]["renew"] is True
    assert ground.signals == [("nats", signal.SIGHUP)]
    assert ground.handed == [["ca", "nats", "gateway"]]


async def test_rotation_in_a_hurry_takes_each_stage_and_waits_for_servers(ground: Ground) -> None:
    ground.answers = [("announced", ["ca"]), ("retiring", ["nats"]), ("steady", ["ca"])]
    found = await keeper_of(ground).act("rotate", hurry=True)
    assert found["summary"]["stage"] == "steady"
    told = [(bool(each.get("rotate")), bool(each.get("hurry"))) for each in ground.asked]
    assert told == [(True, False), (False, True), (False, True)]
    assert ground.asked[-1]["may_retire"] is True


async def test_old_authority_stays_while_a_server_shows_the_old_certificate(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.shows = "old"
    ground.answers = [("announced", ["ca"])]
    monkeypatch.setattr(certificates, "SHOWN_S", 0.2)
    with pytest.raises(Refused, match="stays trusted"):
        await keeper_of(ground).act("rotate", hurry=True)
    assert len(ground.asked) == 1


async def test_second_rotation_is_refused_and_what_is_unknown_too(ground: Ground) -> None:
    ground.answers = [("steady", []), ("announced", ["ca"])]
    keeping = keeper_of(ground)
    await keeping.act("renew", hurry=False)
    await keeping.act("rotate", hurry=False)
    with pytest.raises(Refused, match="under way"):
        await keeping.act("rotate", hurry=False)
    with pytest.raises(Refused, match="no action"):
        await keeping.act("burn", hurry=False)


async def test_keeping_goes_on_behind_a_failure_and_looks_sooner_when_a_rotation_begins(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "ROTATING_EVERY_S", 0.02)
    ground.refusal = Refused("The disk is full.")
    keeping = keeper_of(ground)
    task = asyncio.create_task(keeping.run())
    try:
        log = ground.place.log_of("supervisor")
        await reaches(lambda: log.exists() and "certificates.failed" in log.read_text())
        ground.refusal = None
        await reaches(lambda: ground.asked)
        seen = len(ground.asked)
        ground.answers = [("announced", ["ca"]), ("retiring", ["nats"]), ("steady", ["ca"])]
        await keeping.act("rotate", hurry=False)
        await reaches(lambda: len(ground.asked) >= seen + 3 and not ground.answers)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
