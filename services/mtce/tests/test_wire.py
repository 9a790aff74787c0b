"""Bytes from NATS into pulses: however they are cut, whatever lies between them."""

import random
from collections import Counter

import pytest

from murmuration.mtce.core.frames import HEAD, STRIDE, Refused
from murmuration.mtce.core.wire import LINE_BYTES_MAX, Inbox, NotNats
from murmuration.proto import pulse


def message(index: int, sequence: int = 1, *, subject: str = "", version: int = 1) -> bytes:
    sent = pulse.Pulse(
        flags=0,
        period_ms=100,
        index=index,
        load_percent=1,
        sequence=sequence,
        sent_ns=sequence,
        boot_id=bytes(15) + b"\1",
    )
    frame = bytearray(pulse.pack(sent, b"key"))
    frame[4] = version
    return f"MSG {subject or pulse.subject(0, index)} 1 64\r\n".encode() + frame + b"\r\n"


def take(inbox: Inbox, data: bytes) -> tuple[list[int], Counter[Refused], list[bytes]]:
    """Indexes in order, what was refused, and other lines."""
    inbox.room[: len(data)] = data
    inbox.put(len(data))
    taken = inbox.take()
    indexes = [index for pulses in taken.pulses for index in pulses.index.tolist()]
    return indexes, Counter(taken.refused), taken.lines


STRANGE = (
    b"PING\r\n",
    b"INFO {}\r\n",
    b"-ERR 'Slow Consumer'\r\n",
    b"MSG mtce.pulse.00.00001 1 0\r\n\r\n",
    b"MSG mtce.pulse.00.00001 1 5\r\nMSG \r\r\n",
    b"MSG mtce.pulse.00.00001 1 reply 64\r\n" + bytes(64) + b"\r\n",
    message(7, subject="mtce.pulse.00.x7"),
    message(7, subject="mtce.pulse.00.00008"),
    message(100_000, subject="mtce.pulse.00.99999"),
    message(7, version=2),
)


def test_whole_pulse_has_the_stride_that_the_table_assumes():
    assert len(message(7)) == STRIDE
    assert message(0)[: len(HEAD)] == HEAD


def test_whole_pulses_in_a_row_are_taken_as_one_table():
    inbox = Inbox()
    inbox.room[: 500 * STRIDE] = b"".join(message(index) for index in range(500))
    inbox.put(500 * STRIDE)
    taken = inbox.take()
    assert [len(pulses) for pulses in taken.pulses] == [500]
    assert taken.pulses[0].index.tolist() == list(range(500))


def test_pulses_are_the_same_however_the_bytes_are_cut_and_whatever_lies_between():
    for _ in range(60):
        seed = random.SystemRandom().getrandbits(32)
        dice = random.Random(seed)
        parts: list[bytes] = []
        wanted: list[int] = []
        for _ in range(dice.randrange(1, 60)):
            if dice.random() < 0.3:
                parts.append(dice.choice(STRANGE))
            else:
                wanted.append(dice.randrange(100_000))
                parts.append(message(wanted[-1]))
        data = b"".join(parts)
        inbox, found, lines = Inbox(), list[int](), list[bytes]()
        refused: Counter[Refused] = Counter()
        while data:
            size = dice.choice([1, 3, 50, STRIDE, 400, 5_000])
            indexes, more, said = take(inbox, data[:size])
            data = data[size:]
            found += indexes
            lines += said
            refused += more
        assert found == wanted, f"seed {seed}"
        assert len(lines) == sum(part in STRANGE[:3] for part in parts), f"seed {seed}"
        assert refused.total() == sum(part in STRANGE[3:] for part in parts), f"seed {seed}"


def test_index_of_the_subject_must_be_that_of_the_frame():
    foreign, malformed = Refused.FOREIGN_SUBJECT, Refused.MALFORMED
    expected = (foreign, foreign, foreign, malformed, malformed)
    for strange, why in zip(STRANGE[5:], expected, strict=True):
        indexes, refused, _ = take(Inbox(), strange + message(3))
        assert (indexes, refused.total()) == ([3], 1)
        assert refused[why] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"MSG mtce.pulse.00.00001 1 many\r\n",
        b"MSG mtce.pulse.00.00001 1 99999999\r\n",
        message(1)[:-2] + b"XX",
        b"x" * (LINE_BYTES_MAX + 1),
    ],
)
def test_what_is_not_nats_ends_the_connection(data: bytes):
    with pytest.raises(NotNats):
        take(Inbox(), data)
