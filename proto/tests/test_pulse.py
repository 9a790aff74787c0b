"""The pulse frame: 64 bytes that say the same on both sides, and whose MAC is a key's."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from murmuration.proto import pulse
from murmuration.proto.pulse import Pulse

KEY = bytes(range(32))
GOLDEN = Path(__file__).parents[1] / "golden" / "mtce.pulse.frame.v1.bin"

PULSES = st.builds(
    Pulse,
    flags=st.integers(0, 7),
    period_ms=st.integers(50, 1_000),
    index=st.integers(0, 99_999),
    load_percent=st.integers(0, 0xFFFF),
    sequence=st.integers(1, 2**64 - 1),
    sent_ns=st.integers(0, 2**64 - 1),
    boot_id=st.binary(min_size=16, max_size=16),
)


@given(PULSES, st.binary(min_size=1, max_size=32))
def test_frame_comes_back_as_it_was_packed(beat: Pulse, key: bytes) -> None:
    frame = pulse.pack(beat, key)
    assert len(frame) == pulse.FRAME_BYTES
    assert pulse.unpack(frame) == beat
    assert pulse.authentic(frame, key)


@given(PULSES, st.integers(0, pulse.FRAME_BYTES * 8 - 1))
def test_frame_is_not_authentic_when_a_bit_is_turned(beat: Pulse, bit: int) -> None:
    frame = bytearray(pulse.pack(beat, KEY))
    frame[bit // 8] ^= 1 << bit % 8
    assert not pulse.authentic(bytes(frame), KEY)


@given(PULSES)
def test_frame_is_not_authentic_under_another_key(beat: Pulse) -> None:
    assert not pulse.authentic(pulse.pack(beat, KEY), KEY[::-1])


@given(st.binary(max_size=130))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="pulse"):
        pulse.unpack(data)


@given(st.binary(min_size=59, max_size=59))
def test_frame_with_random_fields_is_read_as_it_stands(rest: bytes) -> None:
    frame = b"MURP\x01" + rest
    again = pulse.pack(pulse.unpack(frame), KEY)
    reserved = slice(14, 16)
    assert again[: reserved.start] == frame[: reserved.start]
    assert again[reserved.stop : 48] == frame[reserved.stop : 48]


@given(PULSES, st.integers(0, 200).filter(lambda size: size != pulse.FRAME_BYTES))
def test_frame_is_refused_when_its_size_is_wrong(beat: Pulse, size: int) -> None:
    frame = (pulse.pack(beat, KEY) * 4)[:size]
    with pytest.raises(ValueError, match="64 bytes"):
        pulse.unpack(frame)


def test_frame_is_refused_when_magic_or_version_is_foreign() -> None:
    frame = GOLDEN.read_bytes()
    for foreign in (b"MURX" + frame[4:], frame[:4] + b"\x02" + frame[5:]):
        with pytest.raises(ValueError, match="not a pulse"):
            pulse.unpack(foreign)


def test_golden_frame_is_read_as_it_was_written() -> None:
    frame = GOLDEN.read_bytes()
    assert pulse.authentic(frame, KEY)
    beat = pulse.unpack(frame)
    assert beat == Pulse(
        flags=pulse.FLAG_UDP_DOWN,
        period_ms=100,
        index=7,
        load_percent=42,
        sequence=123_456_789,
        sent_ns=987_654_321_012_345,
        boot_id=bytes.fromhex("5f0c2a4e8d1b4c3a9e6f7a8b9c0d1e2f"),
    )
    assert beat.boot == "5f0c2a4e-8d1b-4c3a-9e6f-7a8b9c0d1e2f"
    assert pulse.pack(beat, KEY) == frame


def test_load_saturates_when_it_is_beyond_the_field() -> None:
    beat = pulse.unpack(GOLDEN.read_bytes())
    high = Pulse(0, 100, beat.index, 1_000_000, 1, 1, beat.boot_id)
    assert pulse.unpack(pulse.pack(high, KEY)).load_percent == 0xFFFF


def test_subject_has_one_size_for_every_index() -> None:
    sizes = {len(pulse.subject(shard, index)) for shard in (0, 99) for index in (0, 99_999)}
    assert sizes == {len("mtce.pulse.00.00000")}


def test_key_differs_by_site_host_and_index() -> None:
    keys = {
        pulse.pulse_key(secret, host, index)
        for secret in (b"a" * 32, b"b" * 32)
        for host in ("worker-1", "worker-2")
        for index in (1, 2)
    }
    assert len(keys) == 8
    assert {len(key) for key in keys} == {32}
