"""Hosts join with a token, once, and get credentials that are theirs alone."""

from pathlib import Path

import msgspec
import pytest

from murmuration.bus.connection import Bus, open_bus
from murmuration.kernel.errors import Conflict, MurmurationError, Rejected
from murmuration.proto.sysinv import (
    EnrolHost,
    EnrolReply,
    HostCredentials,
    JoinHost,
    Origin,
    Personality,
)
from murmuration.runtime.config import BusCredentials
from murmuration.security import jwt
from murmuration.security.joining import issue_token
from murmuration.security.proof import parse_token, proof_text
from murmuration.sysinv import app
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config


def a_join(token: BusCredentials, host: str, key: jwt.Key) -> JoinHost:
    return JoinHost(
        operation_id="operation-1",
        host=host,
        token_jwt=token.jwt,
        node_nkey=key.public,
        proof=jwt.key_of(token.seed).sign(proof_text(host, key.public)).hex(),
    )


def an_enrolment(host: str, nkey: str = "") -> EnrolHost:
    return EnrolHost(
        operation_id="operation-1",
        host=host,
        personality=Personality.WORKER,
        origin=Origin.MACHINE,
        observe_only=False,
        boot_id="b1",
        pulse_nkey=nkey,
    )


async def join(bus: Bus, request: JoinHost) -> HostCredentials:
    found: list[HostCredentials] = []

    async def answered() -> bool:
        try:
            found.append(await bus.request(request, HostCredentials))
        except (Rejected, Conflict):
            raise
        except MurmurationError:
            return False  # sysinv is starting
        return True

    await reaches(answered)
    return found[0]


async def test_host_joins_once_and_enrols_for_itself_alone(
    site_nats: NatsServer, postgres: Postgres, tmp_path: Path
) -> None:
    folder, section = site_nats.credentials_dir, site_nats.section
    token = parse_token(issue_token(folder, "worker-1"))
    key, pulse, thief = jwt.fresh_user(), jwt.fresh_user(), jwt.fresh_user()
    config = service_config("sysinv", site_nats, postgres, accept="automatic")
    async with running(app.run, config):
        async with open_bus(section, token, identity="join@worker-1") as joining:
            first = await join(joining, a_join(token, "worker-1", key))
            again = await join(joining, a_join(token, "worker-1", key))
            with pytest.raises(Conflict, match="used before"):
                await joining.request(a_join(token, "worker-1", thief), HostCredentials)
            for subject in ("sysinv.cmd.host.join.worker-2", "sysinv.cmd.host.enrol.worker-1"):
                await joining.nc.publish(subject, b"{}")
            await reaches(lambda: joining.error_count == 2)
        assert jwt.decode(again.node_jwt)["sub"] == jwt.decode(first.node_jwt)["sub"] == key.public

        login = BusCredentials(jwt=first.node_jwt, seed=key.seed)
        async with open_bus(section, login, identity="node@worker-1") as node:
            reply = await node.request(an_enrolment("worker-1", pulse.public), EnrolReply)
            assert jwt.decode(reply.pulse_jwt)["nats"]["tags"] == [
                "name:worker-1",
                f"index:{reply.index:05d}",
            ]
            body = msgspec.json.encode(an_enrolment("worker-2"))
            answer = await node.nc.request("sysinv.cmd.host.enrol.worker-1", body, timeout=20)
            assert (answer.headers or {})["Mur-Error"]
            assert b"speaks for that one alone" in answer.data
            with pytest.raises(Rejected, match="pulse_nkey"):
                await node.request(an_enrolment("worker-1", "U123"), EnrolReply)
        sender = BusCredentials(jwt=reply.pulse_jwt, seed=pulse.seed)
        async with open_bus(section, sender, identity="pulse@worker-1") as beating:
            await beating.nc.publish(f"mtce.pulse.00.{reply.index:05d}", b"own")
            await beating.nc.publish(f"mtce.pulse.00.{reply.index + 1:05d}", b"another's")
            await reaches(lambda: beating.error_count == 1)
