"""What is malformed is refused or set aside: no reader is harmed, and memory stays bounded."""

import random
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.bus.connection import Bus
from murmuration.bus.message import Delivery, Undecodable, channel_for, decode
from murmuration.bus.state import load_bucket
from murmuration.fm import app
from murmuration.kernel.errors import Rejected
from murmuration.proto import pulse
from murmuration.proto.platform import GetMark, Mark
from murmuration.proto.registry import CHANNELS, STREAMS
from murmuration.security import jwt
from murmuration.security.proof import parse_token
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config

FRAMES = 10_000
SEED = 20_261_122
GROWTH_KB_MAX = 64 * 1_024
GOOD = (
    b'{"alarm_id":"100.101","entity":"host=h","severity":"minor","reason_text":"t",'
    b'"alarm_type":"other","probable_cause":"unknown","raised_at":"2026-11-22T00:00:00Z"}'
)
NUMBERS = ("", "x", "-1", "0", "1", "9" * 30, "1e3", "\u0661", " 7 ", "9223372036854775808")
TYPES = ("", "fm.alarm.raise.v1", "fm.alarm.raise.v9", "x" * 3_000, "sysinv.host.enrol.v1")


@given(st.sampled_from(sorted(STREAMS)), st.text(max_size=40), st.binary(max_size=300), st.data())
@settings(max_examples=500, deadline=None)
def test_any_delivery_is_decoded_unknown_or_undecodable(
    stream: str, subject: str, body: bytes, data: st.DataObject
) -> None:
    known = data.draw(st.sampled_from(["", *sorted(CHANNELS)]))
    channel = CHANNELS.get(known)
    delivery = Delivery(
        stream,
        1,
        data.draw(st.sampled_from([subject, channel.filter if channel else subject])),
        {"ce-type": known, "Mur-Prev": data.draw(st.text(max_size=20))},
        body,
    )
    assert isinstance(delivery.previous, int)
    found = channel_for(delivery)
    if found is not None:
        with pytest.raises(Undecodable):
            decode(delivery, found)
            raise Undecodable("it decoded")


def test_random_frames_are_no_pulses() -> None:
    dice, key = random.Random(SEED), bytes(32)
    for _ in range(FRAMES):
        frame = dice.randbytes(dice.choice((0, 1, 63, 64, 64, 64, 65, 1_400)))
        if dice.random() < 0.5:
            frame = b"MURP\x01" + frame[5:]
        try:
            pulse.unpack(frame)
        except ValueError:
            continue
        assert not pulse.authentic(frame, key), f"seed {SEED}"


@given(st.text(max_size=300))
@settings(max_examples=500, deadline=None)
def test_any_text_as_a_token_is_refused(text: str) -> None:
    for read in (jwt.decode, parse_token):
        with pytest.raises(Rejected):
            read(text)


def a_frame(dice: random.Random, n: int) -> tuple[str, dict[str, str], bytes]:
    """One malformed message for fm's intake: what a broken or hostile agent could send."""
    headers = {
        "ce-type": dice.choice(TYPES),
        "ce-id": dice.choice(("", "x", "a\0b", "z" * 2_000)),
        "ce-subject": dice.choice(("", "x", "a\tb", "a\0b", "\u2028", "y" * 9_000)),
        "Mur-Incarnation": dice.choice(NUMBERS),
        "Mur-N": dice.choice(NUMBERS),
        "Mur-Prev": dice.choice(NUMBERS),
        "traceparent": dice.choice(("", "00-zz", "x" * 500)),
    }
    for name in dice.sample(sorted(headers), dice.randrange(4)):
        del headers[name]
    if n:  # the next of its producer, so that the body is looked at
        headers |= {"Mur-Incarnation": "99", "Mur-N": str(n), "Mur-Prev": str(n - 1)}
    body = dice.choice(
        (
            b"",
            b"{}",
            b"null",
            b"[" * 5_000,
            b"\xff\xfe",
            b'{"alarm_id":1}',
            GOOD[:-1],
            GOOD.replace(b'"t"', b'"' + b"t" * 5_000 + b'"'),
            GOOD.replace(b'"t"', b'"\\u0000"'),
            GOOD.replace(b"host=h", b"host=\\ud800"),
            dice.randbytes(dice.randrange(200)),
        )
    )
    return dice.choice(("raise", "clear")), headers, body


def rss_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def test_intake_goes_on_behind_ten_thousand_malformed_messages(
    connect: Connect, site_nats: NatsServer, postgres: Postgres
) -> None:
    node, gateway = await connect("node@worker-1"), await connect("gateway")
    dice = random.Random(SEED)
    async with running(app.run, service_config("fm", site_nats, postgres)):
        before, n = rss_kb(), 0
        for _ in range(FRAMES // 500):
            for _ in range(500):
                due = dice.random() < 0.5
                n += due
                verb, headers, body = a_frame(dice, n if due else 0)
                subject = f"fm.intake.node-worker-1.{verb}"
                await node.nc.publish(subject, body, headers=headers)
            await node.nc.flush(20)
        await too_large(node)
        sysinv = await connect("sysinv")
        fine = {
            "ce-type": "fm.alarm.raise.v1",
            "Mur-Incarnation": "1",
            "Mur-N": "1",
            "Mur-Prev": "0",
        }
        await sysinv.js.publish("fm.intake.sysinv.raise", GOOD, headers=fine, timeout=20)

        async def raised() -> bool:
            return bool((await load_bucket(gateway, "fm_alarms"))[0])

        await reaches(raised, what=f"the good alarm behind seed {SEED}")
        answer = await gateway.nc.request("fm.query.status", b"{}", timeout=20)
        assert b'"service":"fm"' in answer.data
        mark = await node.request(GetMark(producer="node-worker-1"), Mark, as_type="fm.mark.get.v1")
        assert (mark.incarnation, mark.n) == (99, n), "every one in its turn was taken in"
        assert rss_kb() - before < GROWTH_KB_MAX


async def too_large(node: Bus) -> None:
    """Over the stream's limit: its answer; over the server's: the client does not send it."""
    with pytest.raises(nats.js.errors.APIError):
        await node.js.publish("fm.intake.node-worker-1.raise", b"x" * 600_000, timeout=20)
    with pytest.raises(nats.errors.MaxPayloadError):
        await node.nc.publish("fm.intake.node-worker-1.raise", b"x" * 2_000_000)


async def test_requests_that_are_malformed_are_refused_and_the_next_is_answered(
    connect: Connect, site_nats: NatsServer, postgres: Postgres
) -> None:
    gateway = await connect("gateway")
    dice = random.Random(SEED)
    async with running(app.run, service_config("fm", site_nats, postgres)):

        async def served() -> bool:
            try:
                await gateway.nc.request("fm.query.status", b"{}", timeout=2)
            except nats.errors.Error:
                return False
            return True

        await reaches(served)
        bodies = [b"", b"{", b"null", b"[" * 5_000, b"\xff", b"x" * 300_000, b'{"uuid":"\\u0000"}']
        bodies += [dice.randbytes(dice.randrange(100)) for _ in range(100)]
        for body in bodies:
            headers = {"traceparent": dice.choice(("x", "00-0-0-0", "\u00fc" * 50))}
            answer = await gateway.nc.request(
                "fm.cmd.alarm.clear", body, timeout=20, headers=headers
            )
            assert (answer.headers or {})["Mur-Error"] in ("rejected", "too-large"), body[:50]
        await gateway.nc.publish("fm.cmd.alarm.clear", b"{}")  # nobody waits for its answer
        await gateway.nc.publish("fm.query.status", b"{}")
        stolen = {"Nats-Stream": "FM"}
        with pytest.raises(nats.errors.TimeoutError):
            await gateway.nc.request("fm.query.status", b"{}", timeout=0.3, headers=stolen)
        assert await served()
